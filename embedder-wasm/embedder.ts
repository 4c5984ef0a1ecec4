/**
 * The TypeScript half of the boundary to wasm, and the only file that knows an address. Texts go in through an input
 * area and answers come out through an output area; nothing of a request stays there between two calls.
 *
 * A view of wasm memory that a function returns is good until the next call of any function here: read or copy it
 * before anything else runs.
 */
import * as wasm from "./pkg/embedder_wasm.js";

/** What a model says of itself: `ModelInfo` in src/models/info.rs. */
export interface ModelInfo {
  name: string;
  architecture: "static" | "bert";
  tokenizer: string;
  dtype: string;
  dimensions: number;
  /** The encoder's own: what comes after them is the lexical part. */
  semanticDimensions: number;
  maxInputTokens: number;
  maxRequestTokens: number;
  normalize: boolean;
  /** What one token of the longest text takes; in a shorter one it is less. */
  multiplyAddsPerToken: number;
  /** Other names under which the model is served, each with its default dimensions. */
  aliases: Record<string, number>;
  /** What comes before a question, and before a text that may answer one. */
  prompts: { query: string | null; document: string | null };
}

/** Floats or base64 as JSON, or the 32-bit floats themselves, little-endian. */
export type Format = "float" | "base64" | "vectors";
const FORMAT_NUMBERS: Record<Format, number> = { float: 0, base64: 1, vectors: 2 };

/** A loaded model. It is gone when it was dropped, and when its instance was replaced. */
export interface Model {
  instance: number;
  readonly handle: number;
}

/** A weights file that cannot be used; the message says why. */
export class WeightsRefused extends Error {}

/** The model was dropped, or it or a load was in an instance that has been replaced since. */
export class Gone extends Error {
  constructor() {
    super("the model is not in the embedder any more");
  }
}

/** Room behind every output of the embedder. */
const TAIL_ROOM_BYTES = 4096;
/** Texts cross the boundary together, since each crossing costs as much as embedding some words. */
const BLOCK_CHARACTERS = 64 * 1024;
const BLOCK_VECTOR_BYTES = 1024 * 1024;
/** Vectors themselves are copied out: in blocks that the processor's caches still hold then. */
const BLOCK_COPIED_BYTES = 256 * 1024;
/** A file's header is mostly within its first bytes; where it is longer, so much more is looked at. */
const HEAD_BYTES = 64 * 1024;
const NO_INSTANCE = -1;
const NO_BYTES = new Uint8Array(0);

const utf8Encoder = new TextEncoder();
let source: WebAssembly.Module | BufferSource;
let memory: WebAssembly.Memory;
let instance = 0;

/** Before anything else, once. */
export function startEmbedder(module: WebAssembly.Module | BufferSource): void {
  source = module;
  ({ memory } = wasm.initSync({ module }));
}

/** After a trap. All models and loads of the old instance are gone. */
export function replaceInstance(): void {
  wasm.replaceInstance();
  instance++;
  // The next call makes the new instance; until then `initSync` would return the old one.
  wasm.embeddingsPerChunk(1, false);
  ({ memory } = wasm.initSync({ module: source }));
}

/** A trap leaves an instance that must not be used again. */
export function isTrap(error: unknown): error is WebAssembly.RuntimeError {
  return error instanceof WebAssembly.RuntimeError;
}

// ----------------------------------------------------------------------------------------------- loading

/**
 * A weights file on its way into wasm memory: each chunk is copied once, into its final place. Its length is known
 * when its header is, so that there is one allocation.
 */
export class Load {
  /** Bytes so far. */
  received = 0;
  /** The file's length by its header; 0 until that is whole. */
  total = 0;
  private readonly instance = instance;
  private readonly handle = wasm.beginLoad();
  private head: Uint8Array = NO_BYTES;

  /** `makeRoom` is called with the file's length before memory is taken for it. */
  constructor(private readonly makeRoom: (byteLength: number) => void = () => {}) {}

  /** The next bytes of the file. */
  append(chunk: Uint8Array): void {
    checkInstance(this.instance);
    if (this.total > 0) {
      this.copy(chunk);
      return;
    }
    const head = this.head.byteLength === 0 ? chunk : joined([this.head, chunk]);
    input(head.byteLength).set(head);
    this.total = refusedAsWeights(() => wasm.readHead(this.handle, head.byteLength));
    if (this.total === 0) {
      // A copy: the chunk's buffer is the reader's.
      this.head = head === chunk ? chunk.slice() : head;
      this.received = head.byteLength;
      return;
    }
    this.makeRoom(this.total);
    this.head = NO_BYTES;
    this.received = 0;
    this.copy(head);
  }

