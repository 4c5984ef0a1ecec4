//! The table that is trained: pooling texts out of it, and the sparse Adam step back into it.

use rayon::prelude::*;

use embedder_wasm::format::row_format::RowFormat;
use embedder_wasm::random::Random;

const MOMENTUM_DECAY: f32 = 0.9;
const VARIANCE_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;
/// Rows that one task updates: small enough to share the work evenly.
const ROWS_IN_A_TASK: usize = 64;

pub struct Table {
    pub dimensions: usize,
    /// vocab_size x dimensions, row-major.
    pub rows: Vec<f32>,
    /// The rows as they will read after they were stored in few bits; empty until the training takes
    /// that into account.
    stored: Vec<f32>,
    stored_as: RowFormat,
    momentum: Vec<f32>,
    variance: Vec<f32>,
    steps: i32,
}

/// Texts as unit vectors, with what the way back through the normalisation needs.
pub struct Pooled {
    /// texts x dimensions.
    pub vectors: Vec<f32>,
    /// 1 / (norm of the sum of the rows); 0 for a text with no rows or a zero sum.
    inverse_norms: Vec<f32>,
}

impl Table {
    pub fn from_rows(rows: Vec<f32>, dimensions: usize) -> Self {
        let (momentum, variance) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        Self {
            dimensions,
            rows,
            stored: Vec::new(),
            stored_as: RowFormat::F32,
            momentum,
            variance,
            steps: 0,
        }
    }

    /// auto-g-embed's start: uniform in +-0.05, and row 0 (padding) zero.
    pub fn random(vocab_size: usize, dimensions: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut rows = random.start_values(vocab_size * dimensions);
        rows[..dimensions].fill(0.0);
        Self::from_rows(rows, dimensions)
    }

    /// From here on texts are pooled out of rows as `dtype` stores them, and what that loses is learned
    /// around: the gradient goes to the exact rows as if nothing had been rounded. F32 rounds nothing.
    pub fn store_as(&mut self, dtype: RowFormat) {
        self.stored_as = dtype;
        if dtype == RowFormat::F32 {
            self.stored = Vec::new();
            return;
        }
        self.stored = vec![0.0; self.rows.len()];
        let dimensions = self.dimensions;
        self.stored
            .par_chunks_mut(dimensions)
            .zip(self.rows.par_chunks(dimensions))
            .for_each(|(stored, row)| dtype.round(row, stored));
    }

    /// What `measure` finds in the rows as `dtype` stores them; the training goes on with what it had.
    pub fn as_stored<T>(&mut self, dtype: RowFormat, measure: impl FnOnce(&Self) -> T) -> T {
        if self.stored_as == dtype {
            return measure(self);
        }
        let (stored, stored_as) = (std::mem::take(&mut self.stored), self.stored_as);
        self.store_as(dtype);
        let found = measure(self);
        (self.stored, self.stored_as) = (stored, stored_as);
        found
    }

    /// Each row becomes its mean with that of another table, `share` of which is the other's ("Model soups",
    /// Wortsman et al. 2022), as it is and not as it will be stored. The directions must mean the same: one table is what
    /// the other was before it was trained.
    pub fn average(&mut self, others: &[f32], share: f32) {
        self.rows
            .par_iter_mut()
            .zip(others)
            .for_each(|(value, other)| *value += share * (other - *value));
        self.store_as(RowFormat::F32);
    }

    pub fn pool(&self, texts: &[&[u32]]) -> Pooled {
        let rows = if self.stored.is_empty() {
            &self.rows
        } else {
            &self.stored
        };
        let mut vectors = vec![0.0; texts.len() * self.dimensions];
        let mut inverse_norms = vec![0.0; texts.len()];
        vectors
            .par_chunks_mut(self.dimensions)
            .zip(&mut inverse_norms)
            .zip(texts)
            .for_each(|((vector, inverse_norm), ids)| {
                for &id in *ids {
                    let start = id as usize * self.dimensions;
                    add(vector, &rows[start..start + self.dimensions], 1.0);
                }
                let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                if norm > 0.0 {
                    *inverse_norm = 1.0 / norm;
                    vector.iter_mut().for_each(|value| *value *= *inverse_norm);
                }
            });
        Pooled {
            vectors,
            inverse_norms,
        }
    }

