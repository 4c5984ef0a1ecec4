/* tslint:disable */
/* eslint-disable */
export const memory: WebAssembly.Memory;
export const begin: (a: number, b: number, c: number) => void;
export const embedTexts: (a: number, b: number) => [number, number, number];
export const embeddingsPerChunk: (a: number, b: number) => number;
export const inputAddress: (a: number) => number;
export const loadModel: () => [number, number];
export const modelHeader: () => [number, number];
export const outputAddress: () => number;
export const replaceInstance: () => void;
export const textLengthsAddress: (a: number) => number;
export const tokensRead: () => number;
export const vectorsAddress: (a: number, b: number) => number;
export const weightsAddress: (a: number) => number;
export const weightsLength: (a: number) => [number, number, number];
export const wordCountsAddress: () => number;
export const writeEmbeddings: (a: number, b: number, c: number) => number;
export const __wbindgen_externrefs: WebAssembly.Table;
export const __externref_table_dealloc: (a: number) => void;
export const __wbindgen_free: (a: number, b: number, c: number) => void;
export const __wbindgen_start: () => void;
