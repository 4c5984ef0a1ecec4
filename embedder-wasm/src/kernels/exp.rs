//! Powers of two in f32, for softmax and the activations. Polynomials instead of libm: the same bits everywhere.

use super::lanes::F32x4;

/// 2^f for f from -1/2 to 1/2, from the lowest power up: fitted for the least largest relative error, which is 7.5e-8
/// in exact arithmetic and at most 2.6e-7 in f32.
const POWER: [f32; 6] = [
    1.000_000_1,
    0.693_146_94,
    0.240_221_2,
    0.055_507_135,
    0.009_675_541,
    0.001_327_646_7,
];

/// 2^x for x from -126 to 126. Several vectors at once, as in all functions here: engines put a constant together anew
/// in each round of a loop, which takes as long as a step of a polynomial, so that few rounds with much in them are best.
#[inline(always)]
pub fn exp2<const N: usize>(x: [F32x4; N]) -> [F32x4; N] {
    x.map(|x| {
        let whole = x.round();
        let f = x - whole.to_f32();
        let [a, b, c, d, e, g] = POWER.map(F32x4::splat);
        let square = f * f;
        let power = (a + b * f) + square * ((c + d * f) + square * (e + g * f));
        // The whole part is added to the exponent.
        (power.bits() + whole.shift_left::<23>()).as_f32_bits()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_have_a_relative_error_of_at_most_2_6e_7() {
        let mut worst = 0.0_f64;
        for step in -1_260_000..=1_260_000 {
            let x = step as f32 / 10_000.0;
            let [found] = exp2([F32x4::splat(x)]);
            let expected = f64::from(x).exp2();
            worst = worst.max((f64::from(found.lanes()[0]) / expected - 1.0).abs());
        }
        assert!(worst <= 2.6e-7, "{worst:e}");
    }

    #[test]
    fn whole_powers_of_two_are_exact_to_the_last_bit_but_one() {
        for power in [-126, -20, 0, 1, 126] {
            let [found] = exp2([F32x4::splat(power as f32)]);
            let expected = 2f32.powi(power);
            assert!((found.lanes()[3] / expected - 1.0).abs() <= f32::EPSILON);
        }
    }
}
