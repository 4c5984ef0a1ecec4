//! The lexical part of an embedding: which stems a text has, weighted by how rare they are, in a
//! count sketch. It needs no table, so that any two texts with the same rare word meet in it.

use std::ops::Range;

use crate::format::container::Head;
use crate::format::{Dtype, WeightsError, refused};
use crate::kernels::norm::{inverse, norm_in_lanes, scale};
use crate::tokenizers::hashed_rows::MIN_VOCAB_SIZE;
use crate::tokenizers::words_and_stems;

/// More is no use in a vector that is sent around.
pub const MAX_LEXICAL_DIMENSIONS: usize = 8192;
/// The semantic part has length 1: beside more than this it would be nothing.
pub const MAX_LEXICAL_WEIGHT: f32 = 100.0;

/// Where another tokenizer reads the text for the semantic part.
const LEXICAL_WORDS: usize = 8192;

/// A stem is written to one place in each of these equal blocks of the sketch.
pub const SKETCH_BLOCKS: usize = 4;

/// The norm of a sketch that has one stem, once, of the largest idf: 255 at four places.
const RAREST_STEM_NORM: f32 = 510.0;

/// What a file says about a model's lexical part.
#[derive(Clone, Debug, PartialEq)]
pub struct LexicalPart {
    pub dimensions: usize,
    /// Its length where the semantic part has 1.
    pub weight: f32,
    /// Whether texts with many rare words have less of it.
    pub is_damped: bool,
    /// U8 `[n]`: how rare a stem is. A range of the file's bytes.
    pub idf: Range<usize>,
}

impl LexicalPart {
    /// Reads `lexical_dim`, `lexical_weight`, `lexical_damping` and the tensor `idf`; all but the damping must be there.
    pub fn from_head(head: &Head) -> Result<Self, WeightsError> {
        let dimensions = match head.metadata.text("lexical_dim")?.parse::<usize>() {
            Ok(dimensions)
                if (1..=MAX_LEXICAL_DIMENSIONS).contains(&dimensions)
                    && dimensions.is_multiple_of(SKETCH_BLOCKS) =>
            {
                dimensions
            }
            _ => {
                let expected =
                    format!("a multiple of {SKETCH_BLOCKS} up to {MAX_LEXICAL_DIMENSIONS}");
                return head.metadata.wrong("lexical_dim", &expected);
            }
        };
        let weight = head.metadata.real(
            "lexical_weight",
            0.0..=MAX_LEXICAL_WEIGHT,
            format_args!("a number from 0 to {MAX_LEXICAL_WEIGHT}"),
        )?;
        let is_damped = match head.metadata.optional_text("lexical_damping")? {
            None => false,
            Some("root") => true,
            Some(_) => {
                return head
                    .metadata
                    .wrong("lexical_damping", "\"root\", or nothing");
            }
        };
        let idf = head.needed_tensor("idf")?;
        if idf.dtype != Dtype::U8 || idf.shape.len() != 1 || idf.shape[0] == 0 {
            return refused(format!(
                "tensor idf: expected U8 of the shape [n], found {} {:?}",
                idf.dtype, idf.shape
            ));
        }
        Ok(Self {
            dimensions,
            weight,
            is_damped,
            idf: idf.range.clone(),
        })
    }

    /// Of a model that has a lexical part where it has `idf`.
    pub fn from_head_if_there(head: &Head, normalize: bool) -> Result<Option<Self>, WeightsError> {
        match head.tensor("idf") {
            None => Ok(None),
            Some(_) if !normalize => head
                .metadata
                .wrong("normalize", "\"true\", which a lexical part needs"),
            Some(_) => Self::from_head(head).map(Some),
        }
    }

    /// Puts the lexical part behind the semantic one, `embedding[..semantic_dimensions]`, as much of it as
    /// `embedding` has room for: each of length 1, the lexical one then weighted, and all of it normalised.
    pub fn put_behind(
        &self,
        semantic_dimensions: usize,
        embedding: &mut [f32],
        idf: &[u8],
        sketch: &mut Sketch,
    ) {
        let (semantic, lexical) = embedding.split_at_mut(semantic_dimensions);
        let semantic_inverse = inverse(norm_in_lanes(semantic));
        let wanted = lexical.len();
        let norm = if wanted == self.dimensions {
            write(&mut sketch.stem_hashes, idf, lexical);
            norm_in_lanes(lexical)
        } else {
            sketch.whole.resize(self.dimensions, 0.0);
            write(&mut sketch.stem_hashes, idf, &mut sketch.whole);
            lexical.copy_from_slice(&sketch.whole[..wanted]);
            norm_in_lanes(&sketch.whole)
        };
        scale(semantic, semantic_inverse);
        scale(lexical, self.weight_of(norm) * inverse(norm));
        scale(embedding, inverse(norm_in_lanes(embedding)));
    }

