//! What sentence-transformers puts behind an encoder.

use super::linear_weights::LinearWeights;
use crate::format::container::{Head, WeightsFile};
use crate::format::{WeightsError, refused};
use crate::kernels::activation::Activation;
use crate::kernels::norm::scale;
use crate::kernels::product::{PANEL, Write};
use crate::kernels::quantised_rows::{MAX_ROW_VALUES, QuantisedRows};

/// How the tokens' vectors become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// The mean of all.
    Mean,
}

impl Pooling {
    /// The names as they stand in a weights file.
    pub const NAMES: &'static str = "cls, mean";

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "cls" => Some(Self::Cls),
            "mean" => Some(Self::Mean),
            _ => None,
        }
    }

    /// From `tokens`, `[tokens, hidden]`, to `pooled`, `[hidden]`.
    #[inline(never)]
    pub fn pool(self, tokens: &[f32], pooled: &mut [f32]) {
        let size = pooled.len();
        pooled.copy_from_slice(&tokens[..size]);
        if self == Self::Mean {
            for token in tokens[size..].chunks_exact(size) {
                for (sum, value) in pooled.iter_mut().zip(token) {
                    *sum += value;
                }
            }
            scale(pooled, 1.0 / (tokens.len() / size) as f32);
        }
    }
}

/// A linear layer with an activation.
pub struct Dense {
    linear: LinearWeights,
    activation: Activation,
}

const NAME: &str = "dense.linear";

impl Dense {
    /// How long its vectors are, where the file has one.
    pub fn dimensions(head: &Head) -> Result<Option<usize>, WeightsError> {
        if head.tensor(&format!("{NAME}.weight")).is_none() {
            return Ok(None);
        }
        let scales = head.needed_tensor(&format!("{NAME}.weight.scales"))?;
        match scales.shape[..] {
            [outputs]
                if (PANEL..=MAX_ROW_VALUES).contains(&outputs) && outputs.is_multiple_of(PANEL) =>
            {
                Ok(Some(outputs))
            }
            ref shape => refused(format!(
                "tensor {NAME}.weight.scales: expected as shape one multiple of {PANEL} up to {MAX_ROW_VALUES}, found {shape:?}"
            )),
        }
    }

    pub fn from_file(file: &WeightsFile, inputs: usize) -> Result<Option<Self>, WeightsError> {
        let Some(outputs) = Self::dimensions(&file.head)? else {
            return Ok(None);
        };
        let metadata = &file.head.metadata;
        let activation = match metadata.text("dense_activation")? {
            "identity" => Activation::Identity,
            "tanh" => Activation::Tanh,
            _ => return metadata.wrong("dense_activation", "one of identity, tanh"),
        };
        let linear = match file.head.tensor(&format!("{NAME}.bias")) {
            Some(_) => LinearWeights::from_file(file, NAME, outputs, inputs)?,
            None => LinearWeights::with_bias(file, NAME, vec![0.0; outputs], inputs)?,
        };
        Ok(Some(Self { linear, activation }))
    }

    /// Writes what it makes of the one row `pooled`. `rows` is memory for it.
    pub fn apply(
        &self,
        file: &WeightsFile,
        rows: &mut QuantisedRows,
        pooled: &mut [f32],
        result: &mut [f32],
    ) {
        let linear = self.linear.of(file);
        rows.set_for(linear.reads(), pooled);
        linear.apply(rows, Write::Set, result);
        self.activation.apply(result);
    }
}
