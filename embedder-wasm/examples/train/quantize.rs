//! Rows in few bits: whole numbers times a scale of the row's own.

use clap::ValueEnum;

/// How the values of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    F32,
    I8,
    I4,
}

/// The step between two of 16 levels that loses least of normally distributed values with a
/// deviation of 1.
const BEST_I4_STEP: f32 = 0.335_2;

impl Dtype {
    /// Two values share a byte in I4.
    pub fn check_dim(self, dim: usize) -> Result<(), String> {
        match self {
            Dtype::I4 if !dim.is_multiple_of(2) => Err(format!(
                "--dtype i4: expected rows with an even number of values, found {dim}"
            )),
            _ => Ok(()),
        }
    }

    /// The scale of a row, and its values as whole numbers: -127..=127 for I8, -8..=7 for I4.
    pub fn quantized(self, row: &[f32]) -> (f32, impl Iterator<Item = i8>) {
        let (scale, least, offset) = match self {
            Dtype::F32 => unreachable!("F32 rows are stored as they are"),
            Dtype::I8 => (
                row.iter()
                    .fold(0.0f32, |largest, value| largest.max(value.abs()))
                    / 127.0,
                -127.0,
                0.0,
            ),
            Dtype::I4 => {
                let mean_square =
                    row.iter().map(|value| value * value).sum::<f32>() / row.len() as f32;
                (mean_square.sqrt() * BEST_I4_STEP, -8.0, 0.5)
            }
        };
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let most = -least - 2.0 * offset;
        let number = move |value: &f32| (value * inverse - offset).round().clamp(least, most) as i8;
        (scale, row.iter().map(number))
    }

    /// The value that a whole number stands for. The 16 levels of I4 lie symmetrically about 0.
    pub fn value(self, number: i8, scale: f32) -> f32 {
        match self {
            Dtype::F32 => unreachable!("F32 rows are stored as they are"),
            Dtype::I8 => f32::from(number) * scale,
            Dtype::I4 => (f32::from(number) + 0.5) * scale,
        }
    }

    /// Writes the row as it will read after it was stored.
    pub fn round(self, row: &[f32], stored: &mut [f32]) {
        if self == Dtype::F32 {
            stored.copy_from_slice(row);
            return;
        }
        let (scale, numbers) = self.quantized(row);
        for (stored, number) in stored.iter_mut().zip(numbers) {
            *stored = self.value(number, scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_odd_length_do_not_fit_into_half_bytes() {
        assert_eq!(
            Dtype::I4.check_dim(385).unwrap_err(),
            "--dtype i4: expected rows with an even number of values, found 385"
        );
        for (dtype, dim) in [(Dtype::I4, 384), (Dtype::I8, 385), (Dtype::F32, 385)] {
            assert_eq!(dtype.check_dim(dim), Ok(()));
        }
    }

    #[test]
    fn rounding_loses_little_of_a_row() {
        let row: Vec<f32> = (0..1000)
            .map(|i| ((i as f32 * 0.77).sin() + (i as f32 * 1.3).cos()) * 0.2)
            .collect();
        let energy: f32 = row.iter().map(|value| value * value).sum();
        for (dtype, most) in [(Dtype::I8, 1e-4), (Dtype::I4, 0.015), (Dtype::F32, 0.0)] {
            let mut stored = vec![0.0; row.len()];
            dtype.round(&row, &mut stored);
            let lost: f32 = row
                .iter()
                .zip(&stored)
                .map(|(a, b)| (a - b) * (a - b))
                .sum();
            assert!(lost <= most * energy, "{dtype:?}: {}", lost / energy);
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        for dtype in [Dtype::I8, Dtype::I4] {
            let mut stored = [1.0; 4];
            dtype.round(&[0.0; 4], &mut stored);
            assert_eq!(stored, [0.0; 4]);
        }
    }
}
