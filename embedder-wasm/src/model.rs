//! From a text to its embedding: the mean of its tokens' rows, L2-normalised.

use crate::tokenizer::{WordCount, count_words};
use crate::weights::{Dtype, Header, Weights};

pub struct Model {
    weights: Weights,
}

impl Model {
    pub fn new(weights: Weights) -> Self {
        Self { weights }
    }

    pub fn header(&self) -> &Header {
        &self.weights.header
    }

    /// Writes the embedding of a text, `[dimensions]`, into `embedding`: the first values of the
    /// model's vector, normalised among themselves where the model normalises. A text without a
    /// word gives the zero vector. `embedding` may be at most `embedding_dim` long.
    pub fn embed(&self, text: &str, embedding: &mut [f32]) -> WordCount {
        let header = self.header();
        debug_assert!(embedding.len() <= header.embedding_dim);
        let rows = Rows::new(&self.weights);
        embedding.fill(0.0);
        let mut tokens = 0_u32;
        let count = header.tokenizer.for_each_token(
            text,
            header.vocab_size,
            header.max_seq_len,
            |token_id| {
                tokens += 1;
                rows.add(token_id as usize, embedding);
            },
        );
        if tokens > 0 {
            let inverse = 1.0 / tokens as f32;
            for value in embedding.iter_mut() {
                *value *= inverse;
            }
            if header.normalize {
                normalize(embedding);
            }
        }
        count
    }

    /// Counts a text's words and reads none.
    pub fn count(&self, text: &str) -> usize {
        count_words(text)
    }
}

/// The table's rows as they lie in the file.
struct Rows<'a> {
    dtype: Dtype,
    /// `[vocab_size, embedding_dim]` values of `dtype`.
    embeddings: &'a [u8],
    /// `[vocab_size]` little-endian f32 where rows are quantised.
    scales: &'a [u8],
    embedding_dim: usize,
}

impl<'a> Rows<'a> {
    fn new(weights: &'a Weights) -> Self {
        Self {
            dtype: weights.header.dtype,
            embeddings: weights.embeddings(),
            scales: weights.scales(),
            embedding_dim: weights.header.embedding_dim,
        }
    }

    /// Adds a row's first values to `sum`.
    #[inline(always)]
    fn add(&self, row: usize, sum: &mut [f32]) {
        match self.dtype {
            Dtype::F32 => {
                let start = row * self.embedding_dim * 4;
                add_f32(&self.embeddings[start..start + sum.len() * 4], sum);
            }
            Dtype::I8 => {
                let start = row * self.embedding_dim;
                let scale = f32::from_le_bytes(std::array::from_fn(|i| self.scales[row * 4 + i]));
                add_i8(&self.embeddings[start..start + sum.len()], scale, sum);
            }
        }
    }
}

// Both loops are written so that the compiler turns them into SIMD: no bounds check inside, no
// dependency between columns.

fn add_f32(row: &[u8], sum: &mut [f32]) {
    for (sum, value) in sum.iter_mut().zip(row.as_chunks::<4>().0) {
        *sum += f32::from_le_bytes(*value);
    }
}

fn add_i8(row: &[u8], scale: f32, sum: &mut [f32]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += f32::from(*value as i8) * scale;
    }
}

/// Divides by the L2 norm, if that is greater than 0. The sum of squares runs in order, as in the
/// native code, so that the last bits agree.
pub fn normalize(embedding: &mut [f32]) {
    let norm = embedding
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt();
    if norm > 0.0 {
        for value in embedding {
            *value /= norm;
        }
    }
}
