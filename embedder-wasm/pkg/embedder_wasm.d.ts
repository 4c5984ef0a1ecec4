/* tslint:disable */
/* eslint-disable */

declare function __wbg_reset_state(): void;

/**
 * Begins to load a weights file; any number of loads may go on side by side.
 */
export function beginLoad(): number;

/**
 * Counts the tokens of `count` texts, which are in the input area: their lengths in UTF-16 units, `[u32; count]`, and
 * then the texts in UTF-8, `byte_length` bytes with one byte between two of them. The output area has
 * then for each text two u32, its tokens and how many of them the model reads.
 */
export function countTokens(model: number, count: number, byte_length: number): void;

/**
 * Gives a load up, with its memory. A load that is gone already is no error.
 */
export function dropLoad(load: number): void;

/**
 * Gives a model's memory back. A model that is gone already is no error.
 */
export function dropModel(model: number): void;

/**
 * Embeds texts, which are in the input area as `countTokens` has them, and returns how many were done: those that
 * the budget of multiply-adds allows. `format` is 0 for elements of `data` with numbers, 1 for such
 * with base64, 2 for little-endian f32. `first_index` is the place of the first text in its request. Behind the texts are
 * `begun_bytes` bytes, of the call before for the same request, which left the first text half-way. What
 * the output area has then, `batch::embed` says.
 */
export function embed(model: number, count: number, byte_length: number, dimensions: number, format: number, first_index: number, work_budget: number, begun_bytes: number): number;

/**
 * How many embeddings of this size fit in one chunk, of 2 MiB, of an answer.
 */
export function embeddingsPerChunk(dimensions: number, base64: boolean): number;

/**
 * Writes `count` vectors, f32 in the input area, as elements of `data` into the output area and returns their length
 * in bytes. `format` is 0 or 1, as in `embed`.
 */
export function encode(count: number, dimensions: number, format: number, first_index: number): number;

/**
 * Checks the weights that were written and makes a model of them. Throws the reason why they are refused; the load
 * is gone either way.
 */
export function finishLoad(load: number): number;

/**
 * Makes room for so many bytes in the input area, keeps what is there, and returns the area's address.
 */
export function inputAddress(byte_length: number): number;

/**
 * What is to be known about a model, as JSON.
 */
export function modelInfo(model: number): string;

/**
 * The address of the output area. Behind every output there is room for 4 KiB more.
 */
export function outputAddress(): number;

/**
 * The length in bytes that a file must have, read from its first `byte_length` bytes, which are in the input
 * area; 0 when these do not hold the whole header yet. Throws the reason why a file is refused.
 */
export function readHead(load: number, byte_length: number): number;

/**
 * After a trap: the next call from JavaScript finds a new instance, with nothing loaded. This alone may be called
 * when the call before never ended.
 */
export function replaceInstance(): void;

/**
 * Where the whole file is to be written, from its first byte on; the same address until the load ends.
 */
export function weightsAddress(load: number): number;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly beginLoad: () => number;
    readonly countTokens: (a: number, b: number, c: number) => [number, number];
    readonly dropLoad: (a: number) => void;
    readonly dropModel: (a: number) => void;
    readonly embed: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => [number, number, number];
    readonly embeddingsPerChunk: (a: number, b: number) => number;
    readonly encode: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly finishLoad: (a: number) => [number, number, number];
    readonly inputAddress: (a: number) => number;
    readonly modelInfo: (a: number) => [number, number, number, number];
    readonly outputAddress: () => number;
    readonly readHead: (a: number, b: number) => [number, number, number];
    readonly replaceInstance: () => void;
    readonly weightsAddress: (a: number) => [number, number, number];
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
