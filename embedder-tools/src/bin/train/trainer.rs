//! The training loop.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::batches::{Batch, batches_in_an_epoch, epoch};
use crate::objective::{Lexical, Taught, contrast};
use crate::pairs::Source;
use crate::table::Table;
use crate::teacher::{Lessons, Vectors};
use embedder_wasm::format::row_format::RowFormat;
use embedder_wasm::random::Random;

/// The share of the steps that see the rows as they will be stored.
const ROUNDED_SHARE: f32 = 0.2;
/// The shown loss is a moving mean over about this many steps.
const SHOWN_STEPS: f32 = 50.0;
/// Where there is no terminal to draw the bar on, this many lines say how far it is.
const SHOWN_LINES: usize = 20;

pub struct Schedule {
    pub epochs: usize,
    pub batch_size: usize,
    pub max_pairs_per_source: usize,
    /// Of the first step; it falls linearly to 0.
    pub learning_rate: f32,
    pub temperature: f32,
    /// How the rows will be stored: the last steps take the rounding into account.
    pub dtype: RowFormat,
    pub seed: u64,
}

/// What else the training knows, beyond pairs.
#[derive(Default)]
pub struct Guidance<'a> {
    pub lexical: Option<LexicalGuidance<'a>>,
    pub teacher: Option<TeacherGuidance<'a>>,
}

/// The fixed part of the similarity.
pub struct LexicalGuidance<'a> {
    pub idf: &'a [u8],
    pub dimensions: usize,
    pub weight: f32,
}

/// Texts whose vectors are known; each step takes some of them along.
pub struct TeacherGuidance<'a> {
    pub lessons: &'a Lessons,
    /// Of the teacher's loss, 1 - cosine, where the pairs' loss has 1.
    pub weight: f32,
    /// Of the loss of distillation, in batches of pairs whose texts one of `rankings` has all read.
    pub distillation_weight: f32,
    /// The first that knows all texts of a batch is learned from.
    pub rankings: Vec<Ranking<'a>>,
    pub batch_size: usize,
}

/// A teacher's similarities, which are to be distilled.
pub struct Ranking<'a> {
    pub vectors: &'a Vectors,
    /// What the similarities are divided by.
    pub temperature: f32,
}

/// Mean losses of the last epoch.
#[derive(Default, Clone, Copy)]
pub struct Losses {
    pub pairs: f32,
    pub teacher: f32,
    pub distillation: f32,
}

/// Trains the table. `after_epoch` is called with the number of each epoch, from 1, when it is over.
pub fn train(
    table: &mut Table,
    sources: &[Source],
    guidance: &Guidance,
    schedule: &Schedule,
    mut after_epoch: impl FnMut(usize, &mut Table),
) -> Losses {
    let pair_counts: Vec<usize> = sources.iter().map(Source::pair_count).collect();
    let (batch_size, cap) = (schedule.batch_size, schedule.max_pairs_per_source);
    let steps = schedule.epochs * batches_in_an_epoch(&pair_counts, batch_size, cap);
    let bar = progress_bar(steps);
    // The table has taken its values from the seed itself.
    let mut random = Random::new(schedule.seed.wrapping_add(1));
    let mut lesson_order = LessonOrder::new(guidance);
    let (mut step, mut shown, mut last_means) = (0, None::<Losses>, Losses::default());
    let mut rounded = false;
    for epoch_number in 1..=schedule.epochs {
        let batches = epoch(&pair_counts, batch_size, cap, &mut random);
        let mut sums = Losses::default();
        for batch in &batches {
            let left = 1.0 - step as f32 / steps as f32;
            if left <= ROUNDED_SHARE && !rounded {
                table.store_as(schedule.dtype);
                rounded = true;
            }
            let rate = schedule.learning_rate * left;
            let lessons = lesson_order.next(&mut random);
            let losses = train_step(
                table,
                &sources[batch.source],
                batch,
                lessons,
                guidance,
                schedule.temperature,
                rate,
            );
            step += 1;
            sums.pairs += losses.pairs;
            sums.teacher += losses.teacher;
            sums.distillation += losses.distillation;
            let mut mean = shown.unwrap_or(losses);
            mean.pairs += (losses.pairs - mean.pairs) / SHOWN_STEPS;
            mean.teacher += (losses.teacher - mean.teacher) / SHOWN_STEPS;
            mean.distillation += (losses.distillation - mean.distillation) / SHOWN_STEPS;
            shown = Some(mean);
            let mut message = format!("loss {:.3}", mean.pairs);
            if let Some(teacher) = &guidance.teacher {
                message += &format!(", teacher {:.3}", mean.teacher);
                if teacher.distillation_weight > 0.0 {
                    message += &format!(", distillation {:.3}", mean.distillation);
                }
            }
            if bar.is_hidden() && step % steps.div_ceil(SHOWN_LINES) == 0 {
                let gone = bar.elapsed().as_secs();
                eprintln!(
                    "step {step} of {steps}, {message}, {gone} s gone, {} s to go",
                    bar.eta().as_secs()
                );
            }
            bar.set_message(message);
            bar.inc(1);
        }
        let count = batches.len() as f32;
        last_means = Losses {
            pairs: sums.pairs / count,
            teacher: sums.teacher / count,
            distillation: sums.distillation / count,
        };
        bar.suspend(|| after_epoch(epoch_number, table));
    }
    bar.finish();
    last_means
}

