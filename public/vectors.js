// @ts-check
// The arithmetic of the page: no DOM, no requests.

/** @typedef {Float32Array} Vector */

/** @param {Vector} a @param {Vector} b */
export function dot(a, b) {
  return dotOf(a, b, 0, a.length);
}

/** The part of a dot product that the values from `from` to before `to` give. @param {Vector} a @param {Vector} b @param {number} from @param {number} to */
export function dotOf(a, b, from, to) {
  // Four sums at once: a single one would wait for each addition before the next.
  let [first, second, third, fourth] = [0, 0, 0, 0];
  let i = from;
  for (; i + 4 <= to; i += 4) {
    first += a[i] * b[i];
    second += a[i + 1] * b[i + 1];
    third += a[i + 2] * b[i + 2];
    fourth += a[i + 3] * b[i + 3];
  }
  for (; i < to; i++) first += a[i] * b[i];
  return first + second + (third + fourth);
}

/** A zero vector gives NaN. @param {Vector} a */
export function unit(a) {
  const length = norm(a);
  return a.map((value) => value / length);
}

/** @param {Vector} a */
export function norm(a) {
  return Math.sqrt(dot(a, a));
}

/**
 * NaN when either vector is zero (a text without words has no direction).
 * @param {Vector} a @param {Vector} b
 */
export function cosine(a, b) {
  const similarity = dot(a, b) / (norm(a) * norm(b));
  return Math.max(-1, Math.min(1, similarity));
}

/** @param {Vector} a @param {Vector} b */
export function distance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

/**
 * All pairs of a symmetric measure, row by row.
 * @param {Vector[]} vectors @param {(a: Vector, b: Vector) => number} measure
 */
export function pairwise(vectors, measure) {
  const rows = vectors.map(() => new Float64Array(vectors.length));
  for (let i = 0; i < vectors.length; i++) {
    for (let j = i; j < vectors.length; j++) rows[i][j] = rows[j][i] = measure(vectors[i], vectors[j]);
  }
  return rows;
}

/**
 * The column with the highest value of a row of similarities, the row itself left out; -1 if there is none.
 * @param {Float64Array} row @param {number} self
 */
export function nearest(row, self) {
  let best = -1;
  for (let j = 0; j < row.length; j++) {
    if (j !== self && !Number.isNaN(row[j]) && (best < 0 || row[j] > row[best])) best = j;
  }
  return best;
}

/**
 * @typedef {object} DimensionCost
 * @property {number} dimensions
 * @property {number} mean mean absolute change of the cosine similarity, over all pairs
 * @property {number} max the largest change
 * @property {[number, number]} maxPair the pair that changes most
 * @property {number} nearestKept how many texts keep their nearest neighbour
 */

/**
 * What keeping only the first N values does to the cosine similarities, for each N of `counts` (ascending).
 * One pass over the values: every pair's dot product and every norm is carried from one N to the next.
 * @param {Vector[]} vectors full ones @param {number[]} counts
 * @returns {DimensionCost[]}
 */
export function dimensionCosts(vectors, counts) {
  const n = vectors.length;
  const full = pairwise(vectors, cosine);
  const fullNearest = full.map((row, i) => nearest(row, i));
  const dots = vectors.map(() => new Float64Array(n));
  let from = 0;
  return counts.map((count) => {
    let sum = 0;
    let pairs = 0;
    let max = 0;
    /** @type {[number, number]} */
    let maxPair = [0, Math.min(1, n - 1)];
    for (let i = 0; i < n; i++) {
      for (let j = i; j < n; j++) {
        let more = 0;
        for (let k = from; k < count; k++) more += vectors[i][k] * vectors[j][k];
        dots[i][j] += more;
        if (i !== j) dots[j][i] = dots[i][j];
      }
    }
    from = count;
    const cosines = dots.map((row, i) => row.map((value, j) => value / Math.sqrt(row[i] * dots[j][j])));
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const change = Math.abs(cosines[i][j] - full[i][j]);
        if (Number.isNaN(change)) continue;
        sum += change;
        pairs += 1;
        if (change > max) [max, maxPair] = [change, [i, j]];
      }
    }
    const nearestKept = cosines.filter((row, i) => nearest(row, i) === fullNearest[i]).length;
    return { dimensions: count, mean: pairs ? sum / pairs : 0, max, maxPair, nearestKept };
  });
}

/**
 * Powers of two from 8 up to the full number of dimensions, and that number itself.
 * @param {number} dimensions
 */
