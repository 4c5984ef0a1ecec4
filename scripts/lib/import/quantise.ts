// Weights in 8 or 10 bits: a scale for each row, and the order in which the kernel reads them. model/FORMAT.md has both.

/** The largest level of a signed byte that has a negative of its own. */
export const LARGEST_LEVEL = 127;
/** Of 10 bits: larger ones could overflow the kernel's sums. */
const LARGEST_WIDE_LEVEL = 511;
/** Added and taken away again, rounds an f64 below 2^51 to a whole number, halves to the even one. */
const ROUNDING = 1.5 * 2 ** 52;

/** A panel has eight rows, and of each two columns that lie beside each other. */
const PANEL_ROWS = 8;
const PANEL_COLUMNS = 2;
/** Row r + 4 of a panel lies in the upper bytes of the 16-bit numbers of which row r has the lower ones. */
const HALF_PANEL_ROWS = 4;
/** Turns a signed byte into an unsigned one that is 128 larger. */
const TOP_BIT = 0x80;

export interface QuantisedRows<Levels extends Int8Array | Int16Array = Int8Array> {
  /** [rows, columns], row-major; 16-bit numbers hold 10 bits. */
  levels: Levels;
  /** [rows]: a value is its level times its row's scale. */
  scales: Float32Array;
}

/** In 8 bits. */
export function quantiseRows(values: Float32Array, rows: number, columns: number): QuantisedRows {
  return roundedRows(values, columns, new Int8Array(rows * columns), LARGEST_LEVEL);
}

/** As `quantiseRows`, in 10 bits. */
export function quantiseRowsWide(
  values: Float32Array,
  rows: number,
  columns: number,
): QuantisedRows<Int16Array> {
  return roundedRows(values, columns, new Int16Array(rows * columns), LARGEST_WIDE_LEVEL);
}

function roundedRows<Levels extends Int8Array | Int16Array>(
  values: Float32Array,
  columns: number,
  levels: Levels,
  largestLevel: number,
): QuantisedRows<Levels> {
  const scales = Float32Array.from({ length: levels.length / columns }, (_, row) =>
    usualScale(values.subarray(row * columns, (row + 1) * columns), largestLevel),
  );
  values.forEach((value, place) => {
    levels[place] = roundedLevel(value / scales[Math.floor(place / columns)]!, largestLevel);
  });
  return { levels, scales };
}

/** By it the largest value has the largest level. */
export function usualScale(row: Float32Array, largestLevel: number): number {
  const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // 1 for zeros, or what is so near to zero that no f32 scale could say how near.
  return Math.fround(largest / largestLevel) || 1;
}

/** Halves to the even level. */
export function roundedLevel(value: number, largestLevel: number): number {
  return Math.max(-largestLevel, Math.min(largestLevel, value + ROUNDING - ROUNDING));
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

/** The shape of a matrix of 10 bits in panels: panel, pair of columns, row of the panel, column of the pair. */
export function widePanelShape(rows: number, columns: number): number[] {
  return [rows / PANEL_ROWS, columns / PANEL_COLUMNS, PANEL_ROWS, PANEL_COLUMNS];
}

export function inWidePanels(levels: Int16Array, rows: number, columns: number): Int16Array {
  const panels = new Int16Array(levels.length);
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
