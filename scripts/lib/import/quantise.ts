// Weights in 8 bits: a scale for each row, and the order in which the kernel reads them. model/FORMAT.md has both.

/** The largest level of a signed byte that has a negative of its own. */
const LARGEST_LEVEL = 127;
/** Added and taken away again, rounds an f64 below 2^51 to a whole number, halves to the even one. */
const ROUNDING = 1.5 * 2 ** 52;

/** Rows of an I8 panel, and columns that lie beside each other in it. */
export const PANEL_ROWS = 8;
export const PANEL_COLUMNS = 2;

export interface QuantisedRows {
  /** [rows, columns], row-major. */
  levels: Int8Array;
  /** [rows]: a value is its level times its row's scale. */
  scales: Float32Array;
}

export function quantiseRows(values: Float32Array, rows: number, columns: number): QuantisedRows {
  const levels = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const begin = row * columns;
    let largest = 0;
    for (let i = begin; i < begin + columns; i++) largest = Math.max(largest, Math.abs(values[i]!));
    scales[row] = largest / LARGEST_LEVEL;
    // All zeros, or so near to zero that no f32 scale could say how near.
    if (scales[row] === 0) scales[row] = 1;
    const scale = scales[row]!;
    for (let i = begin; i < begin + columns; i++) {
      const level = values[i]! / scale + ROUNDING - ROUNDING;
      levels[i] = Math.max(-LARGEST_LEVEL, Math.min(LARGEST_LEVEL, level));
    }
  }
  return { levels, scales };
}

/** [rows, columns] to [rows / 8, columns / 2, 8, 2]: what one step of the kernel multiplies lies in 16 bytes. */
export function inPanels(levels: Int8Array, rows: number, columns: number): Int8Array {
  const panels = new Int8Array(levels.length);
  let next = 0;
  for (let top = 0; top < rows; top += PANEL_ROWS) {
    for (let left = 0; left < columns; left += PANEL_COLUMNS) {
      for (let row = top; row < top + PANEL_ROWS; row++) {
        for (let column = left; column < left + PANEL_COLUMNS; column++) {
          panels[next++] = levels[row * columns + column]!;
        }
      }
    }
  }
  return panels;
}
