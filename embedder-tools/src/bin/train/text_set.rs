//! Tokenised texts, end to end in one allocation.

use embedder_wasm::models::lexical::Sketch;
use embedder_wasm::tokenizers::{TableRows, Tokenizer};
use rayon::prelude::*;

/// How texts are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub tokenizer: Tokenizer,
    pub rows: TableRows<'a>,
    pub max_words: usize,
}

/// A text's rows of the table and, where the tokenizer has stems, their hashes.
#[derive(Default)]
struct Tokens {
    rows: Vec<u32>,
    stems: Vec<u64>,
}

impl Reading<'_> {
    fn read(&self, text: &str) -> Tokens {
        let Tokens {
            mut rows,
            mut stems,
        } = Tokens::default();
        self.tokenizer.for_each_token(
            text,
            self.rows,
            self.max_words,
            |row| rows.push(row),
            |stem| stems.push(stem),
        );
        Tokens { rows, stems }
    }
}

#[derive(Default)]
pub struct TextSet {
    /// Text i has the rows `rows[row_offsets[i]..row_offsets[i + 1]]`.
    row_offsets: Vec<usize>,
    rows: Vec<u32>,
    stem_offsets: Vec<usize>,
    stems: Vec<u64>,
}

impl TextSet {
    pub fn of<T: AsRef<str> + Sync>(texts: &[T], reading: &Reading) -> Self {
        let tokens: Vec<Tokens> = texts
            .par_iter()
            .map(|text| reading.read(text.as_ref()))
            .collect();
        let mut set = TextSet {
            row_offsets: vec![0],
            stem_offsets: vec![0],
            ..Self::default()
        };
        for text in tokens {
            set.rows.extend(text.rows);
            set.row_offsets.push(set.rows.len());
            set.stems.extend(text.stems);
            set.stem_offsets.push(set.stems.len());
        }
        set
    }

    #[cfg(test)]
    pub fn of_rows(texts: &[Vec<u32>]) -> Self {
        let mut set = TextSet {
            row_offsets: vec![0],
            stem_offsets: vec![0; texts.len() + 1],
            ..Self::default()
        };
        for rows in texts {
            set.rows.extend(rows);
            set.row_offsets.push(set.rows.len());
        }
        set
    }

    pub fn len(&self) -> usize {
        self.row_offsets.len() - 1
    }

    pub fn rows(&self, text: usize) -> &[u32] {
        &self.rows[self.row_offsets[text]..self.row_offsets[text + 1]]
    }

    pub fn all_rows(&self) -> Vec<&[u32]> {
        (0..self.len()).map(|text| self.rows(text)).collect()
    }

    pub fn stems(&self, text: usize) -> &[u64] {
        &self.stems[self.stem_offsets[text]..self.stem_offsets[text + 1]]
    }

    /// The lexical parts of some of the texts, each of length 1 or, without a stem, zero.
    pub fn sketches(&self, texts: &[usize], idf: &[u8], dimensions: usize) -> Vec<f32> {
        let mut sketches = vec![0.0; texts.len() * dimensions];
        sketches
            .par_chunks_mut(dimensions)
            .zip(texts)
            .for_each(|(values, &text)| {
                let mut sketch = Sketch::default();
                self.stems(text).iter().for_each(|&stem| sketch.add(stem));
                sketch.write(idf, values);
                embedder_wasm::kernels::norm::normalize(values);
            });
        sketches
    }
}
