//! Softmax, as attention needs it: shares in whole numbers.

use super::exp::exp2;
use super::lanes::{F32x4, I16x8};
use super::quantised_rows::LEVELS;

/// The largest share, in 16 bits.
const MAX_SHARE: f32 = 32_767.0;
/// Shares times values of magnitude `LEVELS` are summed in an i32: 1,040,000 x 2047 < 2^31, with room for the rounding of
/// 4,096 shares.
const MAX_SUM: f32 = 1_040_000.0;
/// Smaller shares are taken as zeros: they have no inverse.
const SMALLEST: f32 = 1e-30;
/// The smallest power of two that `exp2` knows.
const SMALLEST_POWER: f32 = -126.0;

/// What stands for a key that is not there.
pub const NO_KEY: f32 = -1e30;

const _: () = assert!((MAX_SUM + 4096.0 / 2.0) as f64 * (LEVELS as f64) < 2_147_483_648.0);

/// From `scores`, `[keys]`, a multiple of 8, which are powers of two, to `shares`, `[keys]`: 2^score x the scale of the
/// key's value, in steps. Returns what a step stands for when all 2^score together are 1. Overwrites the scores.
pub fn softmax(scores: &mut [f32], value_scales: &[f32], shares: &mut [i16]) -> f32 {
    let largest_score = F32x4::splat(largest(scores));
    let smallest_power = F32x4::splat(SMALLEST_POWER);
    let mut sum = F32x4::splat(0.0);
    let mut sum_of_shares = F32x4::splat(0.0);
    let mut largest_share = F32x4::splat(0.0);
    let fours = scores.as_chunks_mut::<4>().0.iter_mut();
    for (four, value_scales) in fours.zip(value_scales.as_chunks::<4>().0) {
        let power = exp2((F32x4::load(four) - largest_score).max(smallest_power));
        let share = power * F32x4::load(value_scales);
        sum = sum + power;
        sum_of_shares = sum_of_shares + share;
        largest_share = largest_share.max(share);
        share.store(four);
    }
    let largest_share = largest_share.largest();
    if largest_share < SMALLEST {
        shares[..scores.len()].fill(0);
        return 0.0;
    }
    let factor = (MAX_SHARE / largest_share).min(MAX_SUM / sum_of_shares.sum());
    let lanes = F32x4::splat(factor);
    let eights = scores.as_chunks::<8>().0.iter();
    for (eight, place) in eights.zip(shares.as_chunks_mut::<8>().0) {
        let (halves, _) = eight.as_chunks::<4>();
        let low = (F32x4::load(&halves[0]) * lanes).round();
        let high = (F32x4::load(&halves[1]) * lanes).round();
        I16x8::narrow(low, high).store(place);
    }
    1.0 / (factor * sum.sum())
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