    /// One step of Adam on the rows that the texts use; all other rows and their moments stay.
    /// `gradients` (texts x dimensions) are those of the unit vectors in `pooled`.
    pub fn update(
        &mut self,
        texts: &[&[u32]],
        pooled: &Pooled,
        mut gradients: Vec<f32>,
        learning_rate: f32,
    ) {
        let dimensions = self.dimensions;
        gradients
            .par_chunks_mut(dimensions)
            .zip(pooled.vectors.par_chunks(dimensions))
            .zip(&pooled.inverse_norms)
            .for_each(|((gradient, vector), inverse_norm)| {
                let along: f32 = gradient.iter().zip(vector).map(|(a, b)| a * b).sum();
                for (value, part) in gradient.iter_mut().zip(vector) {
                    *value = (*value - along * part) * inverse_norm;
                }
            });

        // Sorted by row, then by text: a row's gradient is summed in the same order on any machine.
        let mut uses: Vec<u64> = Vec::with_capacity(texts.iter().map(|ids| ids.len()).sum());
        for (text, ids) in texts.iter().enumerate() {
            uses.extend(ids.iter().map(|&id| u64::from(id) << 32 | text as u64));
        }
        uses.par_sort_unstable();

        self.steps += 1;
        let momentum_left = 1.0 - MOMENTUM_DECAY.powi(self.steps);
        let variance_left = 1.0 - VARIANCE_DECAY.powi(self.steps);
        let rate = learning_rate * variance_left.sqrt() / momentum_left;
        let values_in_a_task = ROWS_IN_A_TASK * dimensions;
        let dtype = self.stored_as;
        // An empty piece for each task until rows are rounded.
        let tasks = self.rows.len().div_ceil(values_in_a_task);
        let mut stored: Vec<&mut [f32]> = self.stored.chunks_mut(values_in_a_task).collect();
        stored.resize_with(tasks, Default::default);
        self.rows
            .par_chunks_mut(values_in_a_task)
            .zip(self.momentum.par_chunks_mut(values_in_a_task))
            .zip(self.variance.par_chunks_mut(values_in_a_task))
            .zip(stored)
            .enumerate()
            .for_each(|(task, (((rows, momentum), variance), stored))| {
                let first_row = task * ROWS_IN_A_TASK;
                let from = |row: usize| uses.partition_point(|&use_| use_ >> 32 < row as u64);
                let mut left = &uses[from(first_row)..from(first_row + ROWS_IN_A_TASK)];
                let mut gradient = vec![0.0f32; dimensions];
                while let Some(first) = left.first() {
                    let row = first >> 32;
                    let count = left.partition_point(|&use_| use_ >> 32 == row);
                    gradient.fill(0.0);
                    for use_ in &left[..count] {
                        let text = (use_ & 0xFFFF_FFFF) as usize;
                        add(
                            &mut gradient,
                            &gradients[text * dimensions..(text + 1) * dimensions],
                            1.0,
                        );
                    }
                    left = &left[count..];
                    let start = (row as usize - first_row) * dimensions;
                    let range = start..start + dimensions;
                    let values = rows[range.clone()].iter_mut();
                    let moments = momentum[range.clone()]
                        .iter_mut()
                        .zip(&mut variance[range.clone()]);
                    for ((value, (first_moment, second_moment)), slope) in
                        values.zip(moments).zip(&gradient)
                    {
                        *first_moment =
                            MOMENTUM_DECAY * *first_moment + (1.0 - MOMENTUM_DECAY) * slope;
                        *second_moment = VARIANCE_DECAY * *second_moment
                            + (1.0 - VARIANCE_DECAY) * slope * slope;
                        *value -= rate * *first_moment / (second_moment.sqrt() + EPSILON);
                    }
                    if !stored.is_empty() {
                        dtype.round(&rows[range.clone()], &mut stored[range]);
                    }
                }
            });
    }
}

fn add(sum: &mut [f32], values: &[f32], factor: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_with_another_table_lies_between_the_two() {
        let mut table = Table::from_rows(vec![0.0, 8.0, -4.0, 2.0], 2);
        table.average(&[4.0, 0.0, -4.0, 6.0], 0.25);
        assert_eq!(table.rows, [1.0, 6.0, -4.0, 3.0]);
    }

    #[test]
    fn what_is_measured_as_it_will_be_stored_changes_nothing() {
        let mut table = Table::from_rows(vec![3.0, 0.1, 1.0, 1.0], 2);
        let exact = table.pool(&[&[0]]).vectors;
        let rounded = table.as_stored(RowFormat::I4, |table| table.pool(&[&[0]]).vectors);
        assert_ne!(rounded, exact);
        assert_eq!(table.pool(&[&[0]]).vectors, exact);
        table.store_as(RowFormat::I4);
        assert_eq!(table.pool(&[&[0]]).vectors, rounded);
    }

    #[test]
    fn texts_are_pooled_out_of_the_averaged_rows() {
        let mut table = Table::from_rows(vec![3.0, 0.0], 2);
        table.store_as(RowFormat::I4);
        table.average(&[0.0, 3.0], 1.0);
        assert_eq!(table.pool(&[&[0]]).vectors, [0.0, 1.0]);
    }
}