/// The lessons in random order, again and again.
struct LessonOrder {
    order: Vec<u32>,
    batch_size: usize,
    next: usize,
}

impl LessonOrder {
    fn new(guidance: &Guidance) -> Self {
        let (lessons, batch_size) = guidance.teacher.as_ref().map_or((0, 0), |teacher| {
            (teacher.lessons.texts.len(), teacher.batch_size)
        });
        let batch_size = batch_size.min(lessons);
        Self {
            order: (0..lessons as u32).collect(),
            batch_size,
            next: lessons,
        }
    }

    fn next(&mut self, random: &mut Random) -> &[u32] {
        if self.next + self.batch_size > self.order.len() {
            random.shuffle(&mut self.order);
            self.next = 0;
        }
        let first = self.next;
        self.next += self.batch_size;
        &self.order[first..self.next]
    }
}

fn train_step(
    table: &mut Table,
    source: &Source,
    batch: &Batch,
    lessons: &[u32],
    guidance: &Guidance,
    temperature: f32,
    rate: f32,
) -> Losses {
    let dimensions = table.dimensions;
    let pairs = batch.pairs.len();
    let anchors = batch.pairs.iter().map(|&pair| 2 * pair as usize);
    let indices: Vec<usize> = anchors
        .clone()
        .chain(anchors.map(|anchor| anchor + 1))
        .collect();
    let mut texts: Vec<&[u32]> = indices
        .iter()
        .map(|&text| source.texts.rows(text))
        .collect();
    if let Some(teacher) = &guidance.teacher {
        texts.extend(
            lessons
                .iter()
                .map(|&lesson| teacher.lessons.texts.rows(lesson as usize)),
        );
    }
    let pooled = table.pool(&texts);
    let (pair_vectors, lesson_vectors) = pooled.vectors.split_at(2 * pairs * dimensions);

    let keys: Vec<u64> = indices.iter().map(|&text| source.keys[text]).collect();
    let (anchor_keys, positive_keys) = keys.split_at(pairs);
    // Another pair with one of the same texts is no negative.
    let excluded = |i: usize, j: usize| {
        anchor_keys[i] == anchor_keys[j]
            || positive_keys[i] == positive_keys[j]
            || anchor_keys[i] == positive_keys[j]
    };
    let sketches = guidance
        .lexical
        .as_ref()
        .map(|part| source.texts.sketches(&indices, part.idf, part.dimensions));
    let lexical = guidance
        .lexical
        .as_ref()
        .zip(sketches.as_ref())
        .map(|(part, sketches)| {
            let (anchors, positives) = sketches.split_at(pairs * part.dimensions);
            Lexical {
                anchors,
                positives,
                dimensions: part.dimensions,
                weight: part.weight,
            }
        });
    let (anchors, positives) = pair_vectors.split_at(pairs * dimensions);
    let targets = guidance
        .teacher
        .as_ref()
        .filter(|teacher| teacher.distillation_weight > 0.0)
        .and_then(|teacher| {
            let ranked = ranking_of(&teacher.rankings, &keys)?;
            Some((ranked, teacher.distillation_weight))
        });
    let taught = targets.as_ref().map(|((ranking, targets), weight)| {
        let dimensions = ranking.vectors.dimensions;
        let (anchors, positives) = targets.split_at(pairs * dimensions);
        Taught {
            anchors,
            positives,
            dimensions,
            temperature: ranking.temperature,
            weight: *weight,
        }
    });
    let contrast = contrast(
        anchors,
        positives,
        dimensions,
        temperature,
        lexical,
        taught,
        &excluded,
    );
    let mut gradients = contrast.anchor_gradients;
    gradients.extend(contrast.positive_gradients);

    let mut teacher_loss = 0.0;
    if let Some(teacher) = &guidance.teacher {
        let factor = -teacher.weight / lessons.len() as f32;
        for (vector, &lesson) in lesson_vectors.chunks(dimensions).zip(lessons) {
            let target = teacher.lessons.targets.row(lesson as usize);
            teacher_loss += 1.0 - vector.iter().zip(target).map(|(a, b)| a * b).sum::<f32>();
            gradients.extend(target.iter().map(|value| factor * value));
        }
        teacher_loss /= lessons.len() as f32;
    }
    table.update(&texts, &pooled, gradients, rate);
    Losses {
        pairs: contrast.loss,
        teacher: teacher_loss,
        distillation: contrast.distillation,
    }
}