  /** Checks the whole file and makes the model. */
  finish(): Model {
    checkInstance(this.instance);
    if (this.total === 0 || this.received < this.total) {
      throw new WeightsRefused(
        `the file ends after ${this.received} bytes; its header describes ${this.total === 0 ? "more" : this.total}`,
      );
    }
    return { instance, handle: refusedAsWeights(() => wasm.finishLoad(this.handle)) };
  }

  /** Gives its memory back, where the load did not come to its end. */
  drop(): void {
    if (this.instance === instance) wasm.dropLoad(this.handle);
  }

  private copy(chunk: Uint8Array): void {
    if (this.received + chunk.byteLength > this.total) {
      throw new WeightsRefused(`the file goes on after the ${this.total} bytes that its header describes`);
    }
    bytesAt(wasm.weightsAddress(this.handle) + this.received, chunk.byteLength).set(chunk);
    this.received += chunk.byteLength;
  }
}

/** A whole weights file. */
export function loadWhole(file: Uint8Array): Model {
  const load = new Load();
  try {
    for (let start = 0; start < file.byteLength;) {
      const end = load.total > 0 ? file.byteLength : start + HEAD_BYTES;
      load.append(file.subarray(start, end));
      start = end;
    }
    return load.finish();
  } catch (error) {
    if (!isTrap(error)) load.drop();
    throw error;
  }
}

export function modelInfo({ instance, handle }: Model): ModelInfo {
  checkInstance(instance);
  return JSON.parse(wasm.modelInfo(handle)) as ModelInfo;
}

export function dropModel(model: Model): void {
  if (model.instance === instance) wasm.dropModel(model.handle);
  model.instance = NO_INSTANCE;
}

// --------------------------------------------------------------------------------------------- embedding

/** Of each text in turn: its tokens, and how many of them the model reads. */
export function countTokens(model: Model, texts: string[]): Uint32Array {
  checkInstance(model.instance);
  const counts = new Uint32Array(2 * texts.length);
  for (let first = 0; first < texts.length;) {
    const end = endOfBlock(texts, first, texts.length);
    const byteLength = writeTexts(texts.slice(first, end));
    wasm.countTokens(model.handle, end - first, byteLength);
    counts.set(new Uint32Array(memory.buffer, wasm.outputAddress(), 2 * (end - first)), 2 * first);
    first = end;
  }
  return counts;
}

export interface EmbedOptions {
  /** The first this many values of each vector. */
  dimensions: number;
  format: Format;
  /** Where in `texts` to go on. */
  firstIndex: number;
  /** In multiply-adds: the slice ends before the text that would go beyond it. */
  workBudget: number;
  /** What the slice before has begun, where it has. */
  begun?: Uint8Array | undefined;
}

/** What one call of `embed` has done. */
export interface Slice {
  /** How many texts; it may be that the first one is only begun. */
  done: number;
  /** Whether it was the work budget that ended the slice. */
  isBudgetSpent: boolean;
  /** [done, 3]: tokens, tokens read, and 1 for the zero vector. A view. */
  counts: Uint32Array;
  /** Elements of `data`, the first with all that stands before it in the answer, or vectors. A view. */
  elements: Uint8Array<ArrayBuffer>;
  /** How far the next text is, where a transformer has stopped between two layers. A view. */
  begun: Uint8Array<ArrayBuffer> | undefined;
}

/** Embeds texts from `firstIndex` on, as many as fit into one slice. */
export function embed(model: Model, texts: string[], options: EmbedOptions): Slice {
  checkInstance(model.instance);
  const { dimensions, format, firstIndex, workBudget, begun } = options;
  const blockBytes = format === "vectors" ? BLOCK_COPIED_BYTES : BLOCK_VECTOR_BYTES;
  const mostTexts = Math.max(1, Math.floor(blockBytes / (dimensions * Float32Array.BYTES_PER_ELEMENT)));
  const end = endOfBlock(texts, firstIndex, Math.min(firstIndex + mostTexts, texts.length));
  const isWhole = firstIndex === 0 && end === texts.length;
  const byteLength = writeTexts(isWhole ? texts : texts.slice(firstIndex, end));
  const count = end - firstIndex;
  if (begun !== undefined) {
    const start = count * Uint32Array.BYTES_PER_ELEMENT + byteLength;
    input(start + begun.byteLength).set(begun, start);
  }
  const done = wasm.embed(
    model.handle,
    count,
    byteLength,
    dimensions,
    FORMAT_NUMBERS[format],
    firstIndex,
    workBudget,
    begun?.byteLength ?? 0,
  );
  const address = wasm.outputAddress();
  const head = new Uint32Array(memory.buffer, address, 2 + 3 * done);
  const elements = bytesAt(address + head.byteLength, head[0]!);
  const begunBytes = head[1]!;
  return {
    done,
    isBudgetSpent: done < count,
    counts: head.subarray(2),
    elements,
    begun: begunBytes > 0 ? bytesAt(elements.byteOffset + elements.byteLength, begunBytes) : undefined,
  };
}

