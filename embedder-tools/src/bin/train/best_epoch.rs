//! Keeps the table of the epoch that pairs held out speak for: a training that is too long goes on lowering its loss while
//! it forgets what it knew.

use crate::evaluate::HeldOut;
use crate::table::Table;
use crate::trainer::LexicalGuidance;
use embedder_wasm::format::row_format::RowFormat;

/// Without pairs held out it measures and keeps nothing.
pub struct BestEpoch<'a> {
    held_out: &'a HeldOut,
    lexical: Option<&'a LexicalGuidance<'a>>,
    dtype: RowFormat,
    best: Option<Best>,
}

struct Best {
    /// 0 is the table that the training began with.
    epoch: usize,
    score: f32,
    rows: Vec<f32>,
}

impl<'a> BestEpoch<'a> {
    /// `dtype` is how the rows will be stored: they are measured as they will be.
    pub fn new(
        held_out: &'a HeldOut,
        lexical: Option<&'a LexicalGuidance<'a>>,
        dtype: RowFormat,
    ) -> Self {
        Self {
            held_out,
            lexical,
            dtype,
            best: None,
        }
    }

    /// Measures the table as it is after an epoch. Of two that are equally good the earlier one stays: it is the nearer
    /// to what the table knew before.
    pub fn see(&mut self, epoch: usize, table: &mut Table) {
        let measure = |table: &Table| self.held_out.pair_score(table, self.lexical);
        let Some(score) = table.as_stored(self.dtype, measure) else {
            return;
        };
        eprintln!("epoch {epoch}: {score:.2} % of the pairs held out");
        if self.best.as_ref().is_none_or(|best| score > best.score) {
            self.best = Some(Best {
                epoch,
                score,
                rows: table.rows.clone(),
            });
        }
    }

    /// Puts the best table back, and returns the number of its epoch and its score in %. None, and nothing is changed, if
    /// nothing was measured.
    pub fn restore(self, table: &mut Table) -> Option<(usize, f32)> {
        let best = self.best?;
        table.rows = best.rows;
        table.store_as(self.dtype);
        Some((best.epoch, best.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Source;
    use crate::text_set::TextSet;
    use crate::trainer::{Guidance, Schedule, train};
    use std::path::Path;

    const DIMENSIONS: usize = 16;
    const PAIRS: u32 = 40;
    const EPOCHS: usize = 25;

    /// Of each pair the anchor is one token of its own; its positive is another, `shift` pairs further on.
    fn source(shift: u32) -> Source {
        let texts: Vec<Vec<u32>> = (0..PAIRS)
            .flat_map(|pair| [vec![1 + pair], vec![101 + (pair + shift) % PAIRS]])
            .collect();
        Source {
            name: "test".to_owned(),
            keys: texts.iter().map(|rows| u64::from(rows[0])).collect(),
            texts: TextSet::of_rows(&texts),
        }
    }

    /// The scores after each epoch of training on `taught`, from the start on, and what was kept.
    fn trained(table: &mut Table, taught: &Source, held_out: &HeldOut) -> (Vec<f32>, (usize, f32)) {
        let schedule = Schedule {
            epochs: EPOCHS,
            batch_size: PAIRS as usize,
            max_pairs_per_source: usize::MAX,
            learning_rate: 0.05,
            temperature: 0.05,
            dtype: RowFormat::I4,
            seed: 3,
        };
        let score = |table: &Table| held_out.pair_score(table, None).unwrap();
        let mut best = BestEpoch::new(held_out, None, schedule.dtype);
        best.see(0, table);
        let mut scores = vec![table.as_stored(schedule.dtype, score)];
        let sources = std::slice::from_ref(taught);
        train(
            table,
            sources,
            &Guidance::default(),
            &schedule,
            |epoch, table| {
                best.see(epoch, table);
                scores.push(table.as_stored(schedule.dtype, score));
            },
        );
        (scores, best.restore(table).unwrap())
    }

    #[test]
    fn a_run_that_is_too_long_is_as_good_as_its_best_epoch() {
        let held_out = HeldOut::of_pairs(source(0));
        let mut table = Table::random(256, DIMENSIONS, 5);
        let (scores, (epoch, score)) = trained(&mut table, &source(0), &held_out);
        assert!(epoch > 0 && score > 90.0, "{scores:?}");

        // Other lessons, by and by, take the place of what the table knew.
        let (scores, (epoch, score)) = trained(&mut table, &source(1), &held_out);
        assert_eq!(scores.len(), EPOCHS + 1);
        assert!(*scores.last().unwrap() < 10.0, "{scores:?}");
        let highest = scores.iter().copied().fold(0.0, f32::max);
        assert_eq!((score, scores[epoch]), (highest, highest), "{scores:?}");
        assert_eq!(
            held_out.pair_score(&table, None),
            Some(highest),
            "what was kept is what is there"
        );
    }

    #[test]
    fn of_epochs_that_are_equally_good_the_first_is_kept() {
        let held_out = HeldOut::of_pairs(source(0));
        let mut best = BestEpoch::new(&held_out, None, RowFormat::F32);
        let mut first = Table::random(256, DIMENSIONS, 5);
        best.see(0, &mut first);
        best.see(1, &mut Table::random(256, DIMENSIONS, 5));
        assert_eq!(best.restore(&mut first).unwrap().0, 0);
    }

    #[test]
    fn without_pairs_held_out_nothing_is_changed() {
        let reading = crate::text_set::Reading {
            tokenizer: embedder_wasm::tokenizers::Tokenizer::AsciiWords,
            rows: embedder_wasm::tokenizers::TableRows::shared(256),
            max_words: 8,
        };
        let held_out = HeldOut::read(&[], &[], None::<&Path>, &reading).unwrap();
        let mut best = BestEpoch::new(&held_out, None, RowFormat::F32);
        let mut table = Table::random(256, DIMENSIONS, 5);
        best.see(0, &mut table);
        let mut later = Table::random(256, DIMENSIONS, 6);
        let rows = later.rows.clone();
        assert_eq!(best.restore(&mut later), None);
        assert_eq!(later.rows, rows);
    }
}
