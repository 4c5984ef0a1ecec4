//! The contrastive loss and its gradient.

use rayon::prelude::*;

use crate::matrix::{View, product};

const ROWS_IN_A_BLOCK: usize = 64;

/// What one batch of pairs gives: the mean losses, and the gradient of their weighted sum for each unit vector.
pub struct Contrast {
    /// InfoNCE's.
    pub loss: f32,
    /// That of distillation; 0 without.
    pub distillation: f32,
    pub anchor_gradients: Vec<f32>,
    pub positive_gradients: Vec<f32>,
}

/// The lexical parts of a batch, pairs x dimensions each.
#[derive(Clone, Copy)]
pub struct Lexical<'a> {
    pub anchors: &'a [f32],
    pub positives: &'a [f32],
    pub dimensions: usize,
    pub weight: f32,
}

/// A teacher's unit vectors of a batch's texts, pairs x dimensions each. The dimensions may be others than the table's.
#[derive(Clone, Copy)]
pub struct Taught<'a> {
    pub anchors: &'a [f32],
    pub positives: &'a [f32],
    pub dimensions: usize,
    /// What its similarities are divided by.
    pub temperature: f32,
    /// Of the loss of distillation, where InfoNCE has 1.
    pub weight: f32,
}

/// InfoNCE in both directions: every anchor must find its positive among all positives of the batch,
/// and every positive its anchor.
///
/// `anchors` and `positives` are pairs x dimensions unit vectors. The loss is the mean of the cross-entropies
/// of softmax(similarities / temperature) over rows and over columns. `excluded(i, j)` takes the pair
/// (i, j) out, where it is no real negative. `lexical` are the unit vectors of the fixed part; the
/// similarity is then that of the parts appended to each other with this part's weight.
///
/// With `taught`, the teacher's similarities are learned too (distillation, Hinton et al. 2015): the mean of the
/// cross-entropies between the softmax, over rows and over columns, of the teacher's similarities of anchors
/// and positives, at a temperature of their own, and that of ours.
pub fn contrast(
    anchors: &[f32],
    positives: &[f32],
    dimensions: usize,
    temperature: f32,
    lexical: Option<Lexical>,
    taught: Option<Taught>,
    excluded: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Contrast {
    let pairs = anchors.len() / dimensions;
    let anchor_view = View::new(anchors, pairs, dimensions);
    let positive_view = View::new(positives, pairs, dimensions);
    let mut weights = vec![0.0f32; pairs * pairs];
    product(anchor_view, positive_view.transposed(), &mut weights);
    let mut share = 1.0;
    if let Some(lexical) = lexical {
        let mut cosines = vec![0.0f32; pairs * pairs];
        let view = |values| View::new(values, pairs, lexical.dimensions);
        product(
            view(lexical.anchors),
            view(lexical.positives).transposed(),
            &mut cosines,
        );
        share = 1.0 / (1.0 + lexical.weight * lexical.weight);
        weights
            .par_iter_mut()
            .zip(&cosines)
            .for_each(|(value, cosine)| *value = share * *value + (1.0 - share) * cosine);
    }

    let logits: Vec<f32> = (0..pairs)
        .map(|i| (weights[i * pairs + i] - 1.0) / temperature)
        .collect();
    // The softmax of the teacher's similarities, and the logits that it expects of ours.
    let distillation = taught.map(|taught| {
        let view = |values| View::new(values, pairs, taught.dimensions);
        let mut targets = vec![0.0f32; pairs * pairs];
        product(
            view(taught.anchors),
            view(taught.positives).transposed(),
            &mut targets,
        );
        let (rows, columns) = exponentiate(&mut targets, pairs, taught.temperature, excluded);
        let expected: Vec<f32> = targets
            .par_chunks_mut(pairs)
            .zip(weights.par_chunks(pairs))
            .zip(&rows)
            .map(|((targets, cosines), row_sum)| {
                let mut expected = 0.0;
                for ((target, cosine), column_sum) in targets.iter_mut().zip(cosines).zip(&columns)
                {
                    // The mean of the softmax over rows and that over columns.
                    *target *= 0.5 / row_sum + 0.5 / column_sum;
                    expected += *target * (cosine - 1.0) / temperature;
                }
                expected
            })
            .collect();
        (targets, expected, taught.weight)
    });
    let (row_sums, column_sums) = exponentiate(&mut weights, pairs, temperature, excluded);
    let cross_entropy = |expected: &[f32]| {
        let terms = (0..pairs)
            .map(|i| f64::from(0.5 * (row_sums[i].ln() + column_sums[i].ln()) - expected[i]));
        (terms.sum::<f64>() / pairs as f64) as f32
    };
    let loss = cross_entropy(&logits);
    let distillation_loss = distillation
        .as_ref()
        .map_or(0.0, |(_, expected, _)| cross_entropy(expected));
    // From here on `weights` is the gradient for the similarities.
    let scale = share / (pairs as f32 * temperature);
    let whole = scale * (1.0 + distillation.as_ref().map_or(0.0, |(_, _, weight)| *weight));
    weights
        .par_chunks_mut(pairs)
        .enumerate()
        .for_each(|(i, row)| {
            let row_factor = 0.5 * whole / row_sums[i];
            for (value, column_sum) in row.iter_mut().zip(&column_sums) {
                *value *= row_factor + 0.5 * whole / column_sum;
            }
            row[i] -= scale;
        });
    if let Some((targets, _, weight)) = &distillation {
        weights
            .par_iter_mut()
            .zip(targets)
            .for_each(|(value, target)| *value -= scale * weight * target);
    }
    let gradient_view = View::new(&weights, pairs, pairs);
    let mut anchor_gradients = vec![0.0; pairs * dimensions];
    let mut positive_gradients = vec![0.0; pairs * dimensions];
    product(gradient_view, positive_view, &mut anchor_gradients);
    product(
        gradient_view.transposed(),
        anchor_view,
        &mut positive_gradients,
    );
    Contrast {
        loss,
        distillation: distillation_loss,
        anchor_gradients,
        positive_gradients,
    }
}

/// Turns the cosines of pairs x pairs texts into exp((cosine - 1) / temperature), 0 where excluded, and
/// returns the sums of the rows and of the columns. A cosine is at most 1, so no maximum need be taken off.
fn exponentiate(
    cosines: &mut [f32],
    pairs: usize,
    temperature: f32,
    excluded: &(dyn Fn(usize, usize) -> bool + Sync),
) -> (Vec<f32>, Vec<f32>) {
    cosines
        .par_chunks_mut(pairs)
        .enumerate()
        .for_each(|(i, row)| {
            for (j, value) in row.iter_mut().enumerate() {
                *value = if i != j && excluded(i, j) {
                    0.0
                } else {
                    ((*value - 1.0) / temperature).exp()
                };
            }
        });
    let row_sums = cosines
        .par_chunks(pairs)
        .map(|row| row.iter().sum::<f32>() + f32::MIN_POSITIVE)
        .collect();
    (row_sums, column_sums(cosines, pairs))
}

/// Summed within blocks of a fixed height, then block by block: the same for any number of threads.
fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    let blocks: Vec<Vec<f32>> = matrix
        .par_chunks(ROWS_IN_A_BLOCK * columns)
        .map(|block| {
            let mut sums = vec![0.0f32; columns];
            for row in block.chunks(columns) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            sums
        })
        .collect();
    let mut sums = vec![f32::MIN_POSITIVE; columns];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedder_wasm::random::Random;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (pairs, dimensions, temperature) = (6, 5, 0.2);
        let mut random = Random::new(7);
        let mut unit_vectors = || {
            let mut values: Vec<f32> = (0..pairs * dimensions)
                .map(|_| random.next_unit() - 0.5)
                .collect();
            for vector in values.chunks_mut(dimensions) {
                let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                vector.iter_mut().for_each(|value| *value /= norm);
            }
            values
        };
        let (anchors, positives) = (unit_vectors(), unit_vectors());
        let excluded = |i: usize, j: usize| (i, j) == (0, 1) || (i, j) == (3, 2);
        let (lexical_anchors, lexical_positives) = (unit_vectors(), unit_vectors());
        let lexical = Lexical {
            anchors: &lexical_anchors,
            positives: &lexical_positives,
            dimensions,
            weight: 0.7,
        };
        let (taught_anchors, taught_positives) = (unit_vectors(), unit_vectors());
        let taught = Taught {
            anchors: &taught_anchors,
            positives: &taught_positives,
            dimensions,
            temperature: 0.1,
            weight: 1.5,
        };
        let loss = |anchors: &[f32], positives: &[f32]| {
            let result = contrast(
                anchors,
                positives,
                dimensions,
                temperature,
                Some(lexical),
                Some(taught),
                &excluded,
            );
            result.loss + taught.weight * result.distillation
        };
        let result = contrast(
            &anchors,
            &positives,
            dimensions,
            temperature,
            Some(lexical),
            Some(taught),
            &excluded,
        );
        let step = 1e-2;
        for index in 0..pairs * dimensions {
            let moved = |values: &[f32], by: f32| {
                let mut values = values.to_vec();
                values[index] += by;
                values
            };
            let slope = (loss(&moved(&anchors, step), &positives)
                - loss(&moved(&anchors, -step), &positives))
                / (2.0 * step);
            let got = result.anchor_gradients[index];
            assert!(
                (slope - got).abs() < 2e-3,
                "anchor value {index}: slope {slope}, gradient {got}"
            );
            let slope = (loss(&anchors, &moved(&positives, step))
                - loss(&anchors, &moved(&positives, -step)))
                / (2.0 * step);
            let got = result.positive_gradients[index];
            assert!(
                (slope - got).abs() < 2e-3,
                "positive value {index}: slope {slope}, gradient {got}"
            );
        }
    }

    #[test]
    fn the_loss_of_vectors_that_are_all_alike_is_the_logarithm_of_the_batch() {
        let pairs = 8;
        let vectors = [1.0, 0.0].repeat(pairs);
        let result = contrast(&vectors, &vectors, 2, 0.05, None, None, &|_, _| false);
        assert!((result.loss - (pairs as f32).ln()).abs() < 1e-5);
    }

    #[test]
    fn distillation_has_no_gradient_where_the_texts_are_as_alike_as_the_teacher_finds_them() {
        let vectors = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
        let gradients = |weight| {
            let taught = Taught {
                anchors: &vectors,
                positives: &vectors,
                dimensions: 2,
                temperature: 0.2,
                weight,
            };
            let result = contrast(&vectors, &vectors, 2, 0.2, None, Some(taught), &|_, _| {
                false
            });
            result.anchor_gradients
        };
        for (without, with) in gradients(0.0).iter().zip(gradients(3.0)) {
            assert!((without - with).abs() < 1e-6, "{without} and {with}");
        }
    }
}
