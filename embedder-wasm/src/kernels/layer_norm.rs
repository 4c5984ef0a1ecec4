//! Layer normalisation.

use super::lanes::F32x4;

/// Replaces a row, `[n]`, n a multiple of 8, by `(row - mean) / sqrt(variance + epsilon) * weight + bias`.
pub fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let inverse_length = 1.0 / row.len() as f32;
    let mean = F32x4::splat(sum(row, |value| value) * inverse_length);
    let variance = inverse_length
        * sum(row, |value| {
            let distance = value - mean;
            distance * distance
        });
    let inverse_deviation = F32x4::splat(1.0 / (variance + epsilon).sqrt());
    let parameters = weight
        .as_chunks::<4>()
        .0
        .iter()
        .zip(bias.as_chunks::<4>().0);
    for (four, (weight, bias)) in row.as_chunks_mut::<4>().0.iter_mut().zip(parameters) {
        let value = (F32x4::load(four) - mean) * inverse_deviation;
        (value * F32x4::load(weight) + F32x4::load(bias)).store(four);
    }
}

/// In eight lanes.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(F32x4) -> F32x4) -> f32 {
    let mut sums = [F32x4::splat(0.0); 2];
    for eight in row.as_chunks::<8>().0 {
        let (fours, _) = eight.as_chunks::<4>();
        sums[0] = sums[0] + of(F32x4::load(&fours[0]));
        sums[1] = sums[1] + of(F32x4::load(&fours[1]));
    }
    (sums[0] + sums[1]).sum()
}
