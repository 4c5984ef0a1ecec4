//! The functions that follow a linear layer.

use super::exp::{exp2, polynomial};
use super::lanes::F32x4;

/// By Hugging Face's and sentence-transformers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Identity,
    Relu,
    /// x times the normal distribution's share below x.
    Gelu,
    /// The approximation by tanh that GPT-2 has, `gelu_new`.
    GeluNew,
    Tanh,
}

impl Activation {
    /// Replaces `[n]` values, n a multiple of 4, by the function's.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => (),
            Self::Relu => each(values, |x| x.max(F32x4::splat(0.0))),
            Self::Gelu => each(values, gelu),
            Self::GeluNew => each(values, gelu_new),
            Self::Tanh => each(values, tanh),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(F32x4) -> F32x4) {
    for four in values.as_chunks_mut::<4>().0 {
        function(F32x4::load(four)).store(four);
    }
}

/// log2 of the normal distribution's share above z, for z from 0 to `TAIL_END`, from the highest power down: fitted for the
/// least largest error of z times the share, which is 5.2e-8 in exact arithmetic.
const TAIL: [f32; 7] = [
    3.309_282_3e-5,
    -0.000_769_219_7,
    0.008_080_716,
    -0.053_412_106,
    -0.458_770_96,
    -1.151_201_7,
    -0.999_993_1,
];
/// From here on z times the share is below 1.1e-7.
const TAIL_END: f32 = 5.5;

/// `x * share below x`, which is `max(x, 0) - |x| * share above |x|`. Error at most 2.9e-7 for |x| <= 8, and a
/// 2^-24th of x beyond.
#[inline(always)]
fn gelu(x: F32x4) -> F32x4 {
    let z = x.abs().min(F32x4::splat(TAIL_END));
    x.max(F32x4::splat(0.0)) - z * exp2(polynomial(&TAIL, z))
}

/// log2(e)
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `0.5 * x * (1 + tanh(y))`, y = sqrt(2 / pi) * (x + 0.044715 x^3), which is `x / (1 + e^-2y)`.
#[inline(always)]
fn gelu_new(x: F32x4) -> F32x4 {
    let cubic = F32x4::splat(0.044_715) * x * x * x;
    let exponent = (x + cubic) * F32x4::splat(-2.0 * SQRT_2_OVER_PI * LOG2_E);
    let bound = F32x4::splat(126.0);
    let power = exp2(exponent.min(bound).max(F32x4::splat(-126.0)));
    x / (F32x4::splat(1.0) + power)
}

/// `(1 - e^-2x) / (1 + e^-2x)`, with an error of at most 2e-7.
#[inline(always)]
fn tanh(x: F32x4) -> F32x4 {
    let bound = F32x4::splat(126.0);
    let exponent = x * F32x4::splat(-2.0 * LOG2_E);
    let power = exp2(exponent.min(bound).max(F32x4::splat(-126.0)));
    let one = F32x4::splat(1.0);
    (one - power) / (one + power)
}