    /// Of a sketch with this norm. A long text shares rare words with many others; its few words are what a short one
    /// has to be found by. Measured: "The lexical part" in docs/importing.md.
    fn weight_of(&self, norm: f32) -> f32 {
        if self.is_damped {
            self.weight / (norm / RAREST_STEM_NORM).max(1.0).sqrt()
        } else {
            self.weight
        }
    }
}

/// The stems of one text.
#[derive(Default)]
pub struct Sketch {
    stem_hashes: Vec<u64>,
    /// `[lexical dimensions]`, where only some of them are wanted.
    whole: Vec<f32>,
}

impl Sketch {
    /// Forgets the stems of the text before.
    pub fn clear(&mut self) {
        self.stem_hashes.clear();
    }

    /// Takes the stems of a text, among its first `LEXICAL_WORDS` words, for those of the text before.
    pub fn read(&mut self, text: &str) {
        self.clear();
        words_and_stems::for_each_token(text, MIN_VOCAB_SIZE, LEXICAL_WORDS, |token| {
            self.add(token.stem_hash);
        });
    }

    /// Adds a stem by its hash, `words_and_stems::Token::stem_hash`.
    pub fn add(&mut self, stem_hash: u64) {
        self.stem_hashes.push(stem_hash);
    }

    /// Writes the lexical part by itself, before any norm, into `lexical`, whose length is a multiple of
    /// `SKETCH_BLOCKS`: for the trainer.
    pub fn write(&mut self, idf: &[u8], lexical: &mut [f32]) {
        write(&mut self.stem_hashes, idf, lexical);
    }
}

/// Writes each stem's (1 + ln count) x idf into `sketch`, whose length is a multiple of
/// `SKETCH_BLOCKS`, at the places and with the signs that its hash gives.
fn write(stem_hashes: &mut [u64], idf: &[u8], sketch: &mut [f32]) {
    // In the order of their hashes: a sum's last bits do not depend on the order of the words.
    stem_hashes.sort_unstable();
    sketch.fill(0.0);
    for equal in stem_hashes.chunk_by(|a, b| a == b) {
        let hash = equal[0];
        let weight = idf[(hash % idf.len() as u64) as usize];
        let value = term_frequency(equal.len()) * f32::from(weight);
        for (place, sign) in places(hash, sketch.len()) {
            sketch[place] += sign * value;
        }
    }
}

/// 1 + ln count; most stems come once, and a logarithm costs as much as all the rest.
fn term_frequency(count: usize) -> f32 {
    if count == 1 {
        1.0
    } else {
        (1.0 + (count as f64).ln()) as f32
    }
}

/// Sixteen bits of the hash for each block: the lowest is the sign, the rest the place.
fn places(hash: u64, dimensions: usize) -> impl Iterator<Item = (usize, f32)> {
    let block_dimensions = dimensions / SKETCH_BLOCKS;
    (0..SKETCH_BLOCKS).map(move |block| {
        let bits = (hash >> (16 * block)) & 0xFFFF;
        let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
        (
            block * block_dimensions + (bits >> 1) as usize % block_dimensions,
            sign,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_written_to_one_place_of_each_block_with_its_sign() {
        // Pieces from the lowest: 0x0001 (minus, 0), 0x0004 (plus, 2), 0x000B (minus, 5), 0x0014 (plus, 10).
        let hash = 0x0014_000B_0004_0001;
        let mut sketch = Sketch::default();
        sketch.add(hash);
        let mut idf = vec![0; 8];
        idf[1] = 10;
        let mut values = vec![0.0; 32];
        write(&mut sketch.stem_hashes, &idf, &mut values);
        let mut expected = vec![0.0; 32];
        (
            expected[0],
            expected[8 + 2],
            expected[16 + 5],
            expected[24 + 2],
        ) = (-10.0, 10.0, -10.0, 10.0);
        assert_eq!(values, expected);
    }

    #[test]
    fn damping_divides_the_weight_by_the_root_of_how_many_of_the_rarest_stem_the_norm_is() {
        let mut part = LexicalPart {
            dimensions: 640,
            weight: 0.5,
            is_damped: false,
            idf: 0..1,
        };
        assert_eq!(part.weight_of(2040.0), 0.5);
        part.is_damped = true;
        assert_eq!(
            [0.0, 255.0, 510.0, 2040.0].map(|norm| part.weight_of(norm)),
            [0.5, 0.5, 0.5, 0.25]
        );
    }

    #[test]
    fn a_stem_that_comes_again_counts_by_the_logarithm() {
        let mut sketch = Sketch::default();
        (0..3).for_each(|_| sketch.add(0));
        let mut values = vec![0.0; 4];
        write(&mut sketch.stem_hashes, &[2], &mut values);
        assert_eq!(values, [2.0 * (1.0 + 3f64.ln() as f32); 4]);
    }
}
