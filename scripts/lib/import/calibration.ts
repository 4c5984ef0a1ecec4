// What goes into each matrix of a BERT when it reads given texts, so that rounding the matrix's weights can take it
// into account (round-for-inputs.ts). Computed by the model itself, in f64, layer by layer for all texts.
import type { Activation } from "./bert.js";
import { product } from "./matrix.js";
import type { MatrixInputs } from "./round-for-inputs.js";
import type { SpecialTokens, WordPiece } from "./wordpiece.js";

/** What goes into a matrix, by its name. */
export type InputsOf = (matrix: string) => MatrixInputs;

export interface CalibrationModel {
  hidden: number;
  heads: number;
  layers: number;
  activation: Activation;
  layerNormEpsilon: number;
  /** A tensor's values, by its name in BertModel. */
  values(name: string): Float32Array;
}

/** More tokens make the rounding better only slowly, and each takes as long as the last. */
const MAX_TOKENS = 6000;

/** The ids of texts, each at most `maxTokens` long. */
export function calibrationIds(
  texts: string[],
  wordPiece: WordPiece,
  { cls, sep }: SpecialTokens,
  maxTokens: number,
): number[][] {
  const ids = new Map(wordPiece.vocabulary.map((token, id) => [token, id]));
  const read: number[][] = [];
  let count = 0;
  for (const text of texts) {
    const pieces = wordsOf(text, wordPiece).flatMap((word) => piecesOf(word, ids, wordPiece));
    if (pieces.length === 0) continue;
    read.push([ids.get(cls)!, ...pieces.slice(0, maxTokens - 2), ids.get(sep)!]);
    count += read.at(-1)!.length;
    if (count >= MAX_TOKENS) break;
  }
  return read;
}

/** As BERT splits a text, but by JavaScript's own tables of Unicode: good enough to see which values come together. */
function wordsOf(text: string, { lowerCase, stripAccents }: WordPiece): string[] {
  let clean = stripAccents ? text.normalize("NFD").replace(/\p{Mn}/gu, "") : text;
  if (lowerCase) clean = clean.toLowerCase();
  return clean.match(/[\p{P}\p{Script=Han}$+<=>^`|~]|[^\s\p{P}\p{Script=Han}$+<=>^`|~]+/gu) ?? [];
}

function piecesOf(word: string, ids: Map<string, number>, wordPiece: WordPiece): number[] {
  const pieces: number[] = [];
  const characters = [...word];
  for (let start = 0; start < characters.length;) {
    let end = characters.length;
    let id: number | undefined;
    for (; end > start && id === undefined; end--) {
      id = ids.get((start > 0 ? wordPiece.continuingPrefix : "") + characters.slice(start, end).join(""));
    }
    if (id === undefined) return [ids.get(wordPiece.unknownToken)!];
    pieces.push(id);
    start = end + 1;
  }
  return pieces;
}

/** Calls `layerRead` behind each layer, with what went into its matrices. */
export function readTexts(
  texts: number[][],
  model: CalibrationModel,
  layerRead: (layer: number, inputs: InputsOf) => void,
): void {
  const { hidden, layers } = model;
  const weights = tokenWeights(texts);
  let x = layerNorm(embedded(texts, model), "embeddings.LayerNorm", model);
  for (let layer = 0; layer < layers; layer++) {
    const name = `encoder.layer.${layer}`;
    const linear = (part: string, input: Float64Array, columns: number) =>
      applied(input, `${name}.${part}`, columns, model);
    const [q, k, v] = ["query", "key", "value"].map((part) => linear(`attention.self.${part}`, x, hidden));
    const context = attended(texts, q!, k!, v!, model);
    const y = layerNorm(
      sum(x, linear("attention.output.dense", context, hidden)),
      `${name}.attention.output.LayerNorm`,
      model,
    );
    const wide = linear("intermediate.dense", y, hidden).map(ACTIVATIONS[model.activation]);
    const intermediate = (wide.length / y.length) * hidden;
    const inputs: [part: string, values: Float64Array][] = [
      [".attention.self.", x],
      [".attention.output.dense", context],
      [".intermediate.dense", y],
      [".output.dense", wide],
    ];
    // The first part of a name that fits.
    layerRead(layer, (matrix) => ({ values: inputs.find(([part]) => matrix.includes(part))![1], weights }));
    x = layerNorm(sum(y, linear("output.dense", wide, intermediate)), `${name}.output.LayerNorm`, model);
  }
}

