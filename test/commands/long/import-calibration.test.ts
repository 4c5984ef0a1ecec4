// Rounding that takes texts into account: what goes into each matrix, and what the rounding makes of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { calibrationIds, readTexts } from "../../../scripts/lib/import/calibration.js";
import { inverseFactor, product, productWithItself } from "../../../scripts/lib/import/matrix.js";
import { quantiseRows } from "../../../scripts/lib/import/quantise.js";
import { roundForInputs, type RoundedLayer } from "../../../scripts/lib/import/round-for-inputs.js";
import type { WordPiece } from "../../../scripts/lib/import/wordpiece.js";
import { computed } from "../../lib/tiny-bert.js";
import { bertTensors, VOCABULARY } from "../../lib/tiny-models.js";

const wave = (count: number, step = 1) =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(i * step + 1));
const near = (a: number, b: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} and ${b} differ by more than ${tolerance}`);

/** [rows, columns] to [columns, rows]. */
function transposed(values: Float64Array, columns: number): Float64Array {
  const rows = values.length / columns;
  return values.map((_, place) => values[(place % rows) * columns + Math.floor(place / rows)]!);
}

describe("matrices", () => {
  test("a product is the same for every number of rows, whatever its blocks", () => {
    for (const [n, m, k] of [
      [1, 1, 1],
      [3, 5, 7],
      [4, 2, 8],
      [9, 6, 3],
    ] as const) {
      const [a, b] = [wave(n * k), wave(m * k, 0.7)];
      const result = product(a, b, k);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < m; j++) {
          const sum = Array.from({ length: k }, (_, l) => a[i * k + l]! * b[j * k + l]!);
          near(
            result[i * m + j]!,
            sum.reduce((x, y) => x + y),
          );
        }
      }
    }
    for (const n of [1, 2, 3, 4, 5, 9])
      assert.deepEqual(productWithItself(wave(n * 7), 7), product(wave(n * 7), wave(n * 7), 7));
  });

  test("the factor of an inverse gives the inverse", () => {
    const n = 6;
    const columns = transposed(wave(20 * n), n);
    const a = product(columns, columns, 20);
    for (let i = 0; i < n; i++) a[i * n + i]! += 0.1;
    const u = inverseFactor(Float64Array.from(a), n);
    const ut = transposed(u, n);
    const identity = product(product(ut, ut, n), a, n);
    identity.forEach((value, place) => near(value, place % (n + 1) === 0 ? 1 : 0));
    for (let row = 0; row < n; row++)
      for (let column = 0; column < row; column++) near(u[row * n + column]!, 0);
  });
});

describe("rounding that takes inputs into account", () => {
  const [rows, columns, tokens] = [8, 16, 200];
  const linear = {
    values: Float32Array.from(wave(rows * columns, 1.3)),
    bias: Float32Array.from(wave(rows, 0.9)),
  };
  const weights = new Float64Array(tokens).fill(1 / tokens);
  /** Two directions make up most of each input, and input 5 is far larger than the others. */
  const values = Float64Array.from({ length: tokens * columns }, (_, place) => {
    const [token, column] = [Math.floor(place / columns), place % columns];
    const value = Math.sin(token) * Math.cos(column) + Math.cos(1.7 * token) + 0.05 * Math.sin(7.3 * place);
    return column === 5 ? 50 * value : value;
  });
  const inputs = { values, weights };
  const round = (exactCount: number) => roundForInputs(linear, inputs, exactCount);

  /** What the rounding changes in the outputs, squared, in the mean over all tokens. */
  function loss({ matrix, bias, exactInputs, exactColumns }: RoundedLayer): number {
    let sum = 0;
    for (let token = 0; token < tokens; token++) {
      for (let row = 0; row < rows; row++) {
        let difference = bias[row]! - linear.bias[row]!;
        for (let column = 0; column < columns; column++) {
          const exact = exactInputs.indexOf(column);
          const place = row * columns + column;
          const weight =
            exact >= 0 ? exactColumns[exact * rows + row]! : matrix.levels[place]! * matrix.scales[row]!;
          difference += (weight - linear.values[place]!) * values[token * columns + column]!;
        }
        sum += difference ** 2 / tokens;
      }
    }
    return sum;
  }

  const nearest: RoundedLayer = {
    matrix: quantiseRows(linear.values, rows, columns),
    bias: linear.bias,
    exactInputs: new Int32Array(),
    exactColumns: new Float32Array(),
  };

  test("changes the outputs much less than rounding to the nearest, where inputs go together", () => {
    const [before, after] = [nearest, round(0)].map(loss) as [number, number];
    assert.ok(after < before / 4, `${after} is not a quarter of ${before}`);
  });

  test("keeps the columns of the largest inputs in f32, with levels of 0", () => {
    const rounded = round(1);
    assert.deepEqual(rounded.exactInputs, Int32Array.of(5));
    assert.equal(rounded.exactColumns.length, rows);
    for (let row = 0; row < rows; row++) assert.equal(rounded.matrix.levels[row * columns + 5], 0);
    assert.ok(loss(rounded) < loss(round(0)) / 2);
  });

  test("names exact inputs in ascending order, and rounds the rest to levels that 8 bits hold", () => {
    const { exactInputs, matrix } = round(4);
    assert.equal(exactInputs.length, 4);
    assert.deepEqual(exactInputs, exactInputs.slice().sort());
    assert.ok(matrix.levels.every((level) => level >= -127));
  });

  test("is the same every time", () => {
    assert.deepEqual(round(2), round(2));
  });

  test("takes inputs that are always zero", () => {
    const none = { values: new Float64Array(tokens * columns), weights };
    const { matrix, bias } = roundForInputs(linear, none, 2);
    assert.ok([...matrix.levels, ...matrix.scales, ...bias].every(Number.isFinite));
  });
});

describe("the texts of a calibration", () => {
  const wordPiece: WordPiece = {
    vocabulary: VOCABULARY,
    lowerCase: true,
    stripAccents: false,
    cleanText: true,
    chineseChars: true,
    unknownToken: "[UNK]",
    continuingPrefix: "##",
    maxWordCharacters: 100,
    truncation: undefined,
    modelMaxLength: undefined,
  };
  const special = { cls: "[CLS]", sep: "[SEP]" };

  test("become the model's tokens", () => {
    const ids = calibrationIds(["Hello, worlds!", "é 漢漢 rust", "  "], wordPiece, special, 6);
    assert.deepEqual(ids, [
      [2, 5, 1, 6, 7, 3],
      [2, 9, 10, 10, 8, 3],
    ]);
  });

  test("are read as a BertModel reads them: a second computation has the same values before each matrix", () => {
    const [hidden, heads, ids] = [16, 2, [2, 5, 6, 3]];
    const tensors = bertTensors({ layers: 2 });
    const value = (name: string) => Array.from(tensors[name]!.values);
    const seen: Record<string, number[]> = {};
    const model = { hidden, heads, layers: 2, activation: "gelu" as const, layerNormEpsilon: 1e-12 };
    readTexts(
      // Two texts that know nothing of each other: the second one's share is the first one's.
      [ids, ids],
      { ...model, values: (name) => Float32Array.from(value(name)) },
      (layer, inputs) => {
        for (const part of [
          "attention.self.key",
          "attention.output.dense",
          "intermediate.dense",
          "output.dense",
        ]) {
          const { values, weights } = inputs(`encoder.layer.${layer}.${part}.weight`);
          assert.deepEqual(weights, new Float64Array(8).fill(1 / 8));
          seen[`${layer}.${part}`] = Array.from(values);
        }
      },
    );

    const { inputs } = computed(tensors, 2, ids);
    assert.deepEqual(Object.keys(seen).sort(), Object.keys(inputs).sort());
    for (const [name, rows] of Object.entries(inputs)) {
      const expected = [...rows, ...rows].flat();
      assert.equal(seen[name]!.length, expected.length);
      expected.forEach((value, place) => near(seen[name]![place]!, value, 1e-5));
    }
  });
});
