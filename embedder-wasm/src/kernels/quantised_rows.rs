//! Activations in 13 to 14 bits: rows of i16, each with the f32 that one step stands for.

use std::mem;

use super::lanes::{F32x4, I16x8, I32x4};
use super::product::{MAX_I8_WEIGHT, MAX_I16_INPUTS, MAX_I16_WEIGHT, Tile, tiles};

pub const MAX_ROW_VALUES: usize = 4096;
/// The largest magnitude of what attention multiplies: 12 bits with the sign.
pub const ATTENTION_STEPS: f32 = 2047.0;
/// A smaller largest value is taken as zero: it has no inverse to multiply with.
const SMALLEST: f32 = 1e-30;

/// What a linear layer reads.
#[derive(Default)]
pub struct QuantisedRows {
    count: usize,
    row_values: usize,
    /// For each tile `[row_values / 2, rows of the tile, 2]`: what a product reads lies in the order in which it does.
    values: Vec<i16>,
    /// `[count]` What a step stands for.
    scales: Vec<f32>,
    /// `[count]` The sum of a row's values.
    sums: Vec<i32>,
    /// `[count, exact inputs]` What was not rounded.
    exact: Vec<f32>,
}

/// What a linear layer asks of the rows that it reads.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// A multiple of 8.
    pub count: usize,
    /// Those whose products are not made of rounded values (`exact_columns`).
    pub exact: &'a [u32],
}

impl QuantisedRows {
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn row_values(&self) -> usize {
        self.row_values
    }

    /// `[row_values / 2, rows of the tile, 2]`
    pub fn tile(&self, tile: Tile) -> &[i16] {
        &self.values[tile.first * self.row_values..][..tile.rows * self.row_values]
    }

    pub fn scale(&self, row: usize) -> f32 {
        self.scales[row]
    }

    pub fn sum(&self, row: usize) -> i32 {
        self.sums[row]
    }

    /// The values of a row's exact inputs.
    pub fn exact(&self, row: usize) -> &[f32] {
        let inputs = self.exact.len() / self.count;
        &self.exact[row * inputs..][..inputs]
    }

    /// Takes rows, `[count, row_values]`, for layers without exact inputs; `row_values` is a multiple of 8.
    pub fn set(&mut self, rows: &[f32], row_values: usize) {
        self.exact.clear();
        self.round(rows, row_values);
    }

    /// Takes rows, `[count, inputs]`, for one layer. Its exact inputs count as zero in the steps, so that the others get
    /// smaller ones. `rows` are as before in the end.
    pub fn set_for(&mut self, inputs: Inputs, rows: &mut [f32]) {
        let Inputs { count, exact, .. } = inputs;
        self.exact.clear();
        for row in rows.chunks_exact_mut(count) {
            self.exact.extend(
                exact
                    .iter()
                    .map(|input| mem::take(&mut row[*input as usize])),
            );
        }
        self.round(rows, count);
        if !exact.is_empty() {
            let values = self.exact.chunks_exact(exact.len());
            for (row, values) in rows.chunks_exact_mut(count).zip(values) {
                for (input, value) in exact.iter().zip(values) {
                    row[*input as usize] = *value;
                }
            }
        }
    }

    #[inline(never)]
    fn round(&mut self, rows: &[f32], row_values: usize) {
        let most_steps = most_steps(row_values);
        assert!(row_values.is_multiple_of(8) && row_values <= MAX_ROW_VALUES);
        self.count = rows.len() / row_values;
        self.row_values = row_values;
        self.values.resize(rows.len().max(self.values.len()), 0);
        self.scales.resize(self.count, 0.0);
        self.sums.resize(self.count, 0);
        for tile in tiles(self.count) {
            let values = &mut self.values[tile.first * row_values..][..tile.rows * row_values];
            for row in 0..tile.rows {
                let index = tile.first + row;
                let row_of_tile = RowOfTile::new(values, row, tile.rows, row_values);
                (self.scales[index], self.sums[index]) = quantise(
                    &rows[index * row_values..][..row_values],
                    most_steps,
                    row_of_tile,
                );
            }
        }
    }
}

/// The largest magnitude of an activation, so that the sum of a row's products with the largest weights fits an i32. An
/// encoder has values that are a hundred times larger than most of their row, so each bit counts. Rows that I16 weights may
/// be multiplied with have room for these.
fn most_steps(row_values: usize) -> f32 {
    let largest_weight = if row_values <= MAX_I16_INPUTS {
        MAX_I16_WEIGHT
    } else {
        MAX_I8_WEIGHT
    };
    let most = i32::MAX as usize / (largest_weight as usize * row_values);
    most.min(i16::MAX as usize) as f32
}

/// Where eight steps of a row are written.
pub trait Steps {
    fn put(&mut self, eight: usize, steps: I16x8);
}

/// One behind the other.
impl Steps for &mut [i16] {
    #[inline(always)]
    fn put(&mut self, eight: usize, steps: I16x8) {
        steps.store(&mut self.as_chunks_mut::<8>().0[eight]);
    }
}

/// A row among those of a tile, `[values / 2, rows, 2]`.
pub struct RowOfTile<'a> {
    tile: &'a mut [i16],
    row: usize,
    rows: usize,
}

impl<'a> RowOfTile<'a> {
    /// `values`, a multiple of 8, are those of a row.
    pub fn new(tile: &'a mut [i16], row: usize, rows: usize, values: usize) -> Self {
        assert!(row < rows && values.is_multiple_of(8));
        Self {
            tile: &mut tile[..rows * values],
            row,
            rows,
        }
    }
}

