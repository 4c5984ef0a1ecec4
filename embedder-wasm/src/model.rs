//! From a text to its embedding: the mean of its tokens' rows, L2-normalised, and the lexical part
//! behind it where the model has one.

use crate::lexical::Sketch;
use crate::tokenizer::WordCount;
use crate::weights::{Dtype, Header, LexicalPart, VALUES_IN_AN_I4_BYTE, Weights};
use crate::words_and_stems::for_each_token;

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
        debug_assert!(embedding.len() <= self.header().embedding_dim);
        embedding.fill(0.0);
        let table_dim = self.header().table_dim;
        match &self.header().lexical {
            Some(lexical) if embedding.len() > table_dim => {
                self.embed_both(text, lexical, embedding)
            }
            _ => {
                let end = embedding.len().min(table_dim);
                self.embed_semantic(text, &mut embedding[..end])
            }
        }
    }

    /// Counts a text's words and reads none.
    pub fn count(&self, text: &str) -> usize {
        self.header().tokenizer.count_words(text)
    }

    fn embed_semantic(&self, text: &str, embedding: &mut [f32]) -> WordCount {
        let header = self.header();
        let rows = Rows::new(&self.weights);
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

    /// The semantic part and, behind it, the lexical one, in one pass over the text: each of length 1,
    /// then weighted, and all of it, as far as it is wanted, normalised.
    fn embed_both(&self, text: &str, part: &LexicalPart, embedding: &mut [f32]) -> WordCount {
        let header = self.header();
        let rows = Rows::new(&self.weights);
        let mut sketch = Sketch::default();
        let (semantic, rest) = embedding.split_at_mut(header.table_dim);
        let count = for_each_token(text, header.vocab_size, header.max_seq_len, |token| {
            rows.add(token.word_row as usize, semantic);
            rows.add(token.stem_row as usize, semantic);
            sketch.add(token.stem_hash);
        });
        // The mean and the sum have the same direction.
        normalize_in_lanes(semantic);
        let mut lexical = vec![0.0; part.dim];
        sketch.write(self.weights.idf(), &mut lexical);
        normalize_in_lanes(&mut lexical);
        for (value, lexical) in rest.iter_mut().zip(lexical) {
            *value = lexical * part.weight;
        }
        normalize_in_lanes(embedding);
        count
    }
}

/// The table's rows as they lie in the file.
struct Rows<'a> {
    dtype: Dtype,
    /// `[vocab_size, table_dim]` values of `dtype`.
    embeddings: &'a [u8],
    /// `[vocab_size]` little-endian f32 where rows are quantised.
    scales: &'a [u8],
    table_dim: usize,
}

impl<'a> Rows<'a> {
    fn new(weights: &'a Weights) -> Self {
        Self {
            dtype: weights.header.dtype,
            embeddings: weights.embeddings(),
            scales: weights.scales(),
            table_dim: weights.header.table_dim,
        }
    }

    fn scale(&self, row: usize) -> f32 {
        f32::from_le_bytes(std::array::from_fn(|byte| self.scales[row * 4 + byte]))
    }

    /// Adds a row's first values to `sum`.
    #[inline(always)]
    fn add(&self, row: usize, sum: &mut [f32]) {
        match self.dtype {
            Dtype::F32 => {
                let start = row * self.table_dim * 4;
                add_f32(&self.embeddings[start..start + sum.len() * 4], sum);
            }
            Dtype::I8 => {
                let start = row * self.table_dim;
                add_i8(
                    &self.embeddings[start..start + sum.len()],
                    self.scale(row),
                    sum,
                );
            }
            Dtype::I4 => {
                let row_bytes = self.table_dim / VALUES_IN_AN_I4_BYTE;
                let start = row * row_bytes;
                let bytes = &self.embeddings[start..start + row_bytes];
                let (low, high) = sum.split_at_mut(sum.len().min(row_bytes));
                add_i4(bytes, |byte| byte & 0x0F, self.scale(row), low);
                add_i4(bytes, |byte| byte >> 4, self.scale(row), high);
            }
        }
    }
}

// These loops are written so that the compiler turns them into SIMD: no bounds check inside, no
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

/// Level n of 16 stands for n - 7.5.
#[inline(always)]
fn add_i4(row: &[u8], level: impl Fn(u8) -> u8, scale: f32, sum: &mut [f32]) {
    for (sum, byte) in sum.iter_mut().zip(row) {
        *sum += (f32::from(level(*byte)) - 7.5) * scale;
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

/// The same for vectors whose last bits need not agree with the native code's: eight sums run side by
/// side, since one alone would wait for each of its additions.
fn normalize_in_lanes(values: &mut [f32]) {
    let mut sums = [0.0_f32; 8];
    for chunk in values.chunks(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let norm = sums.iter().sum::<f32>().sqrt();
    if norm > 0.0 {
        let inverse = 1.0 / norm;
        for value in values {
            *value *= inverse;
        }
    }
}
