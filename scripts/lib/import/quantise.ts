// Weights in 8 bits: a scale for each row, and the order in which the kernel reads them. model/FORMAT.md has both.

/** The largest level of a signed byte that has a negative of its own. */
const LARGEST_LEVEL = 127;
/** Added and taken away again, rounds an f64 below 2^51 to a whole number, halves to the even one. */
const ROUNDING = 1.5 * 2 ** 52;

/** A panel has eight rows, and of each two columns that lie beside each other. */
const PANEL_ROWS = 8;
const PANEL_COLUMNS = 2;
/** Row r + 4 of a panel lies in the upper bytes of the 16-bit numbers of which row r has the lower ones. */
const HALF_PANEL_ROWS = 4;
/** Turns a signed byte into an unsigned one that is 128 larger. */
const TOP_BIT = 0x80;

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

/** The shape of a matrix [rows, columns] in panels: panel, pair of columns, row of a half, column of the pair, half. */
export function panelShape(rows: number, columns: number): number[] {
  const halves = PANEL_ROWS / HALF_PANEL_ROWS;
  return [rows / PANEL_ROWS, columns / PANEL_COLUMNS, HALF_PANEL_ROWS, PANEL_COLUMNS, halves];
}

/**
 * What one step of the kernel multiplies lies in 16 bytes, and is loaded at once: read as 16-bit numbers they are
 * 256 x the level of row r + 4, plus 128 + the level of row r.
 */
export function inPanels(levels: Int8Array, rows: number, columns: number): Int8Array {
  const panels = new Int8Array(levels.length);
  let next = 0;
  for (let top = 0; top < rows; top += PANEL_ROWS) {
    for (let left = 0; left < columns; left += PANEL_COLUMNS) {
      for (let row = top; row < top + HALF_PANEL_ROWS; row++) {
        for (let column = left; column < left + PANEL_COLUMNS; column++) {
          panels[next++] = levels[row * columns + column]! ^ TOP_BIT;
          panels[next++] = levels[(row + HALF_PANEL_ROWS) * columns + column]!;
        }
      }
    }
  }
  return panels;
}