impl Steps for RowOfTile<'_> {
    #[inline(always)]
    fn put(&mut self, eight: usize, steps: I16x8) {
        let pairs = &mut self.tile[8 * self.rows * eight..][..8 * self.rows];
        // SAFETY: `pairs` is `[4, rows, 2]`, and `row` is one of them.
        unsafe { steps.store_pairs_to(pairs.as_mut_ptr().add(2 * self.row), 2 * self.rows) }
    }
}

/// Rounds `values` to whole steps of max / `most_steps`, and returns the step and the sum of the steps. Zeros have a step
/// of 0. Zeros fill up the last eight.
#[inline(always)]
pub fn quantise(values: &[f32], most_steps: f32, mut steps: impl Steps) -> (f32, i32) {
    let (eights, rest) = values.as_chunks::<8>();
    let mut last = [0.0; 8];
    for (place, value) in last.iter_mut().zip(rest) {
        *place = *value;
    }
    let largest = largest_magnitude(eights).max(largest_magnitude(&[last]));
    let (scale, factor) = if largest < SMALLEST {
        (0.0, 0.0)
    } else {
        (largest / most_steps, most_steps / largest)
    };
    let factor = F32x4::splat(factor);
    let mut sum = I32x4::splat(0);
    let mut round = |index: usize, eight: &[f32; 8]| {
        let [low, high] = halves(eight).map(|half| (half * factor).round());
        sum = sum + (low + high);
        steps.put(index, I16x8::narrow(low, high));
    };
    for (index, eight) in eights.iter().enumerate() {
        round(index, eight);
    }
    if !rest.is_empty() {
        round(eights.len(), &last);
    }
    (scale, sum.lanes().into_iter().sum())
}

#[inline(always)]
fn largest_magnitude(eights: &[[f32; 8]]) -> f32 {
    let mut largest = [F32x4::splat(0.0); 2];
    for eight in eights {
        let [low, high] = halves(eight);
        largest = [largest[0].max(low.abs()), largest[1].max(high.abs())];
    }
    largest[0].max(largest[1]).largest()
}

#[inline(always)]
fn halves(eight: &[f32; 8]) -> [F32x4; 2] {
    let (halves, _) = eight.as_chunks::<4>();
    [F32x4::load(&halves[0]), F32x4::load(&halves[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_magnitude_gets_2047_steps_and_ties_go_to_the_even_one() {
        let values = [0.5, 1.5, -2047.0, 2.5, 0.0, -0.5, 100.4, 3.0, 1.0];
        let mut steps = [9; 16];
        let (scale, sum) = quantise(&values, 2047.0, &mut steps[..]);
        assert_eq!(scale, 1.0);
        assert_eq!(steps[..9], [0, 2, -2047, 2, 0, 0, 100, 3, 1]);
        assert_eq!(steps[9..], [0; 7]);
        assert_eq!(sum, -1939);
    }

    #[test]
    fn zeros_and_what_has_no_inverse_have_a_step_of_0() {
        for value in [0.0, -0.0, 1e-38, f32::MIN_POSITIVE / 2.0] {
            let mut steps = [9; 8];
            assert_eq!(quantise(&[value; 8], 2047.0, &mut steps[..]), (0.0, 0));
            assert_eq!(steps, [0; 8]);
        }
    }

    #[test]
    fn exact_inputs_are_set_apart_and_leave_the_others_finer_steps() {
        let original: Vec<f32> = (0..3 * 16).map(|index| index as f32 - 20.5).collect();
        let mut rows = original.clone();
        for row in 0..3 {
            rows[row * 16 + 5] = 1000.0 + row as f32;
        }
        let before = rows.clone();
        let mut quantised = QuantisedRows::default();
        quantised.set_for(
            Inputs {
                count: 16,
                exact: &[5, 9],
            },
            &mut rows,
        );
        assert_eq!(rows, before);
        for row in 0..3 {
            let values = &before[row * 16..][..16];
            assert_eq!(quantised.exact(row), [values[5], values[9]]);
            let tile = quantised.tile(Tile { first: 0, rows: 3 });
            for (input, value) in values.iter().enumerate() {
                let step = tile[(input / 2 * 3 + row) * 2 + input % 2];
                if [5, 9].contains(&input) {
                    assert_eq!(step, 0);
                } else {
                    let found = f32::from(step) * quantised.scale(row);
                    assert!((found - value).abs() <= 0.001, "{found} {value}");
                }
            }
        }
        quantised.set(&before, 16);
        assert!(quantised.exact(1).is_empty());
    }

    #[test]
    fn rows_of_a_tile_lie_pair_by_pair() {
        let rows: Vec<f32> = (0..7 * 8)
            .map(|index| (index % 8) as f32 * 100.0 + (index / 8) as f32)
            .collect();
        let mut quantised = QuantisedRows::default();
        quantised.set(&rows, 8);
        assert_eq!(quantised.count(), 7);
        // Seven rows are a tile of four and one of three.
        let tile = quantised.tile(Tile { first: 4, rows: 3 });
        for row in 0..3 {
            for value in 0..8 {
                let step = tile[(value / 2 * 3 + row) * 2 + value % 2];
                let found = f32::from(step) * quantised.scale(4 + row);
                let expected = rows[(4 + row) * 8 + value];
                assert!((found - expected).abs() <= 0.5 * quantised.scale(4 + row));
            }
        }
    }
}