/** Of each token: all texts weigh the same, as each becomes one vector. Together 1. */
function tokenWeights(texts: number[][]): Float64Array {
  return Float64Array.from(
    texts.flatMap(({ length }) => new Array<number>(length).fill(1 / length / texts.length)),
  );
}

function embedded(texts: number[][], { hidden, values }: CalibrationModel): Float64Array {
  const words = values("embeddings.word_embeddings.weight");
  const positions = values("embeddings.position_embeddings.weight");
  const type = values("embeddings.token_type_embeddings.weight");
  return Float64Array.from(
    texts.flatMap((ids) =>
      ids.flatMap((id, position) =>
        Array.from(
          { length: hidden },
          (_, i) => words[id * hidden + i]! + positions[position * hidden + i]! + type[i]!,
        ),
      ),
    ),
  );
}

function applied(
  input: Float64Array,
  name: string,
  columns: number,
  { values }: CalibrationModel,
): Float64Array {
  const bias = values(`${name}.bias`);
  const result = product(input, Float64Array.from(values(`${name}.weight`)), columns);
  return result.map((value, index) => value + bias[index % bias.length]!);
}

function attended(
  texts: number[][],
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  { hidden, heads }: CalibrationModel,
): Float64Array {
  const size = hidden / heads;
  const context = new Float64Array(q.length);
  let begin = 0;
  for (const { length } of texts) {
    for (let head = 0; head < hidden; head += size) {
      for (let p = begin; p < begin + length; p++) {
        const scores = new Float64Array(length);
        for (let r = 0; r < length; r++) {
          let score = 0;
          for (let i = head; i < head + size; i++) score += q[p * hidden + i]! * k[(begin + r) * hidden + i]!;
          scores[r] = score / Math.sqrt(size);
        }
        const largest = Math.max(...scores);
        const shares = scores.map((score) => Math.exp(score - largest));
        const total = shares.reduce((a, b) => a + b);
        for (let r = 0; r < length; r++) {
          const share = shares[r]! / total;
          for (let i = head; i < head + size; i++) {
            context[p * hidden + i]! += share * v[(begin + r) * hidden + i]!;
          }
        }
      }
    }
    begin += length;
  }
  return context;
}

function layerNorm(x: Float64Array, name: string, model: CalibrationModel): Float64Array {
  const { hidden, layerNormEpsilon, values } = model;
  const [weight, bias] = [values(`${name}.weight`), values(`${name}.bias`)];
  const result = new Float64Array(x.length);
  for (let begin = 0; begin < x.length; begin += hidden) {
    const row = x.subarray(begin, begin + hidden);
    const mean = row.reduce((a, b) => a + b) / hidden;
    const variance = row.reduce((total, value) => total + (value - mean) ** 2, 0) / hidden;
    const inverse = 1 / Math.sqrt(variance + layerNormEpsilon);
    row.forEach((value, i) => (result[begin + i] = (value - mean) * inverse * weight[i]! + bias[i]!));
  }
  return result;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + b[index]!);
}

const ACTIVATIONS: Record<Activation, (x: number) => number> = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_new: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
};

/** Abramowitz and Stegun, formula 7.1.26: within 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const tail = series.reduce((value, coefficient) => value * t + coefficient, 0) * t * Math.exp(-x * x);
  return Math.sign(x) * (1 - tail);
}
