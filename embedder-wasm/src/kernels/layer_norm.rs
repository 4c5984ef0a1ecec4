//! Layer normalisation.

use super::lanes::F32x4;

/// Replaces a row, `[n]`, n a multiple of 8, by `(row - mean) / sqrt(variance + epsilon) * weight + bias`.
#[inline(never)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn rows_have_the_mean_and_deviation_that_bias_and_weight_say() {
        let mut random = Random::new(3);
        let mut uniform = || (random.next_u64() % 2001) as f32 / 1000.0 - 1.0;
        for length in [8, 24, 384] {
            // A mean far from 0 beside a small deviation.
            let row: Vec<f32> = (0..length).map(|_| 50.0 + uniform()).collect();
            let weight: Vec<f32> = (0..length).map(|_| uniform()).collect();
            let bias: Vec<f32> = (0..length).map(|_| uniform()).collect();
            let mut found = row.clone();
            layer_norm(&mut found, &weight, &bias, 1e-5);
            let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / length as f64;
            let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2));
            let deviation = (squares.sum::<f64>() / length as f64 + 1e-5).sqrt();
            for (index, found) in found.iter().enumerate() {
                let normal = (f64::from(row[index]) - mean) / deviation;
                let expected = normal * f64::from(weight[index]) + f64::from(bias[index]);
                assert!(
                    (f64::from(*found) - expected).abs() < 2e-5,
                    "{found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_row_without_deviation_becomes_the_bias() {
        let mut row = [7.0; 8];
        layer_norm(&mut row, &[2.0; 8], &[0.5; 8], 1e-12);
        assert_eq!(row, [0.5; 8]);
    }
}
