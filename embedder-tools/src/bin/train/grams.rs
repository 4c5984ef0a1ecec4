//! The rows of character n-grams, with text-as-written: what stands in for a row of its own where a token has none.
//!
//! They are chosen so that their sum is, for each token with a row of its own, as near as can be to that row: linear least
//! squares with a ridge, by conjugate gradients. So a word that nobody has seen means what words that are spelt
//! like it mean.

use embedder_wasm::tokenizers::text_as_written::for_each_gram_row;
use rayon::prelude::*;

use crate::own_rows::{Key, row_of};
use crate::table::Table;
use crate::text_set::Reading;

const ITERATIONS: usize = 12;
/// What moving a row of n-grams from where it began costs, where missing a token by as much costs 1.
const RIDGE: f32 = 1.0;
/// What the chosen rows are multiplied by: a token that nobody has seen says less, for all that is known of it.
const FACTOR: f32 = 0.7;
/// Every so many tokens one is not learned from, and measured.
const HELD_OUT_OF: usize = 50;

/// Chooses the rows of n-grams, and returns the mean cosine of held-out tokens with the rows that they should have.
pub fn fit(table: &mut Table, reading: &Reading, keys: &[Key]) -> f32 {
    let first = reading.rows.own.first_shared_row();
    let (held_out, learned): (Vec<_>, Vec<_>) = spellings(reading, keys)
        .into_iter()
        .enumerate()
        .partition(|(number, _)| number % HELD_OUT_OF == 0);
    let learned: Vec<Spelling> = learned.into_iter().map(|(_, spelling)| spelling).collect();
    Problem::new(&learned, table, first).solve(table);
    table.rows[first * table.dimensions..]
        .iter_mut()
        .for_each(|value| *value *= FACTOR);
    let cosines: Vec<f32> = held_out
        .iter()
        .map(|(_, spelling)| cosine(table, &spelling.grams, spelling.own_row))
        .collect();
    cosines.iter().sum::<f32>() / cosines.len().max(1) as f32
}

/// How a token is spelt, and the row that it should have.
struct Spelling {
    own_row: usize,
    /// Rows of the table.
    grams: Vec<u32>,
}

/// Of all tokens but symbols.
fn spellings(reading: &Reading, keys: &[Key]) -> Vec<Spelling> {
    keys.iter()
        .filter(|key| key.token.chars().all(char::is_alphanumeric))
        .map(|key| {
            let mut grams = Vec::new();
            for_each_gram_row(&key.token, reading.rows, |row| grams.push(row));
            Spelling {
                own_row: row_of(&key.token, reading),
                grams,
            }
        })
        .collect()
}

/// min over X of |A X - Y|^2 + RIDGE |X - X0|^2: A has a row for each spelling, Y the row that it should have.
struct Problem {
    dimensions: usize,
    first_row: usize,
    /// For each spelling, its columns of A.
    columns: Vec<Vec<u32>>,
    /// For each column of A, the spellings that have it.
    spellings: Vec<Vec<u32>>,
    /// Y - A X, spellings x dimensions.
    residuals: Vec<f32>,
}

impl Problem {
    fn new(learned: &[Spelling], table: &Table, first_row: usize) -> Self {
        let dimensions = table.dimensions;
        let columns: Vec<Vec<u32>> = learned
            .iter()
            .map(|spelling| {
                spelling
                    .grams
                    .iter()
                    .map(|&row| row - first_row as u32)
                    .collect()
            })
            .collect();
        let mut spellings = vec![Vec::new(); table.rows.len() / dimensions - first_row];
        for (number, columns) in columns.iter().enumerate() {
            for &column in columns {
                spellings[column as usize].push(number as u32);
            }
        }
        let mut residuals: Vec<f32> = learned
            .iter()
            .flat_map(|spelling| row(table, spelling.own_row).iter().copied())
            .collect();
        let problem_rows = &table.rows[first_row * dimensions..];
        let product = gathered(&columns, problem_rows, dimensions);
        residuals
            .par_iter_mut()
            .zip(&product)
            .for_each(|(residual, value)| *residual -= value);
        Self {
            dimensions,
            first_row,
            columns,
            spellings,
            residuals,
        }
    }

