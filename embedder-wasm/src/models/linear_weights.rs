//! A linear layer's weights as they lie in the file, and tensors of f32 beside them.

use std::ops::Range;

use crate::format::container::WeightsFile;
use crate::format::{Dtype, WeightsError};
use crate::kernels::product::{Linear, PANEL};

/// A linear layer: I8 `[outputs / 8, inputs / 2, 4, 2, 2]` in the file.
pub struct LinearWeights {
    weight: Range<usize>,
    /// `[outputs]`
    scales: Vec<f32>,
    /// `[outputs]`
    bias: Vec<f32>,
    inputs: usize,
}

impl LinearWeights {
    /// Reads `<name>.weight`, `<name>.weight.scales` and `<name>.bias`.
    pub fn from_file(
        file: &WeightsFile,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, WeightsError> {
        let weight = format!("{name}.weight");
        let shape = [outputs / PANEL, inputs / 2, PANEL / 2, 2, 2];
        Ok(Self {
            weight: file.head.tensor_of(&weight, Dtype::I8, &shape)?,
            scales: read_f32(file, &format!("{weight}.scales"), &[outputs])?,
            bias: read_f32(file, &format!("{name}.bias"), &[outputs])?,
            inputs,
        })
    }

    /// The layer for the kernel; `file` is the one that it was read from.
    pub fn of<'a>(&'a self, file: &'a WeightsFile) -> Linear<'a> {
        Linear {
            weight: file.bytes_at(&self.weight),
            scales: &self.scales,
            bias: &self.bias,
            inputs: self.inputs,
        }
    }
}

/// A copy of an F32 tensor that must be there with this shape, of numbers that can be summed.
pub fn read_f32(file: &WeightsFile, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
    let (values, _) = file.tensor_of(name, Dtype::F32, shape)?.as_chunks::<4>();
    file.check_magnitudes(name, *shape.last().unwrap_or(&1))?;
    Ok(values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect())
}