/** Elements of `data` of vectors that were kept. A view. */
export function encode(
  vectors: Float32Array,
  { dimensions, format, firstIndex }: { dimensions: number; format: Format; firstIndex: number },
): Uint8Array<ArrayBuffer> {
  input(vectors.byteLength).set(new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  const count = vectors.length / dimensions;
  const byteLength = wasm.encode(count, dimensions, FORMAT_NUMBERS[format], firstIndex);
  return bytesAt(wasm.outputAddress(), byteLength);
}

/** The elements that the last call returned, with a text behind them: a view, unless the text is a long one. */
export function withTail(elements: Uint8Array<ArrayBuffer>, tail: string): Uint8Array<ArrayBuffer> {
  if (tail.length * 3 > TAIL_ROOM_BYTES) return joined([elements, utf8Encoder.encode(tail)]);
  const end = elements.byteOffset + elements.byteLength;
  const { written } = utf8Encoder.encodeInto(tail, bytesAt(end, TAIL_ROOM_BYTES));
  return bytesAt(elements.byteOffset, elements.byteLength + written);
}

/** How many embeddings of this size fit into one chunk of an answer, of 2 MiB. */
export function embeddingsPerChunk(dimensions: number, format: "float" | "base64"): number {
  return wasm.embeddingsPerChunk(dimensions, format === "base64");
}

// ------------------------------------------------------------------------------------------------- memory

/** Where the texts that cross the boundary together end. */
function endOfBlock(texts: string[], first: number, last: number): number {
  let end = first;
  let length = 0;
  do length += texts[end++]!.length;
  while (end < last && length + texts[end]!.length < BLOCK_CHARACTERS);
  return end;
}

/**
 * Writes the texts' lengths in UTF-16 units, then the texts as UTF-8, and returns how many bytes these have. A lone
 * surrogate becomes U+FFFD; the line feed between two texts keeps the end of one and the beginning of the next from
 * becoming a pair.
 *
 * Room for three bytes a character is never too little. For a long text it would be much too much, and wasm memory
 * that has grown never shrinks: it gets room for ASCII first, and for what is left of it when that was too little.
 */
function writeTexts(texts: string[]): number {
  const lengthBytes = texts.length * Uint32Array.BYTES_PER_ELEMENT;
  const text = texts.length === 1 ? texts[0]! : texts.join("\n");
  const capacity = text.length > BLOCK_CHARACTERS ? text.length : text.length * 3;
  const address = wasm.inputAddress(lengthBytes + capacity);
  const lengths = new Uint32Array(memory.buffer, address, texts.length);
  for (let i = 0; i < texts.length; i++) lengths[i] = texts[i]!.length;
  const { read, written } = utf8Encoder.encodeInto(text, bytesAt(address + lengthBytes, capacity));
  if (read === text.length) return written;
  const rest = text.slice(read);
  const start = lengthBytes + written;
  const restAddress = wasm.inputAddress(start + rest.length * 3) + start;
  return written + utf8Encoder.encodeInto(rest, bytesAt(restAddress, rest.length * 3)).written;
}

function input(byteLength: number): Uint8Array<ArrayBuffer> {
  return bytesAt(wasm.inputAddress(byteLength), byteLength);
}

/** Made afresh each time: memory that grew has left its older views behind. */
function bytesAt(address: number, byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(memory.buffer as ArrayBuffer, address, byteLength);
}

/** Copies parts one behind the other. */
export function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.byteLength;
  }
  return whole;
}

function checkInstance(wanted: number): void {
  if (wanted !== instance) throw new Gone();
}

/** The embedder throws plain errors with the reason; a trap is another thing and passes. */
function refusedAsWeights<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (isTrap(error)) throw error;
    throw new WeightsRefused((error as Error).message);
  }
}
