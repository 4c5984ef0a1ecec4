//! The training loop.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::batches::{Batch, batches_in_an_epoch, epoch};
use crate::objective::contrast;
use crate::pairs::Source;
use crate::random::Random;
use crate::table::Table;

/// The shown loss is a moving mean over about this many steps.
const SHOWN_STEPS: f32 = 50.0;

pub struct Schedule {
    pub epochs: usize,
    pub batch_size: usize,
    pub max_pairs_per_source: usize,
    /// Of the first step; it falls linearly to 0.
    pub learning_rate: f32,
    pub temperature: f32,
    pub seed: u64,
}

/// Trains the table and returns the mean loss of the last epoch.
pub fn train(table: &mut Table, sources: &[Source], schedule: &Schedule) -> f32 {
    let pair_counts: Vec<usize> = sources.iter().map(Source::pair_count).collect();
    let (batch_size, cap) = (schedule.batch_size, schedule.max_pairs_per_source);
    let steps = schedule.epochs * batches_in_an_epoch(&pair_counts, batch_size, cap);
    let bar = progress_bar(steps);
    // The table has taken its values from the seed itself.
    let mut random = Random::new(schedule.seed.wrapping_add(1));
    let (mut step, mut shown_loss, mut last_mean) = (0, None, 0.0);
    for _ in 0..schedule.epochs {
        let batches = epoch(&pair_counts, batch_size, cap, &mut random);
        let mut sum = 0.0;
        for batch in &batches {
            let rate = schedule.learning_rate * (1.0 - step as f32 / steps as f32);
            let loss = train_step(
                table,
                &sources[batch.source],
                batch,
                schedule.temperature,
                rate,
            );
            sum += loss;
            step += 1;
            let mean = shown_loss.map_or(loss, |mean: f32| mean + (loss - mean) / SHOWN_STEPS);
            shown_loss = Some(mean);
            bar.set_message(format!("loss {mean:.3}"));
            bar.inc(1);
        }
        last_mean = sum / batches.len() as f32;
    }
    bar.finish();
    last_mean
}

fn train_step(
    table: &mut Table,
    source: &Source,
    batch: &Batch,
    temperature: f32,
    rate: f32,
) -> f32 {
    let dim = table.dim;
    let anchors = batch.pairs.iter().map(|&pair| 2 * pair as usize);
    let indices: Vec<usize> = anchors
        .clone()
        .chain(anchors.map(|anchor| anchor + 1))
        .collect();
    let texts: Vec<&[u32]> = indices.iter().map(|&text| source.texts.ids(text)).collect();
    let keys: Vec<u64> = indices.iter().map(|&text| source.keys[text]).collect();
    let (anchor_keys, positive_keys) = keys.split_at(batch.pairs.len());
    // Another pair with one of the same texts is no negative.
    let excluded = |i: usize, j: usize| {
        anchor_keys[i] == anchor_keys[j]
            || positive_keys[i] == positive_keys[j]
            || anchor_keys[i] == positive_keys[j]
    };

    let pooled = table.pool(&texts);
    let (anchors, positives) = pooled.vectors.split_at(batch.pairs.len() * dim);
    let contrast = contrast(anchors, positives, dim, temperature, &excluded);
    let mut gradients = contrast.anchor_gradients;
    gradients.extend(contrast.positive_gradients);
    table.update(&texts, &pooled, gradients, rate);
    contrast.loss
}

/// On a terminal a bar; elsewhere nothing is drawn.
fn progress_bar(steps: usize) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} steps  {msg}  {per_sec}  {elapsed} gone, {eta} to go";
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_set::TextSet;

    /// Pair i shares one token of its own; all the rest is noise.
    fn source(pairs: usize) -> Source {
        let texts: Vec<String> = (0..2 * pairs)
            .map(|text| format!("{} {} {}", text / 2 + 2, text % 7 + 200, text % 5 + 210))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let set = TextSet::of(&texts, &|text| {
            text.split(' ').map(|id| id.parse().unwrap()).collect()
        });
        Source {
            name: "test".to_owned(),
            texts: set,
            keys: (0..2 * pairs as u64).collect(),
        }
    }

    fn trained(threads: usize, seed: u64) -> (f32, Vec<f32>) {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut table = Table::random(256, 24, seed);
            let schedule = Schedule {
                epochs: 30,
                batch_size: 64,
                max_pairs_per_source: usize::MAX,
                learning_rate: 0.02,
                temperature: 0.05,
                seed,
            };
            let loss = train(&mut table, &[source(190)], &schedule);
            (loss, table.rows)
        })
    }

    #[test]
    fn a_seed_gives_the_same_table_bit_for_bit_on_any_number_of_threads() {
        let bits = |(_, rows): (f32, Vec<f32>)| {
            rows.iter()
                .map(|value| value.to_bits())
                .collect::<Vec<u32>>()
        };
        let one = bits(trained(1, 5));
        assert_eq!(one, bits(trained(1, 5)));
        assert_eq!(one, bits(trained(3, 5)));
        assert_ne!(one, bits(trained(1, 6)));
    }

    #[test]
    fn training_finds_what_pairs_share() {
        // Guessing among the 64 pairs of a batch would be ln 64 = 4.2.
        let (loss, rows) = trained(2, 5);
        assert!(loss < 0.2, "loss {loss}");
        assert!(
            rows[..24].iter().all(|&value| value == 0.0),
            "the padding row was changed"
        );
    }
}
