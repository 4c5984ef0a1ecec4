// Products of matrices in f64, for what the importer computes of a model itself. Rows lie one behind the other.

/** a [n, k] times the transpose of b [m, k], into [n, m]. */
export function product(a: Float64Array, b: Float64Array, k: number): Float64Array {
  return productFrom(a, b, k, () => 0);
}

/** a [n, k] times its own transpose, into [n, n]. */
export function productWithItself(a: Float64Array, k: number): Float64Array {
  const n = a.length / k;
  const result = productFrom(a, a, k, (row) => row);
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) result[i * n + j] = result[j * n + i]!;
  return result;
}

/**
 * Rows are taken by four and by two, to read each value less often. `firstColumn` says from which column on the results of
 * four rows are wanted: an even one.
 */
function productFrom(
  a: Float64Array,
  b: Float64Array,
  k: number,
  firstColumn: (row: number) => number,
): Float64Array {
  const [n, m] = [a.length / k, b.length / k];
  const result = new Float64Array(n * m);
  for (let i = 0; i < n; i += 4) {
    const rows = Math.min(4, n - i);
    for (let j = firstColumn(i); j < m; j += 2) {
      const columns = Math.min(2, m - j);
      // Where there is no such row, the last one once more: its sums are not kept.
      const a0 = (i + Math.min(0, rows - 1)) * k;
      const a1 = (i + Math.min(1, rows - 1)) * k;
      const a2 = (i + Math.min(2, rows - 1)) * k;
      const a3 = (i + Math.min(3, rows - 1)) * k;
      const b0 = j * k;
      const b1 = (j + columns - 1) * k;
      let s00 = 0;
      let s01 = 0;
      let s10 = 0;
      let s11 = 0;
      let s20 = 0;
      let s21 = 0;
      let s30 = 0;
      let s31 = 0;
      for (let l = 0; l < k; l++) {
        const x = b[b0 + l]!;
        const y = b[b1 + l]!;
        s00 += a[a0 + l]! * x;
        s01 += a[a0 + l]! * y;
        s10 += a[a1 + l]! * x;
        s11 += a[a1 + l]! * y;
        s20 += a[a2 + l]! * x;
        s21 += a[a2 + l]! * y;
        s30 += a[a3 + l]! * x;
        s31 += a[a3 + l]! * y;
      }
      const sums = [s00, s01, s10, s11, s20, s21, s30, s31];
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          result[(i + row) * m + j + column] = sums[2 * row + column]!;
        }
      }
    }
  }
  return result;
}

/** The upper triangular U of a symmetric positive definite matrix A [n, n] with U^T U = A^-1. Overwrites A. */
export function inverseFactor(a: Float64Array, n: number): Float64Array {
  // A = M M^T with M upper triangular, from the last column on; then U is the inverse of M.
  for (let j = n - 1; j >= 0; j--) {
    let sum = a[j * n + j]!;
    for (let l = j + 1; l < n; l++) sum -= a[j * n + l]! ** 2;
    if (!(sum > 0)) throw new Error("the matrix is not positive definite");
    const diagonal = Math.sqrt(sum);
    a[j * n + j] = diagonal;
    for (let i = 0; i < j; i++) {
      let value = a[i * n + j]!;
      for (let l = j + 1; l < n; l++) value -= a[i * n + l]! * a[j * n + l]!;
      a[i * n + j] = value / diagonal;
    }
  }
  const u = new Float64Array(n * n);
  for (let i = n - 1; i >= 0; i--) {
    const diagonal = 1 / a[i * n + i]!;
    u[i * n + i] = diagonal;
    // Row i of U, by the rows below it: U(i, :) = (e(i) - sum of M(i, l) U(l, :)) / M(i, i).
    for (let l = i + 1; l < n; l++) {
      const factor = -a[i * n + l]! * diagonal;
      for (let j = l; j < n; j++) u[i * n + j]! += factor * u[l * n + j]!;
    }
  }
  return u;
}
