// @ts-check
// The way to the web worker, where all the arithmetic is done: the page itself only draws.

/** @typedef {import("./compute-worker.js").Tasks} Tasks */
/** @typedef {{ resolve: (value: any) => void, reject: (reason: Error) => void, part?: ((part: any) => void) | undefined }} Waiting */

const worker = new Worker(new URL("./compute-worker.js", import.meta.url), { type: "module" });
/** @type {Map<number, Waiting>} */
const waiting = new Map();
let lastId = 0;

worker.addEventListener("message", ({ data: { id, part, value, error } }) => {
  const one = waiting.get(id);
  if (!one) return;
  if (part !== undefined) return one.part?.(part);
  waiting.delete(id);
  if (error === undefined) one.resolve(value);
  else one.reject(new Error(error));
});
worker.addEventListener("error", (event) => {
  for (const { reject } of waiting.values())
    reject(new Error(`The page's web worker failed: ${event.message}`));
  waiting.clear();
});

/**
 * @template {keyof Tasks} Name
 * @param {Name} task @param {Parameters<Tasks[Name]>[0]} args @param {Transferable[]} transfer
 * @returns {Promise<Awaited<ReturnType<Tasks[Name]>>>}
 */
export function compute(task, args, transfer = []) {
  return new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, task, args }, { transfer });
  });
}

/**
 * The comparison of many texts comes in parts, the quickest first. An abort ends it at the next part, in silence.
 * @param {import("./compute-worker.js").Comparison} args @param {AbortSignal} signal
 * @param {(part: import("./compute-worker.js").ComparisonPart) => void} onPart
 */
export function compareInParts(args, signal, onPart) {
  return new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject, part: (part) => !signal.aborted && onPart(part) });
    signal.addEventListener("abort", () => worker.postMessage({ cancel: id }), { once: true });
    worker.postMessage({ id, compare: args });
  });
}
