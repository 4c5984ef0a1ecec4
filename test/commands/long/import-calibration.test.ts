// Rounding that takes texts into account: what goes into each matrix, and what the rounding makes of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { calibrationIds, readTexts } from "../../../scripts/lib/import/calibration.js";
import { inverseFactor, product, transposed } from "../../../scripts/lib/import/matrix.js";
import { quantiseRows, quantiseRowsForInputs } from "../../../scripts/lib/import/quantise.js";
import type { WordPiece } from "../../../scripts/lib/import/wordpiece.js";
import { computed } from "../../lib/tiny-bert.js";
import { bertTensors, VOCABULARY } from "../../lib/tiny-models.js";

const wave = (count: number, step = 1) =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(i * step + 1));
const near = (a: number, b: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} and ${b} differ by more than ${tolerance}`);

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
    assert.deepEqual(transposed(Float64Array.of(1, 2, 3, 4, 5, 6), 3), Float64Array.of(1, 4, 2, 5, 3, 6));
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
  const weights = Float32Array.from(wave(rows * columns, 1.3));

  /** What the rounding changes in the outputs, squared and summed over all tokens. */
  function loss(levels: Int8Array, scales: Float32Array, inputs: Float64Array): number {
    const difference = Float64Array.from(weights, (weight, place) => {
      return levels[place]! * scales[Math.floor(place / columns)]! - weight;
    });
    return product(inputs, difference, columns).reduce((sum, value) => sum + value ** 2, 0);
  }

  test("changes the outputs much less than rounding to the nearest, where inputs go together", () => {
    // Two directions make up most of each input.
    const inputs = Float64Array.from({ length: tokens * columns }, (_, place) => {
      const [token, column] = [Math.floor(place / columns), place % columns];
      return Math.sin(token) * Math.cos(column) + Math.cos(1.7 * token) + 0.05 * Math.sin(7.3 * place);
    });
    const turned = transposed(inputs, columns);
    const nearest = quantiseRows(weights, rows, columns);
    const better = quantiseRowsForInputs(weights, rows, columns, product(turned, turned, tokens));
    const [before, after] = [nearest, better].map(({ levels, scales }) => loss(levels, scales, inputs));
    assert.ok(after! < before! / 4, `${after} is not a quarter of ${before}`);
  });

  test("is rounding to the nearest by the chosen scale, where inputs have nothing to do with each other", () => {
    const products = new Float64Array(columns * columns);
    for (let i = 0; i < columns; i++) products[i * columns + i] = 1 + i;
    const { levels, scales } = quantiseRowsForInputs(weights, rows, columns, products);
    weights.forEach((weight, place) => {
      const level = Math.round(weight / scales[Math.floor(place / columns)]!);
      assert.equal(levels[place], Math.max(-127, Math.min(127, level)));
    });
  });

  test("chooses a scale near to the weights of a column whose inputs are far larger than all others", () => {
    const products = new Float64Array(columns * columns);
    for (let i = 0; i < columns; i++) products[i * columns + i] = i === 5 ? 10_000 : 1;
    const errorOf = ({ levels, scales }: { levels: Int8Array; scales: Float32Array }) =>
      Array.from({ length: rows }, (_, row) => {
        const place = row * columns + 5;
        return (levels[place]! * scales[row]! - weights[place]!) ** 2;
      }).reduce((a, b) => a + b);
    const nearest = errorOf(quantiseRows(weights, rows, columns));
    const chosen = errorOf(quantiseRowsForInputs(weights, rows, columns, products));
    assert.ok(chosen < nearest / 100, `${chosen} is not a hundredth of ${nearest}`);
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
          seen[`${layer}.${part}`] = Array.from(inputs(`encoder.layer.${layer}.${part}.weight`));
        }
      },
    );

    const { inputs } = computed(tensors, 2, ids);
    assert.deepEqual(Object.keys(seen).sort(), Object.keys(inputs).sort());
    for (const [name, rows] of Object.entries(inputs)) {
      const width = rows[0]!.length;
      for (let place = 0; place < width * width; place++) {
        const [i, j] = [Math.floor(place / width), place % width];
        const once = rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0);
        near(seen[name]![place]!, 2 * once, 1e-5 * Math.max(1, Math.abs(once)));
      }
    }
  });
});
