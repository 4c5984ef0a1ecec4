// Tiny model folders with random weights, of the form in which sentence-transformers and model2vec save theirs;
// and a reader of what becomes of them.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export type Json = Record<string, any>;
/** By path in the model's folder: JSON, a text or bytes. */
export type Files = Record<string, Json | string | Buffer>;
export type FloatDtype = "F32" | "F16" | "BF16";

export interface Tensor {
  dtype: string;
  shape: number[];
  values: ArrayLike<number>;
}
export type Tensors = Record<string, Tensor>;

export const VOCABULARY = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "hello",
  "world",
  "##s",
  "rust",
  "é",
  "漢",
];

export interface TinyBert {
  layers: number;
  hidden: number;
  intermediate: number;
  positions: number;
  dtype: FloatDtype;
  /** What stands before each tensor's name. */
  prefix: string;
}
const TINY: TinyBert = { layers: 1, hidden: 16, intermediate: 24, positions: 12, dtype: "F32", prefix: "" };

export function bertFiles(options: Partial<TinyBert> = {}): Files {
  const { layers, hidden, intermediate, positions } = { ...TINY, ...options };
  return {
    "config.json": {
      architectures: ["BertModel"],
      model_type: "bert",
      hidden_act: "gelu",
      hidden_size: hidden,
      intermediate_size: intermediate,
      num_attention_heads: 2,
      num_hidden_layers: layers,
      max_position_embeddings: positions,
      type_vocab_size: 2,
      vocab_size: VOCABULARY.length,
      layer_norm_eps: 1e-12,
    },
    "modules.json": JSON.stringify([
      { idx: 0, name: "0", path: "", type: "sentence_transformers.models.Transformer" },
      { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
      { idx: 2, name: "2", path: "2_Normalize", type: "sentence_transformers.models.Normalize" },
    ]),
    "1_Pooling/config.json": {
      word_embedding_dimension: hidden,
      pooling_mode_cls_token: false,
      pooling_mode_mean_tokens: true,
      pooling_mode_max_tokens: false,
    },
    "sentence_bert_config.json": { max_seq_length: 8, do_lower_case: false },
    "tokenizer.json": tokenizerJson(),
    "tokenizer_config.json": { do_lower_case: true, tokenizer_class: "BertTokenizer", model_max_length: 12 },
    "model.safetensors": safetensors(bertTensors(options)),
  };
}

export function tokenizerJson(): Json {
  return {
    version: "1.0",
    truncation: null,
    added_tokens: VOCABULARY.slice(0, 5).map((content, id) => ({ id, content, special: true })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: "[CLS]", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "[SEP]", type_id: 0 } },
      ],
      special_tokens: {
        "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
        "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
      },
    },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(VOCABULARY.map((token, id) => [token, id])),
    },
  };
}

/** All tensors of a BertModel. Their values are multiples of 1/64 below 1, so that each dtype holds them exactly. */
export function bertTensors(options: Partial<TinyBert> = {}): Tensors {
  const { layers, hidden, intermediate, positions, dtype, prefix } = { ...TINY, ...options };
  const tensors: Tensors = {};
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const add = (name: string, ...shape: number[]) => {
    const count = shape.reduce((a, b) => a * b);
    const values = Float32Array.from({ length: count }, () => Math.floor(random() * 127 - 63) / 64);
    tensors[prefix + name] = { dtype, shape, values };
  };
  const linear = (name: string, rows: number, columns: number) => {
    add(`${name}.weight`, rows, columns);
    add(`${name}.bias`, rows);
  };
  const layerNorm = (name: string) => {
    add(`${name}.weight`, hidden);
    add(`${name}.bias`, hidden);
  };
  add("embeddings.word_embeddings.weight", VOCABULARY.length, hidden);
  add("embeddings.position_embeddings.weight", positions, hidden);
  add("embeddings.token_type_embeddings.weight", 2, hidden);
  layerNorm("embeddings.LayerNorm");
  for (let layer = 0; layer < layers; layer++) {
    const name = `encoder.layer.${layer}`;
    for (const part of ["query", "key", "value"]) linear(`${name}.attention.self.${part}`, hidden, hidden);
    linear(`${name}.attention.output.dense`, hidden, hidden);
    layerNorm(`${name}.attention.output.LayerNorm`);
    linear(`${name}.intermediate.dense`, intermediate, hidden);
    linear(`${name}.output.dense`, hidden, intermediate);
    layerNorm(`${name}.output.LayerNorm`);
  }
  return tensors;
}

export function safetensors(tensors: Tensors): Buffer {
  let end = 0;
  const header: Json = { __metadata__: { format: "pt" } };
  const parts = Object.entries(tensors).map(([name, { dtype, shape, values }]) => {
    const bytes = encoded(dtype, Array.from(values));
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    return bytes;
  });
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts]);
}

function encoded(dtype: string, values: number[]): Buffer {
  const bytesPerValue = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, I8: 1 }[dtype]!;
  const bytes = Buffer.alloc(values.length * bytesPerValue);
  for (const [index, value] of values.entries()) {
    const at = index * bytesPerValue;
    if (dtype === "F64") bytes.writeDoubleLE(value, at);
    if (dtype === "I64") bytes.writeBigInt64LE(BigInt(value), at);
    if (dtype === "F32") bytes.writeFloatLE(value, at);
    if (dtype === "I32") bytes.writeInt32LE(value, at);
    if (dtype === "F16") bytes.writeUInt16LE(halfBits(value), at);
    if (dtype === "BF16") bytes.writeUInt16LE(floatBits(value) >>> 16, at);
    if (dtype === "I8") bytes.writeInt8(value, at);
  }
  return bytes;
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** For values that binary16 holds exactly. */
function halfBits(value: number): number {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 0x7e00 : value > 0 ? 0x7c00 : 0xfc00;
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return sign | (magnitude / 2 ** -24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}

export interface ReadWeightsFile {
  metadata: Record<string, string>;
  tensors: Map<string, { dtype: string; shape: number[]; start: number; bytes: Buffer }>;
}

/** Reads the container by what model/FORMAT.md says of it. */
export function readWeightsFile(file: Buffer): ReadWeightsFile {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const { __metadata__: metadata, ...entries } = JSON.parse(
    file.toString("utf8", 8, 8 + headerBytes),
  ) as Json;
  const tensors: ReadWeightsFile["tensors"] = new Map();
  let end = 8 + headerBytes;
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const start = 8 + headerBytes + offsets[0];
    assert.equal(start, end, `${name} begins where the tensor before it ends`);
    end = 8 + headerBytes + offsets[1];
    tensors.set(name, { dtype, shape, start, bytes: file.subarray(start, end) });
  }
  assert.equal(end, file.length);
  return { metadata, tensors };
}

export interface TinyFolder {
  folder: string;
  remove(): void;
}

export function writeFolder(files: Files, name = "tiny-bert"): TinyFolder {
  const root = mkdtempSync(join(tmpdir(), "embeddings-worker-import-"));
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), contentOf(content));
  }
  return { folder, remove: () => rmSync(root, { recursive: true, force: true }) };
}

export function contentOf(content: Json | string | Buffer): string | Buffer {
  return typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content);
}
