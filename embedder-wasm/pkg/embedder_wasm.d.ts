/* tslint:disable */
/* eslint-disable */

declare function __wbg_reset_state(): void;

/**
 * Begins a request of `count` texts: makes room for their vectors, and forgets those of the one before.
 * With a format, base64 or float, the vectors are written as they are made, and `writeEmbeddings` need
 * only be asked for all of them at once; without, they are kept.
 */
export function begin(count: number, dimensions: number, base64?: boolean | null): void;

/**
 * Embeds texts and returns how many words they have together; the model reads the first
 * `maxInputTokens` of each. The texts are in the first `byte_length` bytes of the input buffer, one
 * byte between two of them, and their lengths, as JavaScript counts, where `textLengthsAddress` says.
 * With `only_count` no word is read.
 */
export function embedTexts(byte_length: number, only_count: boolean): number;

/**
 * How many embeddings of this size fit in one chunk of an answer.
 */
export function embeddingsPerChunk(dimensions: number, base64: boolean): number;

/**
 * Makes room for `byte_length` bytes of input and returns its address.
 */
export function inputAddress(byte_length: number): number;

/**
 * Checks the weights that were written and makes them the model.
 */
export function loadModel(): void;

/**
 * The loaded model's header, as JSON; an empty string when none is loaded.
 */
export function modelHeader(): string;

export function outputAddress(): number;

/**
 * After a trap: the next call from JavaScript finds a new instance, with nothing loaded.
 */
export function replaceInstance(): void;

/**
 * Makes room for the lengths of `count` texts and returns its address.
 */
export function textLengthsAddress(count: number): number;

/**
 * How many words the model read of the texts since `begin`.
 */
export function tokensRead(): number;

/**
 * Makes room for `count` vectors in place of those of the request before, and returns its address:
 * where JavaScript finds the vectors that it keeps while a large answer is sent, and puts them back.
 */
export function vectorsAddress(count: number, dimensions: number): number;

/**
 * Makes room for a weights file of `byte_length` bytes and returns its address.
 */
export function weightsAddress(byte_length: number): number;

/**
 * The length in bytes that the weights file must have, read from its first `byte_length` bytes,
 * which are in the input buffer; 0 when these do not hold the whole header yet.
 */
export function weightsLength(byte_length: number): number;

/**
 * The address of the numbers of words, u32, of the texts since `begin`.
 */
export function wordCountsAddress(): number;

/**
 * Writes a piece of the answer into the output buffer and returns its length in bytes: the elements of
 * `data` for the vectors at hand, numbered from `first_index`, with what comes before the first of
 * all. After the piece the buffer has `tail_room` bytes more. Where the vectors were written as they were
 * made, that is the piece, and only the room is made.
 */
export function writeEmbeddings(first_index: number, base64: boolean, tail_room: number): number;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly begin: (a: number, b: number, c: number) => void;
    readonly embedTexts: (a: number, b: number) => [number, number, number];
    readonly embeddingsPerChunk: (a: number, b: number) => number;
    readonly inputAddress: (a: number) => number;
    readonly loadModel: () => [number, number];
    readonly modelHeader: () => [number, number];
    readonly outputAddress: () => number;
    readonly replaceInstance: () => void;
    readonly textLengthsAddress: (a: number) => number;
    readonly tokensRead: () => number;
    readonly vectorsAddress: (a: number, b: number) => number;
    readonly weightsAddress: (a: number) => number;
    readonly weightsLength: (a: number) => [number, number, number];
    readonly wordCountsAddress: () => number;
    readonly writeEmbeddings: (a: number, b: number, c: number) => number;
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
