//! How a static table's rows are stored: as they are, or in few bits, as whole numbers times a scale of the row's own.

use super::Dtype;
use super::writer::f32_bytes;

/// The low four bits of byte k are value k of the row; the high ones lie half a row behind it.
pub const VALUES_IN_AN_I4_BYTE: usize = 2;
/// Level n stands for n - 7.5.
pub const I4_OFFSET: f32 = 7.5;

/// How the values of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// As they are.
    F32,
    /// One signed byte a value, times the row's scale, an F32.
    I8,
    /// Two values a byte, in 16 levels that lie symmetrically about 0, times the row's scale, an I16.
    I4,
}

/// The step between two of 16 levels that loses least of normally distributed values with a
/// deviation of 1.
const BEST_I4_STEP: f32 = 0.335_2;

impl RowFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::I8, Self::I4];

    /// The format of rows in a tensor of this dtype; `None` where there is none.
    pub fn of_tensor(dtype: Dtype) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.tensor_dtype() == dtype)
    }

    /// As models are described.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::I8 => "I8",
            Self::I4 => "I4",
        }
    }

    /// The dtype of the tensor that holds the rows.
    pub fn tensor_dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::I8 => Dtype::I8,
            Self::I4 => Dtype::U8,
        }
    }

    /// The dtype of the rows' scales, where they have any.
    pub fn scale_dtype(self) -> Option<Dtype> {
        match self {
            Self::F32 => None,
            Self::I8 => Some(Dtype::F32),
            Self::I4 => Some(Dtype::I16),
        }
    }

    /// How many values of a row share one value of the tensor.
    pub fn values_in_one(self) -> usize {
        match self {
            Self::F32 | Self::I8 => 1,
            Self::I4 => VALUES_IN_AN_I4_BYTE,
        }
    }

    /// Refuses rows of a length that does not fill whole bytes: two values share one in I4. The message names the
    /// option of the commands.
    pub fn check_dimensions(self, dimensions: usize) -> Result<(), String> {
        match self {
            Self::I4 if !dimensions.is_multiple_of(VALUES_IN_AN_I4_BYTE) => Err(format!(
                "--dtype i4: expected rows with an even number of values, found {dimensions}"
            )),
            _ => Ok(()),
        }
    }

    /// The scale of a row in few bits, and its values as whole numbers: -127..=127 for I8, -8..=7 for I4.
    pub fn quantized(self, row: &[f32]) -> (f32, impl Iterator<Item = i8>) {
        let (scale, least, offset) = match self {
            Self::F32 => unreachable!("F32 rows are stored as they are"),
            Self::I8 => (
                row.iter()
                    .fold(0.0f32, |largest, value| largest.max(value.abs()))
                    / 127.0,
                -127.0,
                0.0,
            ),
            Self::I4 => {
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
            Self::F32 => unreachable!("F32 rows are stored as they are"),
            Self::I8 => f32::from(number) * scale,
            Self::I4 => (f32::from(number) + 0.5) * scale,
        }
    }

    /// Writes the row as it will read after it was stored.
    pub fn round(self, row: &[f32], stored: &mut [f32]) {
        if self == Self::F32 {
            stored.copy_from_slice(row);
            return;
        }
        let (scale, numbers) = self.quantized(row);
        for (stored, number) in stored.iter_mut().zip(numbers) {
            *stored = self.value(number, scale);
        }
    }
}

/// The tensors of a table's rows as they lie in a file.
pub struct StoredRows {
    /// Those of `RowFormat::tensor_dtype`.
    pub values: Vec<u8>,
    /// One for each row, of `RowFormat::scale_dtype`; empty for F32.
    pub scales: Vec<u8>,
    /// What an I4 scale of 1 stands for.
    pub scale_unit: Option<f32>,
}

impl RowFormat {
    /// Stores rows (`[n, dimensions]`); `dimensions` must be even for I4.
    pub fn store(self, rows: &[f32], dimensions: usize) -> StoredRows {
        let (mut scales, mut values) = (Vec::new(), Vec::new());
        for row in rows.chunks(dimensions) {
            if self == Self::F32 {
                values.extend(row.iter().flat_map(|value| value.to_le_bytes()));
                continue;
            }
            let (scale, numbers) = self.quantized(row);
            scales.push(scale);
            if self == Self::I4 {
                let levels: Vec<u8> = numbers.map(|number| (number + 8) as u8).collect();
                let (low, high) = levels.split_at(dimensions / VALUES_IN_AN_I4_BYTE);
                values.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
            } else {
                values.extend(numbers.map(|number| number as u8));
            }
        }
        let (scale_unit, scales) = match self {
            Self::F32 | Self::I8 => (None, f32_bytes(&scales)),
            Self::I4 => {
                let (unit, scales) = whole_scales(&scales);
                (Some(unit), scales.flat_map(i16::to_le_bytes).collect())
            }
        };
        StoredRows {
            values,
            scales,
            scale_unit,
        }
    }
}

/// Scales as whole multiples of a unit, which makes sums of rows exact.
fn whole_scales(scales: &[f32]) -> (f32, impl Iterator<Item = i16>) {
    let largest = scales.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let unit = (largest / f32::from(i16::MAX)).max(f32::MIN_POSITIVE);
    let whole = move |scale: &f32| (scale / unit).round() as i16;
    (unit, scales.iter().map(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_odd_length_do_not_fit_into_half_bytes() {
        assert_eq!(
            RowFormat::I4.check_dimensions(385).unwrap_err(),
            "--dtype i4: expected rows with an even number of values, found 385"
        );
        for (format, dimensions) in [
            (RowFormat::I4, 384),
            (RowFormat::I8, 385),
            (RowFormat::F32, 385),
        ] {
            assert_eq!(format.check_dimensions(dimensions), Ok(()));
        }
    }

    #[test]
    fn rounding_loses_little_of_a_row() {
        let row: Vec<f32> = (0..1000)
            .map(|i| ((i as f32 * 0.77).sin() + (i as f32 * 1.3).cos()) * 0.2)
            .collect();
        let energy: f32 = row.iter().map(|value| value * value).sum();
        for (format, most) in [
            (RowFormat::I8, 1e-4),
            (RowFormat::I4, 0.015),
            (RowFormat::F32, 0.0),
        ] {
            let mut stored = vec![0.0; row.len()];
            format.round(&row, &mut stored);
            let lost: f32 = row
                .iter()
                .zip(&stored)
                .map(|(a, b)| (a - b) * (a - b))
                .sum();
            assert!(lost <= most * energy, "{format:?}: {}", lost / energy);
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        for format in [RowFormat::I8, RowFormat::I4] {
            let mut stored = [1.0; 4];
            format.round(&[0.0; 4], &mut stored);
            assert_eq!(stored, [0.0; 4]);
        }
    }
}
