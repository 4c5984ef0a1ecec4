//! Softmax, as attention needs it: shares in whole numbers.

use std::array;

use super::exp::exp2;
use super::lanes::{F32x4, I16x8};
use super::quantised_rows::{ATTENTION_STEPS, Steps};

/// The largest share, in 16 bits.
const MAX_SHARE: f32 = 32_767.0;
/// Shares times values of magnitude `ATTENTION_STEPS` are summed in an i32: 1,040,000 x 2047 < 2^31, with room for the rounding of
/// 4,096 shares.
const MAX_SUM: f32 = 1_040_000.0;
/// Smaller shares are taken as zeros: they have no inverse.
const SMALLEST: f32 = 1e-30;
/// The smallest power of two that `exp2` knows.
const SMALLEST_POWER: f32 = -126.0;

/// What stands for a key that is not there.
pub const NO_KEY: f32 = -1e30;

const _: () = assert!((MAX_SUM + 4096.0 / 2.0) as f64 * (ATTENTION_STEPS as f64) < 2_147_483_648.0);

/// From `scores`, `[keys]`, a multiple of 8, which are powers of two, to `shares`, `[keys]`: 2^score x the scale of the
/// key's value, in steps. Returns what a step stands for when all 2^score together are 1. Overwrites the scores.
#[inline(never)]
pub fn softmax(scores: &mut [f32], value_scales: &[f32], mut shares: impl Steps) -> f32 {
    let mut totals = Totals {
        largest_score: F32x4::splat(largest(scores)),
        powers: F32x4::splat(0.0),
        shares: F32x4::splat(0.0),
        largest_share: F32x4::splat(0.0),
    };
    let (many, rest) = scores.as_chunks_mut::<16>();
    let (many_scales, rest_scales) = value_scales.as_chunks::<16>();
    for (scores, scales) in many.iter_mut().zip(many_scales) {
        totals.add::<4>(scores.as_chunks_mut().0, scales.as_chunks().0);
    }
    let rest_scales = rest_scales.as_chunks::<8>().0;
    for (scores, scales) in rest.as_chunks_mut::<8>().0.iter_mut().zip(rest_scales) {
        totals.add::<2>(scores.as_chunks_mut().0, scales.as_chunks().0);
    }
    let largest_share = totals.largest_share.largest();
    let factor = if largest_share < SMALLEST {
        0.0
    } else {
        (MAX_SHARE / largest_share).min(MAX_SUM / totals.shares.sum())
    };
    let lanes = F32x4::splat(factor);
    for (index, eight) in scores.as_chunks::<8>().0.iter().enumerate() {
        let (halves, _) = eight.as_chunks::<4>();
        let low = (F32x4::load(&halves[0]) * lanes).round();
        let high = (F32x4::load(&halves[1]) * lanes).round();
        shares.put(index, I16x8::narrow(low, high));
    }
    if factor == 0.0 {
        return 0.0;
    }
    1.0 / (factor * totals.powers.sum())
}

struct Totals {
    largest_score: F32x4,
    powers: F32x4,
    shares: F32x4,
    largest_share: F32x4,
}

impl Totals {
    /// Replaces scores by shares.
    #[inline(always)]
    fn add<const N: usize>(&mut self, scores: &mut [[f32; 4]], value_scales: &[[f32; 4]]) {
        let powers = exp2(array::from_fn::<_, N, _>(|index| {
            (F32x4::load(&scores[index]) - self.largest_score).max(F32x4::splat(SMALLEST_POWER))
        }));
        for (index, power) in powers.into_iter().enumerate() {
            let share = power * F32x4::load(&value_scales[index]);
            share.store(&mut scores[index]);
            self.powers = self.powers + power;
            self.shares = self.shares + share;
            self.largest_share = self.largest_share.max(share);
        }
    }
}

#[inline(always)]
fn largest(scores: &[f32]) -> f32 {
    let mut largest = [F32x4::splat(f32::MIN); 2];
    for eight in scores.as_chunks::<8>().0 {
        let (halves, _) = eight.as_chunks::<4>();
        largest[0] = largest[0].max(F32x4::load(&halves[0]));
        largest[1] = largest[1].max(F32x4::load(&halves[1]));
    }
    largest[0].max(largest[1]).largest()
}
