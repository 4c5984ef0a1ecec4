// Rounds a matrix so that its products change little, given what it is multiplied with.
//
// - A few inputs of an encoder are a hundred times larger than the others, and the errors of their weights with them. Those
//   columns stay f32: LLM.int8() (Dettmers and others, 2022, arXiv 2208.07339).
// - The scale of a row is the one by which rounding loses least, each column counting as much as its inputs are large.
// - What rounding one weight does to the sums is taken back, as well as can be, by the weights of its row that are not yet
//   rounded: GPTQ (Frantar and others, 2022, arXiv 2210.17323), and last by those that never are: the exact columns and the bias.
import { inverseFactor, productWithItself } from "./matrix.js";
import { LARGEST_LEVEL, roundedLevel, usualScale, type QuantisedRows } from "./quantise.js";

export interface MatrixInputs {
  /** [tokens, columns] */
  values: Float64Array;
  /** [tokens] How much each token counts; together 1. */
  weights: Float64Array;
}

export interface LinearLayer {
  /** [rows, columns], row-major. */
  values: Float32Array;
  /** [rows] */
  bias: Float32Array;
}

export interface RoundedLayer {
  matrix: QuantisedRows;
  /** [rows] */
  bias: Float32Array;
  /** Ascending numbers of columns; their levels are 0. */
  exactInputs: Int32Array;
  /** [exact inputs, rows] */
  exactColumns: Float32Array;
}

/**
 * So much of the mean square of the inputs is added to each one's, as in GPTQ's paper, where it is a tenth of this: texts
 * of which there are few say little of most inputs, and other texts must not pay for it.
 */
const DAMPING = 0.1;
/** The same for what is not rounded, of its own mean square. */
const FREE_DAMPING = 0.001;
/** Inputs that are always 0 would have no inverse. */
const LEAST_SQUARE = Number.MIN_VALUE;

/** In 8 bits, but for `exactCount` columns. */
export function roundForInputs(
  { values, bias }: LinearLayer,
  inputs: MatrixInputs,
  exactCount: number,
): RoundedLayer {
  const rows = bias.length;
  const columns = values.length / rows;
  const squares = meanSquares(inputs, columns);
  const exactInputs = largestInputs(values, inputs, columns, exactCount);
  const isExact = new Set(exactInputs);
  // The columns that matter most are rounded first, while there are others to take back what that does.
  const roundedColumns = [...squares.keys()]
    .filter((column) => !isExact.has(column))
    .sort((a, b) => squares[b]! - squares[a]! || a - b);
  const importance = roundedColumns.map((column) => squares[column]!);
  const damping = (DAMPING * importance.reduce((a, b) => a + b, 0)) / importance.length;
  const order = [...roundedColumns, ...exactInputs];
  const factor = inverseFactorOf(inputs, columns, order, importance.length, damping);
  const size = columns + 1;

  const levels = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  const exactColumns = new Float32Array(exactInputs.length * rows);
  const newBias = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const weights = values.subarray(row * columns, (row + 1) * columns);
    const rest = Float64Array.from([
      ...roundedColumns.map((column) => weights[column]!),
      ...Array.from(exactInputs, (column) => weights[column]!),
      bias[row]!,
    ]);
    const scale = scaleFor(rest.subarray(0, importance.length), importance, damping);
    scales[row] = scale;
    for (let i = 0; i < importance.length; i++) {
      const level = roundedLevel(rest[i]! / scale, LARGEST_LEVEL);
      levels[row * columns + roundedColumns[i]!] = level;
      const error = (rest[i]! - level * scale) / factor[i * size + i]!;
      for (let j = i + 1; j < size; j++) rest[j]! -= error * factor[i * size + j]!;
    }
    for (let i = 0; i < exactInputs.length; i++) exactColumns[i * rows + row] = rest[importance.length + i]!;
    newBias[row] = rest[columns]!;
  }
  return { matrix: { levels, scales }, bias: newBias, exactInputs, exactColumns };
}

function meanSquares({ values, weights }: MatrixInputs, columns: number): Float64Array {
  const squares = new Float64Array(columns);
  values.forEach((value, place) => {
    squares[place % columns]! += value * value * weights[Math.floor(place / columns)]!;
  });
  return squares;
}

/** Those whose largest value, times what the column does with it, is largest. */
function largestInputs(
  values: Float32Array,
  inputs: MatrixInputs,
  columns: number,
  count: number,
): Int32Array {
  const largest = new Float64Array(columns);
  inputs.values.forEach((value, place) => {
    largest[place % columns] = Math.max(largest[place % columns]!, Math.abs(value));
  });
  const effect = new Float64Array(columns);
  values.forEach((value, place) => (effect[place % columns]! += value * value));
  effect.forEach((square, column) => (effect[column] = Math.sqrt(square) * largest[column]!));
  return Int32Array.from(
    [...effect.keys()].sort((a, b) => effect[b]! - effect[a]! || a - b).slice(0, count),
  ).sort();
}

/** Of the mean products of the inputs in this order, of which `rounded` are rounded, and of a last one that is always 1. */
function inverseFactorOf(
  inputs: MatrixInputs,
  columns: number,
  order: number[],
  rounded: number,
  damping: number,
): Float64Array {
  const size = columns + 1;
  const products = productWithItself(weighted(inputs, columns, order), inputs.weights.length);
  for (let i = 0; i < size; i++) {
    const square = products[i * size + i]!;
    products[i * size + i] = square + (i < rounded ? damping : FREE_DAMPING * square) + LEAST_SQUARE;
  }
  return inverseFactor(products, size);
}

/** Inputs in this order and a last one that is always 1, [columns + 1, tokens], times the roots of the tokens' weights. */
function weighted({ values, weights }: MatrixInputs, columns: number, order: number[]): Float64Array {
  const tokens = weights.length;
  const ordered = new Float64Array((columns + 1) * tokens);
  for (let token = 0; token < tokens; token++) {
    const root = Math.sqrt(weights[token]!);
    order.forEach((column, i) => (ordered[i * tokens + token] = values[token * columns + column]! * root));
    ordered[columns * tokens + token] = root;
  }
  return ordered;
}

/** Tried as scales of a row, times the one by which its largest value has the largest level. */
const SCALE_FACTORS = Array.from({ length: 29 }, (_, step) => 0.8 + step / 100);

function scaleFor(row: Float64Array, importance: number[], damping: number): number {
  const usual = usualScale(Float32Array.from(row), LARGEST_LEVEL);
  let best = { scale: usual, loss: Infinity };
  for (const factor of SCALE_FACTORS) {
    const scale = Math.fround(usual * factor);
    let loss = 0;
    for (let i = 0; i < row.length; i++) {
      loss +=
        (importance[i]! + damping) * (row[i]! - roundedLevel(row[i]! / scale, LARGEST_LEVEL) * scale) ** 2;
    }
    if (loss < best.loss) best = { scale, loss };
  }
  return best.scale;
}