    /// Conjugate gradients on the normal equations, each dimension by itself ("CGLS", Hestenes and Stiefel 1952).
    fn solve(&mut self, table: &mut Table) {
        let dimensions = self.dimensions;
        let mut change = vec![0.0_f32; self.spellings.len() * dimensions];
        let mut gradient = gathered(&self.spellings, &self.residuals, dimensions);
        let mut direction = gradient.clone();
        let mut squares = squares_of(&gradient, dimensions);
        for _ in 0..ITERATIONS {
            let product = gathered(&self.columns, &direction, dimensions);
            let steps: Vec<f32> = squares_of(&product, dimensions)
                .iter()
                .zip(squares_of(&direction, dimensions))
                .zip(&squares)
                .map(|((product, direction), gradient)| {
                    gradient / (product + RIDGE * direction).max(f32::MIN_POSITIVE)
                })
                .collect();
            add_scaled(&mut change, &direction, &steps);
            let backwards: Vec<f32> = steps.iter().map(|step| -step).collect();
            add_scaled(&mut self.residuals, &product, &backwards);
            gradient = gathered(&self.spellings, &self.residuals, dimensions);
            add_scaled(&mut gradient, &change, &vec![-RIDGE; dimensions]);
            let next = squares_of(&gradient, dimensions);
            let shares: Vec<f32> = next
                .iter()
                .zip(&squares)
                .map(|(next, before)| next / before.max(f32::MIN_POSITIVE))
                .collect();
            direction
                .par_chunks_mut(dimensions)
                .zip(gradient.par_chunks(dimensions))
                .for_each(|(direction, gradient)| {
                    for ((direction, gradient), share) in
                        direction.iter_mut().zip(gradient).zip(&shares)
                    {
                        *direction = gradient + share * *direction;
                    }
                });
            squares = next;
        }
        table.rows[self.first_row * dimensions..]
            .par_iter_mut()
            .zip(&change)
            .for_each(|(value, change)| *value += change);
    }
}

fn row(table: &Table, number: usize) -> &[f32] {
    &table.rows[number * table.dimensions..(number + 1) * table.dimensions]
}

/// For each list the sum of the rows that it names.
fn gathered(lists: &[Vec<u32>], rows: &[f32], dimensions: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f32; lists.len() * dimensions];
    sums.par_chunks_mut(dimensions)
        .zip(lists)
        .for_each(|(sum, list)| {
            for &number in list {
                let start = number as usize * dimensions;
                for (sum, value) in sum.iter_mut().zip(&rows[start..start + dimensions]) {
                    *sum += value;
                }
            }
        });
    sums
}

/// The sum of squares of each column, in an order that does not depend on the threads.
fn squares_of(values: &[f32], dimensions: usize) -> Vec<f32> {
    const ROWS_IN_A_BLOCK: usize = 1024;
    let blocks: Vec<Vec<f64>> = values
        .par_chunks(ROWS_IN_A_BLOCK * dimensions)
        .map(|block| {
            let mut sums = vec![0.0_f64; dimensions];
            for row in block.chunks(dimensions) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value * value);
                }
            }
            sums
        })
        .collect();
    (0..dimensions)
        .map(|dimension| blocks.iter().map(|block| block[dimension]).sum::<f64>() as f32)
        .collect()
}

/// Adds rows, each column times its factor.
fn add_scaled(sums: &mut [f32], rows: &[f32], factors: &[f32]) {
    sums.par_chunks_mut(factors.len())
        .zip(rows.par_chunks(factors.len()))
        .for_each(|(sum, row)| {
            for ((sum, value), factor) in sum.iter_mut().zip(row).zip(factors) {
                *sum += factor * value;
            }
        });
}

fn cosine(table: &Table, grams: &[u32], own_row: usize) -> f32 {
    let pooled = table.pool(&[grams, &[own_row as u32]]).vectors;
    let (grams, own) = pooled.split_at(table.dimensions);
    grams.iter().zip(own).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use embedder_wasm::tokenizers::{TableRows, Tokenizer};

    use super::*;
    use crate::own_rows::tables_of;

    #[test]
    fn a_token_without_a_row_of_its_own_is_near_to_those_that_are_spelt_like_it() {
        let token =
            |stem: &str, number: usize| format!("{stem}{}", char::from(b'a' + number as u8));
        let keys: Vec<Key> = ["mountain", "velocity"]
            .iter()
            .flat_map(|stem| (0..20).map(move |number| token(stem, number)))
            .map(|token| Key {
                start: token.clone(),
                token,
            })
            .collect();
        let own_rows = tables_of(&keys).unwrap();
        let reading = Reading {
            tokenizer: Tokenizer::TextAsWritten,
            rows: TableRows {
                vocab_size: 1024,
                own: own_rows.view(),
            },
            max_words: 9,
        };
        let mut table = Table::random(1024, 8, 1);
        for (number, key) in keys.iter().enumerate() {
            let start = row_of(&key.token, &reading) * 8;
            table.rows[start..start + 8].fill(0.0);
            table.rows[start + number / 20] = 1.0;
        }
        let held_out = fit(&mut table, &reading, &keys);
        assert!(held_out > 0.9, "{held_out}");
    }
}
