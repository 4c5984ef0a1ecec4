//! A linear layer's weights as they lie in the file, and tensors of f32 beside them.

use std::ops::Range;

use crate::format::container::WeightsFile;
use crate::format::{Dtype, WeightsError, refused};
use crate::kernels::product::{Linear, MAX_I16_INPUTS, MAX_I16_WEIGHT, PANEL, Weight};

/// A linear layer, whose weights are in the file: I8 `[outputs / 8, inputs / 2, 4, 2, 2]` or I16
/// `[outputs / 8, inputs / 2, 8, 2]`.
pub struct LinearWeights {
    weight: Range<usize>,
    is_wide: bool,
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
        let bias = read_f32(file, &format!("{name}.bias"), &[outputs])?;
        Self::with_bias(file, name, bias, inputs)
    }

    /// Reads `<name>.weight` and `<name>.weight.scales`.
    pub fn with_bias(
        file: &WeightsFile,
        name: &str,
        bias: Vec<f32>,
        inputs: usize,
    ) -> Result<Self, WeightsError> {
        let outputs = bias.len();
        let (panels, pairs) = (outputs / PANEL, inputs / 2);
        let name = format!("{name}.weight");
        let head = &file.head;
        let is_wide = head.needed_tensor(&name)?.dtype == Dtype::I16;
        let weight = if is_wide {
            let weight = head.tensor_of(&name, Dtype::I16, &[panels, pairs, PANEL, 2])?;
            check_wide(&name, file.bytes_at(&weight), inputs)?;
            weight
        } else {
            head.tensor_of(&name, Dtype::I8, &[panels, pairs, PANEL / 2, 2, 2])?
        };
        Ok(Self {
            weight,
            is_wide,
            scales: read_f32(file, &format!("{name}.scales"), &[outputs])?,
            bias,
            inputs,
        })
    }

    /// The layer for the kernel; `file` is the one that it was read from.
    pub fn of<'a>(&'a self, file: &'a WeightsFile) -> Linear<'a> {
        let weight = file.bytes_at(&self.weight);
        Linear {
            weight: if self.is_wide {
                Weight::I16(weight)
            } else {
                Weight::I8(weight)
            },
            scales: &self.scales,
            bias: &self.bias,
            inputs: self.inputs,
        }
    }
}

/// Refuses weights whose products could overflow the sum.
fn check_wide(name: &str, weights: &[u8], inputs: usize) -> Result<(), WeightsError> {
    if inputs > MAX_I16_INPUTS {
        return refused(format!(
            "tensor {name}: expected I16 for at most {MAX_I16_INPUTS} inputs, found {inputs}"
        ));
    }
    let (weights, _) = weights.as_chunks::<2>();
    // One pass that compilers turn into SIMD: it runs while an isolate is cold.
    let largest = weights.iter().fold(0, |largest, weight| {
        i16::from_le_bytes(*weight).unsigned_abs().max(largest)
    });
    if largest > MAX_I16_WEIGHT.unsigned_abs() {
        return refused(format!(
            "tensor {name}: expected magnitudes of at most {MAX_I16_WEIGHT}, found {largest}"
        ));
    }
    Ok(())
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
