//! Tokenised texts, end to end in one allocation.

use rayon::prelude::*;

#[derive(Default)]
pub struct TextSet {
    /// Text i has the ids `ids[offsets[i]..offsets[i + 1]]`.
    offsets: Vec<usize>,
    ids: Vec<u32>,
}

impl TextSet {
    pub fn of(texts: &[&str], tokenize: &(dyn Fn(&str) -> Vec<u32> + Sync)) -> Self {
        let tokenized: Vec<Vec<u32>> = texts.par_iter().map(|text| tokenize(text)).collect();
        let mut set = TextSet {
            offsets: Vec::with_capacity(texts.len() + 1),
            ids: Vec::new(),
        };
        set.offsets.push(0);
        for ids in tokenized {
            set.ids.extend(ids);
            set.offsets.push(set.ids.len());
        }
        set
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn ids(&self, text: usize) -> &[u32] {
        &self.ids[self.offsets[text]..self.offsets[text + 1]]
    }
}
