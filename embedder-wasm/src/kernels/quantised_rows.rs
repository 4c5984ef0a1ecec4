//! Activations in 12 bits: rows of i16, each with the f32 that one step stands for.

use super::lanes::{F32x4, I16x8};

/// The largest magnitude of an activation: 12 bits with the sign. Weights have 8 and rows at most `MAX_ROW_VALUES`
/// values, so that their products fit an i32: 2047 x 127 x 4096 < 2^31.
pub const LEVELS: f32 = 2047.0;
pub const MAX_ROW_VALUES: usize = 4096;
/// From one row to the next, the same for all: it becomes a constant in the address of a load. The 32 more keep rows
/// from meeting in the same places of the cache.
pub const ROW_STRIDE: usize = MAX_ROW_VALUES + 32;
/// A smaller largest value is taken as zero: it has no inverse to multiply with.
const SMALLEST: f32 = 1e-30;

pub struct QuantisedRows {
    /// `[rows, ROW_STRIDE]`
    values: Vec<i16>,
    /// `[rows]` What a step stands for.
    scales: Vec<f32>,
    /// `[rows]` The sum of a row's values.
    sums: Vec<i32>,
}

impl QuantisedRows {
    pub fn new(rows: usize) -> Self {
        Self {
            values: vec![0; rows * ROW_STRIDE],
            scales: vec![0.0; rows],
            sums: vec![0; rows],
        }
    }

    pub fn row(&self, row: usize) -> &[i16] {
        &self.values[row * ROW_STRIDE..][..MAX_ROW_VALUES]
    }

    /// All rows from this one on.
    pub fn rows_from(&self, row: usize) -> &[i16] {
        &self.values[row * ROW_STRIDE..]
    }

    pub fn scale(&self, row: usize) -> f32 {
        self.scales[row]
    }

    pub fn sum(&self, row: usize) -> i32 {
        self.sums[row]
    }

    /// Writes `values`, `[n]`, n a multiple of 8 and at most `MAX_ROW_VALUES`, into a row.
    pub fn set(&mut self, row: usize, values: &[f32]) {
        let place = &mut self.values[row * ROW_STRIDE..][..values.len()];
        let (scale, sum) = quantise(values, place);
        self.scales[row] = scale;
        self.sums[row] = sum;
    }
}

/// Rounds `values`, `[n]`, n a multiple of 8, to whole steps of max / 2047, and returns the step and the sum of the
/// steps. Zeros have a step of 0.
pub fn quantise(values: &[f32], steps: &mut [i16]) -> (f32, i32) {
    let largest = largest_magnitude(values);
    let (places, _) = steps[..values.len()].as_chunks_mut::<8>();
    if largest < SMALLEST {
        places.fill([0; 8]);
        return (0.0, 0);
    }
    let factor = F32x4::splat(LEVELS / largest);
    let (eights, _) = values.as_chunks::<8>();
    let mut sum = super::lanes::I32x4::splat(0);
    for (eight, place) in eights.iter().zip(places) {
        let [low, high] = halves(eight);
        let (low, high) = ((low * factor).round(), (high * factor).round());
        sum = sum + (low + high);
        I16x8::narrow(low, high).store(place);
    }
    (largest / LEVELS, sum.lanes().into_iter().sum())
}

/// The largest magnitude of `[n]` values, n a multiple of 8.
pub fn largest_magnitude(values: &[f32]) -> f32 {
    let mut largest = [F32x4::splat(0.0); 2];
    for eight in values.as_chunks::<8>().0 {
        let [low, high] = halves(eight);
        largest = [largest[0].max(low.abs()), largest[1].max(high.abs())];
    }
    largest[0].max(largest[1]).largest()
}

fn halves(eight: &[f32; 8]) -> [F32x4; 2] {
    let (halves, _) = eight.as_chunks::<4>();
    [F32x4::load(&halves[0]), F32x4::load(&halves[1])]
}