/// The first that knows all texts of a batch, and its vectors of them.
fn ranking_of<'a, 'b>(
    rankings: &'b [Ranking<'a>],
    keys: &[u64],
) -> Option<(&'b Ranking<'a>, Vec<f32>)> {
    rankings
        .iter()
        .find_map(|ranking| Some((ranking, ranking.vectors.of_keys(keys)?)))
}

/// Drawn on a terminal alone.
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
    use std::collections::HashMap;

    use super::*;
    use crate::text_set::TextSet;

    const DIMENSIONS: usize = 24;

    /// The two texts of a pair share one token of their own; all the rest is noise.
    fn source(pairs: u32) -> Source {
        let texts: Vec<Vec<u32>> = (0..2 * pairs)
            .map(|text| vec![text / 2 + 2, text % 7 + 200, text % 5 + 210])
            .collect();
        Source {
            name: "test".to_owned(),
            texts: TextSet::of_rows(&texts),
            keys: (0..2 * u64::from(pairs)).collect(),
        }
    }

    fn schedule(seed: u64) -> Schedule {
        Schedule {
            epochs: 30,
            batch_size: 64,
            max_pairs_per_source: usize::MAX,
            learning_rate: 0.02,
            temperature: 0.05,
            dtype: RowFormat::I4,
            seed,
        }
    }

    fn trained(threads: usize, seed: u64) -> (Losses, Vec<f32>) {
        let lessons = Lessons {
            texts: TextSet::of_rows(
                &(0..90)
                    .map(|row| vec![row + 2, row + 3])
                    .collect::<Vec<_>>(),
            ),
            targets: Vectors {
                dimensions: DIMENSIONS,
                values: (0..90 * DIMENSIONS)
                    .map(|i| {
                        if i % DIMENSIONS == i / DIMENSIONS % 3 {
                            1.0
                        } else {
                            0.0
                        }
                    })
                    .collect(),
                places: HashMap::new(),
            },
        };
        let teacher = TeacherGuidance {
            lessons: &lessons,
            weight: 5.0,
            distillation_weight: 0.0,
            rankings: Vec::new(),
            batch_size: 32,
        };
        let guidance = Guidance {
            lexical: None,
            teacher: Some(teacher),
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut table = Table::random(256, DIMENSIONS, seed);
            let losses = train(
                &mut table,
                &[source(190)],
                &guidance,
                &schedule(seed),
                |_, _| (),
            );
            (losses, table.rows)
        })
    }

    #[test]
    fn a_seed_gives_the_same_table_bit_for_bit_on_any_number_of_threads() {
        let bits = |(_, rows): (Losses, Vec<f32>)| {
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
        let mut table = Table::random(256, DIMENSIONS, 5);
        let losses = train(
            &mut table,
            &[source(190)],
            &Guidance::default(),
            &schedule(5),
            |_, _| (),
        );
        // Guessing among the 64 pairs of a batch would be ln 64 = 4.2.
        assert!(losses.pairs < 0.2, "loss {}", losses.pairs);
        assert!(
            table.rows[..DIMENSIONS].iter().all(|&value| value == 0.0),
            "the padding row was changed"
        );
    }

    #[test]
    fn training_follows_the_teacher() {
        let (losses, _) = trained(2, 5);
        // An untrained table has 1, on average.
        assert!(losses.teacher < 0.4, "teacher's loss {}", losses.teacher);
    }

    /// The mean cosine of the anchors of neighbouring pairs, after training on pairs alone, but for the
    /// teacher's similarities of their texts, which say that neighbours are alike.
    fn likeness_of_neighbours(distillation_weight: f32, lessons_read: usize) -> f32 {
        let source = source(64);
        let target = |text: usize| {
            (0..DIMENSIONS).map(move |i| if i == text / 4 % DIMENSIONS { 1.0 } else { 0.0 })
        };
        let lessons = Lessons {
            texts: TextSet::of_rows(&[vec![255], vec![254]]),
            targets: Vectors {
                dimensions: DIMENSIONS,
                values: (0..128).flat_map(target).collect(),
                places: source.keys[..lessons_read]
                    .iter()
                    .copied()
                    .zip(0..)
                    .collect(),
            },
        };
        let guidance = Guidance {
            lexical: None,
            teacher: Some(TeacherGuidance {
                lessons: &lessons,
                weight: 0.01,
                distillation_weight,
                rankings: vec![Ranking {
                    vectors: &lessons.targets,
                    temperature: 0.05,
                }],
                batch_size: 2,
            }),
        };
        let mut table = Table::random(256, DIMENSIONS, 5);
        train(&mut table, &[source], &guidance, &schedule(5), |_, _| ());
        let source = self::source(64);
        let anchors: Vec<&[u32]> = (0..64).map(|pair| source.texts.rows(2 * pair)).collect();
        let vectors = table.pool(&anchors).vectors;
        let cosine = |pair: usize| {
            let vector = |pair: usize| &vectors[pair * DIMENSIONS..(pair + 1) * DIMENSIONS];
            let products = vector(2 * pair).iter().zip(vector(2 * pair + 1));
            products.map(|(a, b)| a * b).sum::<f32>()
        };
        (0..32).map(cosine).sum::<f32>() / 32.0
    }

    #[test]
    fn the_first_ranking_that_knows_all_texts_of_a_batch_is_learned_from() {
        let source = source(4);
        let vectors = |toward: f32, known: usize| Vectors {
            dimensions: 2,
            values: (0..8).flat_map(|_| [toward, 1.0 - toward]).collect(),
            places: source.keys[..known].iter().copied().zip(0..).collect(),
        };
        let (first, second) = (vectors(1.0, 7), vectors(0.0, 8));
        let rankings = [&first, &second].map(|vectors| Ranking {
            vectors,
            temperature: 0.05,
        });
        let (ranking, targets) = ranking_of(&rankings, &source.keys).unwrap();
        assert!(std::ptr::eq(ranking.vectors, &second));
        assert_eq!(targets, second.values);
        assert!(std::ptr::eq(
            ranking_of(&rankings, &source.keys[..7]).unwrap().0.vectors,
            &first
        ));
        assert!(ranking_of(&rankings[..1], &source.keys).is_none());
    }

    #[test]
    fn pairs_become_as_alike_as_the_teacher_finds_them_if_it_has_read_them_all() {
        let without = likeness_of_neighbours(0.0, 128);
        let distilled = likeness_of_neighbours(5.0, 128);
        assert!(
            distilled > without + 0.2,
            "cosine {without} without distillation, {distilled} with it"
        );
        let unread = likeness_of_neighbours(5.0, 127);
        assert_eq!(unread.to_bits(), without.to_bits());
    }
}
