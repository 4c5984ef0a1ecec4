//! The functions that follow a linear layer.

use std::array;

use super::exp::exp2;
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
    /// Replaces `[n]` values, n a multiple of 8, by the function's.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => (),
            Self::Relu => each(values, Relu),
            Self::Gelu => each(values, Gelu),
            Self::GeluNew => each(values, GeluNew),
            Self::Tanh => each(values, Tanh),
        }
    }
}

/// A function of each value, for several vectors at once.
trait Function: Copy {
    fn of<const N: usize>(self, x: [F32x4; N]) -> [F32x4; N];
}

#[inline(never)]
fn each(values: &mut [f32], function: impl Function) {
    let (many, rest) = values.as_chunks_mut::<16>();
    for values in many {
        replace::<4>(values.as_chunks_mut().0, function);
    }
    for values in rest.as_chunks_mut::<8>().0 {
        replace::<2>(values.as_chunks_mut().0, function);
    }
}

#[inline(always)]
fn replace<const N: usize>(fours: &mut [[f32; 4]], function: impl Function) {
    let x = array::from_fn::<_, N, _>(|index| F32x4::load(&fours[index]));
    for (four, value) in fours.iter_mut().zip(function.of(x)) {
        value.store(four);
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Function for Relu {
    #[inline(always)]
    fn of<const N: usize>(self, x: [F32x4; N]) -> [F32x4; N] {
        x.map(|x| x.max(F32x4::splat(0.0)))
    }
}

/// log2 of the normal distribution's share above z, for z from 0 to `TAIL_END`, from the lowest power up: fitted for the
/// least largest error of z times the share, which is 5.2e-8 in exact arithmetic.
const TAIL: [f32; 7] = [
    -0.999_993_1,
    -1.151_201_7,
    -0.458_770_96,
    -0.053_412_106,
    0.008_080_716,
    -0.000_769_219_7,
    3.309_282_3e-5,
];
/// From here on z times the share is below 1.1e-7.
const TAIL_END: f32 = 5.5;

/// `x * share below x`, which is `max(x, 0) - |x| * share above |x|`. Error at most 2.9e-7 for |x| up to 8, and a
/// 2^-24th of x beyond.
#[derive(Clone, Copy)]
struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn of<const N: usize>(self, x: [F32x4; N]) -> [F32x4; N] {
        let z = x.map(|x| x.abs().min(F32x4::splat(TAIL_END)));
        let share = exp2(z.map(log2_of_tail));
        array::from_fn(|index| x[index].max(F32x4::splat(0.0)) - z[index] * share[index])
    }
}

#[inline(always)]
fn log2_of_tail(z: F32x4) -> F32x4 {
    let [a, b, c, d, e, f, g] = TAIL.map(F32x4::splat);
    let square = z * z;
    let low = (a + b * z) + square * (c + d * z);
    low + (square * square) * ((e + f * z) + g * square)
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `0.5 * x * (1 + tanh(y))`, y = sqrt(2 / pi) * (x + 0.044715 x^3), which is `x / (1 + e^-2y)`.
#[derive(Clone, Copy)]
struct GeluNew;

impl Function for GeluNew {
    #[inline(always)]
    fn of<const N: usize>(self, x: [F32x4; N]) -> [F32x4; N] {
        let factor = F32x4::splat(-2.0 * SQRT_2_OVER_PI * LOG2_E);
        let exponent = x.map(|x| (x + F32x4::splat(0.044_715) * x * x * x) * factor);
        let power = bounded_exp2(exponent);
        array::from_fn(|index| x[index] / (F32x4::splat(1.0) + power[index]))
    }
}

/// `(1 - e^-2x) / (1 + e^-2x)`, with an error of at most 2e-7.
#[derive(Clone, Copy)]
struct Tanh;

impl Function for Tanh {
    #[inline(always)]
    fn of<const N: usize>(self, x: [F32x4; N]) -> [F32x4; N] {
        let one = F32x4::splat(1.0);
        let power = bounded_exp2(x.map(|x| x * F32x4::splat(-2.0 * LOG2_E)));
        power.map(|power| (one - power) / (one + power))
    }
}

/// 2^x, that of the nearest x that has one beyond.
#[inline(always)]
fn bounded_exp2<const N: usize>(x: [F32x4; N]) -> [F32x4; N] {
    exp2(x.map(|x| x.min(F32x4::splat(126.0)).max(F32x4::splat(-126.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf in f64 by its Taylor series, whose error is below 1e-9 up to 4.
    fn erf(x: f64) -> f64 {
        if x.abs() > 4.0 {
            return x.signum();
        }
        let mut term = x;
        let mut sum = x;
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    /// The largest error from -12 to 12, of what is at least 1 in units of it.
    fn worst_error(activation: Activation, expected: impl Fn(f64) -> f64) -> f64 {
        let inputs: Vec<f32> = (-120_000..120_000)
            .map(|step| step as f32 / 10_000.0)
            .collect();
        let mut values = inputs.clone();
        activation.apply(&mut values);
        let errors = inputs.iter().zip(&values).map(|(input, value)| {
            let expected = expected(f64::from(*input));
            (f64::from(*value) - expected).abs() / expected.abs().max(1.0)
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn gelu_is_the_exact_form_with_an_error_of_at_most_3e_7() {
        let expected = |x: f64| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()));
        let worst = worst_error(Activation::Gelu, expected);
        assert!(worst <= 3e-7, "{worst:e}");
    }

    #[test]
    fn gelu_new_is_the_form_by_tanh_with_an_error_of_at_most_5e_7() {
        let expected = |x: f64| {
            let y = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + y.tanh())
        };
        let worst = worst_error(Activation::GeluNew, expected);
        assert!(worst <= 5e-7, "{worst:e}");
    }

    #[test]
    fn tanh_has_an_error_of_at_most_3e_7() {
        let worst = worst_error(Activation::Tanh, f64::tanh);
        assert!(worst <= 3e-7, "{worst:e}");
    }

    #[test]
    fn relu_and_identity_change_nothing_above_0() {
        let mut values = [-1.0, 2.0, -0.5, 0.25, 3.0, -4.0, 5.0, 6.0];
        Activation::Identity.apply(&mut values);
        assert_eq!(values, [-1.0, 2.0, -0.5, 0.25, 3.0, -4.0, 5.0, 6.0]);
        Activation::Relu.apply(&mut values);
        assert_eq!(values, [0.0, 2.0, 0.0, 0.25, 3.0, 0.0, 5.0, 6.0]);
    }

    #[test]
    fn very_large_values_stay_what_they_are_or_become_0() {
        for activation in [Activation::Gelu, Activation::GeluNew] {
            let mut values = [1e20, -1e20, 300.0, -300.0, 1e4, -1e4, 40.0, -40.0];
            activation.apply(&mut values);
            for (value, expected) in values
                .iter()
                .zip([1e20, 0.0, 300.0, 0.0, 1e4, 0.0, 40.0, 0.0])
            {
                assert!(
                    (value - expected).abs() <= 1e-6 * f32::max(1.0, expected),
                    "{values:?}"
                );
            }
        }
    }
}
