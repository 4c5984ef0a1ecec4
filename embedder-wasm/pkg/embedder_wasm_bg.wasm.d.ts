/* tslint:disable */
/* eslint-disable */
export const memory: WebAssembly.Memory;
export const beginLoad: () => number;
export const countTokens: (a: number, b: number, c: number) => [number, number];
export const dropLoad: (a: number) => void;
export const dropModel: (a: number) => void;
export const embed: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => [number, number, number];
export const embeddingsPerChunk: (a: number, b: number) => number;
export const encode: (a: number, b: number, c: number, d: number) => [number, number, number];
export const finishLoad: (a: number) => [number, number, number];
export const inputAddress: (a: number) => number;
export const modelInfo: (a: number) => [number, number, number, number];
export const outputAddress: () => number;
export const readHead: (a: number, b: number) => [number, number, number];
export const replaceInstance: () => void;
export const weightsAddress: (a: number) => [number, number, number];
export const __wbindgen_externrefs: WebAssembly.Table;
export const __externref_table_dealloc: (a: number) => void;
export const __wbindgen_free: (a: number, b: number, c: number) => void;
export const __wbindgen_start: () => void;
