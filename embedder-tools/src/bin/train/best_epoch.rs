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
