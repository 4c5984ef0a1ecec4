//! The table of a static model: a row for each token.

use std::ops::Range;

use crate::format::container::{Head, WeightsFile};
use crate::format::row_format::RowFormat;
use crate::format::{Dtype, WeightsError, refused};
use crate::kernels::rows::Rows;
use crate::tokenizers::hashed_rows::MIN_VOCAB_SIZE;

/// What a scale of 1 may stand for at most, so that no value is larger than `MAX_MAGNITUDE`.
const MAX_SCALE_UNIT: f32 = 1e9;

/// What a file says about its table. Ranges are byte offsets in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub row_format: RowFormat,
    pub rows: usize,
    /// Of a row.
    pub dimensions: usize,
    /// `[rows, dimensions]`.
    embeddings: Range<usize>,
    /// `[rows]`; empty for F32.
    scales: Range<usize>,
    /// What an I4 scale of 1 stands for; 1 for other rows.
    scale_unit: f32,
}

impl Table {
    /// Reads the tensors `embeddings` and `scales`, and `scale_unit`, as far as the head tells them.
    pub fn from_head(head: &Head) -> Result<Self, WeightsError> {
        let embeddings = head.needed_tensor("embeddings")?;
        let [rows, columns] = embeddings.shape[..] else {
            return refused(format!(
                "tensor embeddings: expected the shape [vocab_size, embedding_dim], found {:?}",
                embeddings.shape
            ));
        };
        if rows < MIN_VOCAB_SIZE || columns == 0 {
            return refused(format!(
                "tensor embeddings: expected at least {MIN_VOCAB_SIZE} rows and 1 column, found {:?}",
                embeddings.shape
            ));
        }
        let Some(row_format) = RowFormat::of_tensor(embeddings.dtype) else {
            return refused(format!(
                "tensor embeddings: expected the dtype F32, I8 or, for 4 bits a value, U8, found {:?}",
                embeddings.dtype.name()
            ));
        };
        let scales = match row_format.scale_dtype() {
            None => 0..0,
            Some(dtype) => row_scales(head, dtype, rows)?,
        };
        let scale_unit = match row_format {
            RowFormat::F32 | RowFormat::I8 => 1.0,
            RowFormat::I4 => head.metadata.real(
                "scale_unit",
                f32::MIN_POSITIVE..=MAX_SCALE_UNIT,
                format_args!("a number above 0, at most {MAX_SCALE_UNIT:e}"),
            )?,
        };
        Ok(Self {
            row_format,
            rows,
            dimensions: columns * row_format.values_in_one(),
            embeddings: embeddings.range.clone(),
            scales,
            scale_unit,
        })
    }

    /// Refuses values that cannot be summed.
    pub fn check_values(&self, file: &WeightsFile) -> Result<(), WeightsError> {
        match self.row_format {
            RowFormat::F32 => file.check_magnitudes("embeddings", self.dimensions),
            RowFormat::I8 => file.check_magnitudes("scales", 1),
            // Whole numbers all.
            RowFormat::I4 => Ok(()),
        }
    }

    /// The rows as they lie in the file.
    pub fn rows_in<'a>(&self, file: &'a WeightsFile) -> Rows<'a> {
        Rows {
            format: self.row_format,
            values: file.bytes_at(&self.embeddings),
            scales: file.bytes_at(&self.scales),
            scale_unit: self.scale_unit,
            dimensions: self.dimensions,
        }
    }
}

fn row_scales(head: &Head, dtype: Dtype, rows: usize) -> Result<Range<usize>, WeightsError> {
    let scales = head.needed_tensor("scales")?;
    if scales.dtype != dtype || scales.shape != [rows] {
        return refused(format!(
            "tensor scales: expected {dtype} [{rows}], one for each row of embeddings, found {} {:?}",
            scales.dtype, scales.shape
        ));
    }
    Ok(scales.range.clone())
}
