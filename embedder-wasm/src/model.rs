//! From a text to its embedding: the mean of its tokens' rows, L2-normalised, and the lexical part
//! behind it where the model has one.

use crate::lexical::Sketch;
use crate::rows::RowSum;
use crate::tokenizer::WordCount;
use crate::weights::{Header, LexicalPart, Weights};
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
        let mut rows = RowSum::new(&self.weights, embedding);
        let count = header.tokenizer.for_each_token(
            text,
            header.vocab_size,
            header.max_seq_len,
            |token_id| rows.add(token_id),
        );
        let tokens = rows.finish();
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
    /// the lexical one then weighted, and all of it, as far as it is wanted, normalised.
    fn embed_both(&self, text: &str, part: &LexicalPart, embedding: &mut [f32]) -> WordCount {
        let header = self.header();
        let (semantic, lexical) = embedding.split_at_mut(header.table_dim);
        let mut rows = RowSum::new(&self.weights, semantic);
        let mut sketch = Sketch::default();
        let count = for_each_token(text, header.vocab_size, header.max_seq_len, |token| {
            rows.add(token.word_row);
            rows.add(token.stem_row);
            sketch.add(token.stem_hash);
        });
        // The mean, whose squares cannot overflow where those of the sum might.
        let row_count = rows.finish();
        scale(semantic, inverse(row_count as f32));
        let semantic_inverse = inverse(norm_in_lanes(semantic));
        let wanted = lexical.len();
        let mut whole_sketch = Vec::new();
        let lexical_inverse = if wanted == part.dim {
            sketch.write(self.weights.idf(), lexical);
            inverse(norm_in_lanes(lexical))
        } else {
            whole_sketch.resize(part.dim, 0.0);
            sketch.write(self.weights.idf(), &mut whole_sketch);
            lexical.copy_from_slice(&whole_sketch[..wanted]);
            inverse(norm_in_lanes(&whole_sketch))
        };
        scale(semantic, semantic_inverse);
        scale(lexical, part.weight * lexical_inverse);
        scale(embedding, inverse(norm_in_lanes(embedding)));
        count
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

/// The L2 norm of a vector whose last bits need not agree with the native code's: eight sums run side by
/// side, since one alone would wait for each of its additions.
fn norm_in_lanes(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let rest: f32 = rest.iter().map(|value| value * value).sum();
    (sums.iter().sum::<f32>() + rest).sqrt()
}

/// 0 for 0: what has no length stays as it is.
fn inverse(norm: f32) -> f32 {
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}
