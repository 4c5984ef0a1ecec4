import type { ModelSource } from "./source.js";
export function hubSource(name: string, _: { revision: string | undefined }): ModelSource { throw new Error(name); }
