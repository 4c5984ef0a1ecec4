//! Powers of two in f32, for softmax and the activations. Polynomials instead of libm: the same bits everywhere.

use super::lanes::F32x4;

/// 2^f for f from -1/2 to 1/2, from the highest power down: fitted for the least largest relative error, which is 7.5e-8
/// in exact arithmetic and 2.4e-7 in f32.
const POWER: [f32; 6] = [
    0.001_327_646_7,
    0.009_675_541,
    0.055_507_135,
    0.240_221_2,
    0.693_146_94,
    1.000_000_1,
];

/// 2^x for x from -126 to 126.
#[inline(always)]
pub fn exp2(x: F32x4) -> F32x4 {
    let whole = x.round();
    let power = polynomial(&POWER, x - whole.to_f32());
    // The whole part is added to the exponent.
    (power.bits() + whole.shift_left::<23>()).as_f32_bits()
}

/// Horner's scheme, from the highest power down.
#[inline(always)]
pub fn polynomial(coefficients: &[f32], x: F32x4) -> F32x4 {
    let mut value = F32x4::splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        value = value * x + F32x4::splat(*coefficient);
    }
    value
}
