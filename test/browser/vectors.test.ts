// The page's arithmetic, against libraries and against definitions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PCA } from "ml-pca";
import * as vectors from "../../public/vectors.js";

/** Repeatable numbers from -0.5 to 0.5. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647 - 0.5;
}

function randomVectors(count: number, size: number, seed: number): Float32Array[] {
  const next = randomNumbers(seed);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: size }, (_, k) => next() / (1 + k / 4)),
  );
}

for (const [count, size] of [
  [3, 512],
  [4, 512],
  [12, 32],
  [200, 64],
  [5, 2],
  [40, 1],
] as const) {
  test(`principal components of ${count} vectors of ${size} values are those of ml-pca, apart from sign`, () => {
    const data = randomVectors(count, size, count * 1000 + size);
    const { points, explained } = vectors.principalComponents(data);
    const reference = new PCA(data.map((vector) => Array.from(vector)));
    const shares = reference.getExplainedVariance();
    const projected = reference.predict(data.map((vector) => Array.from(vector))).to2DArray();
    for (const axis of [0, 1] as const) {
      assert.ok(Math.abs(explained[axis] - (shares[axis] ?? 0)) < 1e-6, `share of axis ${axis}`);
      if ((shares[axis] ?? 0) < 1e-9) continue;
      const sign = Math.sign(points.reduce((sum, point, i) => sum + point[axis] * projected[i][axis], 0));
      points.forEach((point, i) => {
        assert.ok(Math.abs(point[axis] - sign * projected[i][axis]) < 1e-3, `axis ${axis} of vector ${i}`);
      });
    }
  });
}

test("principal components of equal vectors, of one vector and of none are points at the origin", () => {
  const same = Float32Array.of(0.1, 0.2, 0.3);
  assert.deepEqual(vectors.principalComponents([same, same, same]), {
    points: [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    explained: [0, 0],
  });
  assert.deepEqual(vectors.principalComponents([same]), { points: [[0, 0]], explained: [0, 0] });
  assert.deepEqual(vectors.principalComponents([]), { points: [], explained: [0, 0] });
});

test("the cosine of vectors that point the same way is 1, opposite ways -1, and of a zero vector not a number", () => {
  const a = Float32Array.of(1, 2, 3);
  assert.equal(vectors.cosine(a, Float32Array.of(2, 4, 6)), 1);
  assert.equal(vectors.cosine(a, Float32Array.of(-1, -2, -3)), -1);
  assert.equal(vectors.cosine(a, new Float32Array(3)), NaN);
});

test("the cost of fewer dimensions is what cutting the vectors and comparing anew gives", () => {
  const data = randomVectors(9, 64, 5);
  const full = vectors.pairwise(data, vectors.cosine);
  for (const cost of vectors.dimensionCosts(data, [8, 17, 64])) {
    const cut = vectors.pairwise(
      data.map((vector) => vector.slice(0, cost.dimensions)),
      vectors.cosine,
    );
    const changes = [];
    for (let i = 0; i < 9; i++)
      for (let j = i + 1; j < 9; j++) changes.push(Math.abs(cut[i][j] - full[i][j]));
    const kept = data.filter((_, i) => vectors.nearest(cut[i], i) === vectors.nearest(full[i], i)).length;
    assert.ok(Math.abs(cost.mean - changes.reduce((sum, change) => sum + change, 0) / changes.length) < 1e-9);
    assert.ok(Math.abs(cost.max - Math.max(...changes)) < 1e-9);
    assert.equal(cost.nearestKept, kept);
  }
});

test("a float is written as the shortest decimal that reads back to it", () => {
  const next = randomNumbers(11);
  for (let i = 0; i < 20_000; i++) {
    const value = Math.fround(next() * 10 ** Math.round(next() * 40));
    const text = vectors.shortestFloat(value);
    assert.equal(Math.fround(Number(text)), value, text);
    const digits = text
      .replace(/e.*/, "")
      .replace(/\D/g, "")
      .replace(/^0+|0+$/g, "").length;
    if (digits > 1)
      assert.notEqual(Math.fround(Number(value.toPrecision(digits - 1))), value, `${text} could be shorter`);
  }
});

test("base64 goes there and back, as little-endian floats", () => {
  const [vector] = randomVectors(1, 512, 3);
  const base64 = vectors.toBase64(vector);
  assert.equal(base64, Buffer.from(vector.buffer).toString("base64"));
  assert.deepEqual(vectors.fromBase64(base64), vector);
});