export function dimensionSteps(dimensions) {
  const steps = [];
  for (let step = Math.min(8, dimensions); step < dimensions; step *= 2) steps.push(step);
  return [...steps, dimensions];
}

/**
 * The first two principal components, by subspace iteration: a few directions at once are multiplied by the
 * data's covariance and made orthogonal again until they stop turning. Starts from fixed numbers and fixes the
 * signs, so that the same texts always give the same picture.
 * @param {Vector[]} vectors @param {number} tolerance of a direction's variance, as a share of all
 * @returns {{ points: [number, number][], explained: [number, number] }} explained: shares of the variance
 */
export function principalComponents(vectors, tolerance = 1e-10) {
  const n = vectors.length;
  const size = n ? vectors[0].length : 0;
  const mean = new Float64Array(size);
  for (const vector of vectors) for (let k = 0; k < size; k++) mean[k] += vector[k] / n;
  const centred = vectors.map((vector) => Float64Array.from(vector, (value, k) => value - mean[k]));
  const total = centred.reduce((sum, row) => sum + dot64(row, row), 0);
  const width = Math.min(6, n, size);
  if (!(total > 1e-12) || width < 1) return { points: vectors.map(() => [0, 0]), explained: [0, 0] };

  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5;
  /** @type {Float64Array[]} */
  let basis = Array.from({ length: width }, () => Float64Array.from({ length: size }, random));
  let strengths = new Array(width).fill(0);
  for (let round = 0; round < 200; round++) {
    basis = orthonormal(basis);
    const next = basis.map((direction) => multiplyCovariance(centred, direction));
    const strengthsNow = basis.map((direction, i) => dot64(direction, next[i]));
    const turned = strengthsNow.slice(0, 2).some((s, i) => Math.abs(s - strengths[i]) > tolerance * total);
    strengths = strengthsNow;
    basis = next;
    if (!turned && round > 3) break;
  }
  const axes = orthonormal(basis)
    .map((axis) => ({ axis, strength: dot64(axis, multiplyCovariance(centred, axis)) }))
    .sort((a, b) => b.strength - a.strength)
    .slice(0, 2);
  const coordinates = axes.map(({ axis }) => {
    const values = centred.map((row) => dot64(row, axis));
    const sign =
      values.reduce((far, value) => (Math.abs(value) > Math.abs(far) + 1e-9 ? value : far), 0) < 0 ? -1 : 1;
    return values.map((value) => value * sign);
  });
  return {
    points: vectors.map((_, i) => [coordinates[0][i], coordinates[1]?.[i] ?? 0]),
    explained: [axes[0].strength / total, (axes[1]?.strength ?? 0) / total],
  };
}

/** @param {Float64Array} a @param {Float64Array} b */
function dot64(a, b) {
  let [first, second] = [0, 0];
  let i = 0;
  for (; i + 2 <= a.length; i += 2) {
    first += a[i] * b[i];
    second += a[i + 1] * b[i + 1];
  }
  if (i < a.length) first += a[i] * b[i];
  return first + second;
}

/** @param {Float64Array[]} rows @param {Float64Array} direction */
function multiplyCovariance(rows, direction) {
  const product = new Float64Array(direction.length);
  for (const row of rows) {
    const along = dot64(row, direction);
    for (let k = 0; k < product.length; k++) product[k] += along * row[k];
  }
  return product;
}

/**
 * Gram-Schmidt, twice over for accuracy; a direction that vanishes stays zero.
 * @param {Float64Array[]} directions
 */
function orthonormal(directions) {
  /** @type {Float64Array[]} */
  const done = [];
  for (const direction of directions) {
    const rest = Float64Array.from(direction);
    const before = Math.sqrt(dot64(rest, rest));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of done) {
        const along = dot64(rest, other);
        for (let k = 0; k < rest.length; k++) rest[k] -= along * other[k];
      }
    }
    const length = Math.sqrt(dot64(rest, rest));
    done.push(length > 1e-10 * before ? rest.map((value) => value / length) : rest.fill(0));
  }
  return done;
}

/**
 * The shortest decimal that reads back to the same 32-bit float: what the endpoint prints, too.
 * @param {number} value
 */
export function shortestFloat(value) {
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(Number(value.toPrecision(9)));
}

/** @param {Vector} vector */
export function toJson(vector) {
  return `[${Array.from(vector, shortestFloat).join(",")}]`;
}

/** Little-endian 32-bit floats, as `encoding_format: "base64"` has them. @param {Vector} vector */
export function toBase64(vector) {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, i) => view.setFloat32(i * 4, value, true));
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}

/** @param {string} base64 @returns {Vector} */
export function fromBase64(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
}
