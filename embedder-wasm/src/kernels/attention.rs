//! Attention of many heads: for each query the mean of all values, weighted by softmax of its products with the keys.
//!
//! Queries, keys and values have 12 bits, each with a scale for each token and head, and both products run on the tiles
//! that the linear layers run on: keys, and then values, are the weights. Of the scores only those of one tile's queries
//! are kept.

use super::lanes::{F32x4, I16x8, I32x4};
use super::product::{MAX_TILE_ROWS, PANEL, Tile, WidePanel, sum_tile, tiles};
use super::quantised_rows::{ATTENTION_STEPS, MAX_ROW_VALUES, RowOfTile, quantise};
use super::softmax::{NO_KEY, softmax};

/// More could overflow the sum of a score: 2047 x 2047 x 512 < 2^31.
pub const MAX_HEAD_DIMENSIONS: usize = 512;

/// Keys, values and queries of one text, and what attending needs.
pub struct Attention {
    heads: usize,
    head_dimensions: usize,
    /// `head_dimensions` and zeros up to a multiple of a panel.
    padded_dimensions: usize,
    /// Keys and values, as many as fit: `tokens` and room up to a multiple of a panel.
    padded_tokens: usize,
    tokens: usize,
    /// `[heads, padded_tokens / 8, padded_dimensions / 2, 8, 2]`
    keys: Vec<i16>,
    /// `[heads, padded_tokens]`
    key_scales: Vec<f32>,
    /// `[heads, padded_dimensions / 8, padded_tokens / 2, 8, 2]`
    values: Vec<i16>,
    /// `[heads, padded_tokens]`
    value_scales: Vec<f32>,
    /// `[MAX_TILE_ROWS, padded_tokens]`
    scores: Vec<f32>,
    /// `[padded_tokens / 2, rows of a tile, 2]`
    shares: Vec<i16>,
    /// For each tile `[heads, padded_dimensions / 2, rows of the tile, 2]`
    queries: Vec<i16>,
    /// `[queries, heads]`
    query_scales: Vec<f32>,
    /// `[2, padded_dimensions]`
    steps: Vec<i16>,
}

impl Attention {
    /// `head_dimensions` is at most `MAX_HEAD_DIMENSIONS`.
    pub fn new(heads: usize, head_dimensions: usize) -> Self {
        let padded_dimensions = head_dimensions.next_multiple_of(PANEL);
        assert!(head_dimensions <= MAX_HEAD_DIMENSIONS);
        Self {
            heads,
            head_dimensions,
            padded_dimensions,
            padded_tokens: 0,
            tokens: 0,
            keys: Vec::new(),
            key_scales: Vec::new(),
            values: Vec::new(),
            value_scales: Vec::new(),
            scores: Vec::new(),
            shares: Vec::new(),
            queries: Vec::new(),
            query_scales: Vec::new(),
            steps: vec![0; 2 * padded_dimensions],
        }
    }

    /// Makes room for the keys and values of a text of so many tokens, at most `MAX_ROW_VALUES`.
    pub fn begin(&mut self, tokens: usize) {
        assert!(tokens <= MAX_ROW_VALUES);
        self.tokens = tokens;
        self.padded_tokens = tokens.next_multiple_of(PANEL);
        let (heads, padded_tokens) = (self.heads, self.padded_tokens);
        let values = heads * padded_tokens * self.padded_dimensions;
        self.keys.resize(values.max(self.keys.len()), 0);
        self.values.resize(values.max(self.values.len()), 0);
        let scales = heads * padded_tokens;
        self.key_scales
            .resize(scales.max(self.key_scales.len()), 0.0);
        self.value_scales
            .resize(scales.max(self.value_scales.len()), 0.0);
        let scores = MAX_TILE_ROWS * padded_tokens;
        self.scores.resize(scores.max(self.scores.len()), 0.0);
        self.shares.resize(scores.max(self.shares.len()), 0);
        for scales in self.value_scales[..scales].chunks_exact_mut(padded_tokens) {
            // What former texts left counts for nothing.
            scales[tokens..].fill(0.0);
        }
    }

    /// Takes the keys and values, `[count, heads * head_dimensions]`, of the tokens from `first` on, which is even.
    pub fn set_keys_and_values(&mut self, first: usize, keys: &[f32], values: &[f32]) {
        let hidden = self.heads * self.head_dimensions;
        let pairs = keys.chunks(2 * hidden).zip(values.chunks(2 * hidden));
        for (pair, (keys, values)) in pairs.enumerate() {
            for head in 0..self.heads {
                self.set_keys(first + 2 * pair, head, keys);
                self.set_values(first + 2 * pair, head, values);
            }
        }
    }

    /// Rounds one head of one or two tokens into `steps`, and returns their scales.
    #[inline(always)]
    fn quantise_pair(&mut self, head: usize, tokens: &[f32]) -> [f32; 2] {
        let hidden = self.heads * self.head_dimensions;
        let (first, second) = self.steps.split_at_mut(self.padded_dimensions);
        let part = |token: usize| {
            &tokens[token * hidden + head * self.head_dimensions..][..self.head_dimensions]
        };
        let first_scale = quantise_part(part(0), first);
        if tokens.len() == hidden {
            second.fill(0);
            return [first_scale, 0.0];
        }
        [first_scale, quantise_part(part(1), second)]
    }

    #[inline(never)]
    fn set_keys(&mut self, token: usize, head: usize, keys: &[f32]) {
        let scales = self.quantise_pair(head, keys);
        let first_token = head * self.padded_tokens + token;
        self.key_scales[first_token..][..2].copy_from_slice(&scales);
        let panel_values = PANEL * self.padded_dimensions;
        let panel = &mut self.keys[first_token / PANEL * panel_values..][..panel_values];
        let (first, second) = self.steps.split_at(self.padded_dimensions);
        let eights = first
            .as_chunks::<8>()
            .0
            .iter()
            .zip(second.as_chunks::<8>().0);
        // Places of two tokens' pairs.
        let (places, _) = panel.as_chunks_mut::<4>();
        let (places, _) = places.as_chunks_mut::<{ PANEL / 2 }>();
        let place = token % PANEL / 2;
        for ([a, b, c, d], (first, second)) in places.as_chunks_mut::<4>().0.iter_mut().zip(eights)
        {
            let (first, second) = (I16x8::load(first), I16x8::load(second));
            let low = first.interleave_pairs_low(second);
            low.store_halves(&mut a[place], &mut b[place]);
            let high = first.interleave_pairs_high(second);
            high.store_halves(&mut c[place], &mut d[place]);
        }
    }

    #[inline(never)]
    fn set_values(&mut self, token: usize, head: usize, values: &[f32]) {
        // Of one token alone the second scale is 0, which is what stands where no token is.
        let scales = self.quantise_pair(head, values);
        self.value_scales[head * self.padded_tokens + token..][..2].copy_from_slice(&scales);
        let (first, second) = self.steps.split_at(self.padded_dimensions);
        let panel_values = PANEL * self.padded_tokens;
        let panels = self.values[head * self.padded_dimensions * self.padded_tokens..]
            .chunks_exact_mut(panel_values);
        let eights = first
            .as_chunks::<8>()
            .0
            .iter()
            .zip(second.as_chunks::<8>().0);
        for (panel, (first, second)) in panels.zip(eights) {
            let (first, second) = (I16x8::load(first), I16x8::load(second));
            let (places, _) = panel[token * PANEL..][..2 * PANEL].as_chunks_mut::<8>();
            first.interleave_low(second).store(&mut places[0]);
            first.interleave_high(second).store(&mut places[1]);
        }
    }

    /// Writes what `queries`, `[count, heads * head_dimensions]`, attend to into `contexts`, of the same shape.
    pub fn attend(&mut self, queries: &[f32], contexts: &mut [f32]) {
        self.set_queries(queries);
        let count = queries.len() / (self.heads * self.head_dimensions);
        // One head's keys and values stay in the caches.
        for head in 0..self.heads {
            for tile in tiles(count) {
                self.attend_by_head(head, tile, contexts);
            }
        }
    }

    #[inline(never)]
    fn set_queries(&mut self, queries: &[f32]) {
        let hidden = self.heads * self.head_dimensions;
        let count = queries.len() / hidden;
        let head_values = self.padded_dimensions;
        let row_values = self.heads * head_values;
        let steps = count * row_values;
        self.queries.resize(steps.max(self.queries.len()), 0);
        let scales = count * self.heads;
        self.query_scales
            .resize(scales.max(self.query_scales.len()), 0.0);
        // What softmax raises 2 to: log2(e) / sqrt(head_dimensions) times the products.
        let factor = std::f32::consts::LOG2_E / (self.head_dimensions as f32).sqrt();
        for Tile { first, rows } in tiles(count) {
            let tile = &mut self.queries[first * row_values..][..rows * row_values];
            for row in 0..rows {
                let query = &queries[(first + row) * hidden..][..hidden];
                let heads = query.chunks_exact(self.head_dimensions);
                let tile_heads = tile.chunks_exact_mut(rows * head_values);
                for (head, (part, tile)) in heads.zip(tile_heads).enumerate() {
                    let (scale, _) = quantise(
                        part,
                        ATTENTION_STEPS,
                        RowOfTile::new(tile, row, rows, head_values),
                    );
                    self.query_scales[(first + row) * self.heads + head] = scale * factor;
                }
            }
        }
    }

    #[inline(never)]
    fn attend_by_head(&mut self, head: usize, queries: Tile, contexts: &mut [f32]) {
        let (tokens, padded_tokens) = (self.tokens, self.padded_tokens);
        let hidden = self.heads * self.head_dimensions;
        let first_token = head * padded_tokens;
        let Tile {
            first: first_query,
            rows,
        } = queries;

        let key_panel_values = PANEL * self.padded_dimensions;
        let keys = &self.keys[first_token * self.padded_dimensions..];
        let keys = keys[..padded_tokens * self.padded_dimensions].chunks_exact(key_panel_values);
        let key_scales = self.key_scales[first_token..][..padded_tokens]
            .as_chunks::<8>()
            .0;
        let tile = first_query * self.heads + head * rows;
        let tile = &self.queries[tile * self.padded_dimensions..];
        for (panel, (keys, scales)) in keys.zip(key_scales).enumerate() {
            let (scales, _) = scales.as_chunks::<4>();
            let scales = [F32x4::load(&scales[0]), F32x4::load(&scales[1])];
            sum_tile::<WidePanel>(
                bytes(keys),
                tile,
                self.padded_dimensions / 2,
                rows,
                #[inline(always)]
                |row, sums: [I32x4; 2]| {
                    let scale = self.query_scales[(first_query + row) * self.heads + head];
                    let scale = F32x4::splat(scale);
                    let place = &mut self.scores[row * padded_tokens + panel * PANEL..][..PANEL];
                    let (fours, _) = place.as_chunks_mut::<4>();
                    (sums[0].to_f32() * scale * scales[0]).store(&mut fours[0]);
                    (sums[1].to_f32() * scale * scales[1]).store(&mut fours[1]);
                },
            );
        }

        let mut share_scales = [0.0; MAX_TILE_ROWS];
        let value_scales = &self.value_scales[first_token..][..padded_tokens];
        for (row, share_scale) in share_scales[..rows].iter_mut().enumerate() {
            let scores = &mut self.scores[row * padded_tokens..][..padded_tokens];
            for score in &mut scores[tokens..] {
                *score = NO_KEY;
            }
            let shares = RowOfTile::new(&mut self.shares, row, rows, padded_tokens);
            *share_scale = softmax(scores, value_scales, shares);
        }

        let value_panel_values = PANEL * padded_tokens;
        let values = &self.values[first_token * self.padded_dimensions..];
        let values =
            values[..padded_tokens * self.padded_dimensions].chunks_exact(value_panel_values);
        for (panel, values) in values.enumerate() {
            let first = first_query * hidden + head * self.head_dimensions + panel * PANEL;
            let width = (self.head_dimensions - panel * PANEL).min(PANEL);
            sum_tile::<WidePanel>(
                bytes(values),
                &self.shares,
                tokens.div_ceil(2),
                rows,
                #[inline(always)]
                |row, sums: [I32x4; 2]| {
                    let scale = F32x4::splat(share_scales[row]);
                    let place = &mut contexts[first + row * hidden..][..width];
                    let halves = sums.map(|sum| sum.to_f32() * scale);
                    if let Some(eight) = place.as_chunks_mut::<8>().0.first_mut() {
                        let (fours, _) = eight.as_chunks_mut::<4>();
                        halves[0].store(&mut fours[0]);
                        halves[1].store(&mut fours[1]);
                    } else {
                        let lanes = halves.map(F32x4::lanes);
                        for (place, value) in place.iter_mut().zip(lanes.as_flattened()) {
                            *place = *value;
                        }
                    }
                },
            );
        }
    }
}

#[inline(never)]
fn quantise_part(part: &[f32], steps: &mut [i16]) -> f32 {
    quantise(part, ATTENTION_STEPS, steps).0
}

fn bytes(values: &[i16]) -> &[u8] {
    // SAFETY: every byte of an i16 is a u8.
    unsafe { values.align_to::<u8>().1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    struct Text {
        queries: Vec<f32>,
        keys: Vec<f32>,
        values: Vec<f32>,
    }

    fn text(tokens: usize, hidden: usize, random: &mut Random) -> Text {
        let mut numbers = || {
            (0..tokens * hidden)
                .map(|_| (random.next_u64() % 4001) as f32 / 1000.0 - 2.0)
                .collect()
        };
        Text {
            queries: numbers(),
            keys: numbers(),
            values: numbers(),
        }
    }

    fn attend(attention: &mut Attention, text: &Text, hidden: usize) -> Vec<f32> {
        attention.begin(text.keys.len() / hidden);
        // In two parts, as a long text is.
        let middle = (text.keys.len() / hidden / 2).next_multiple_of(2) * hidden;
        let middle = middle.min(text.keys.len());
        attention.set_keys_and_values(0, &text.keys[..middle], &text.values[..middle]);
        attention.set_keys_and_values(
            middle / hidden,
            &text.keys[middle..],
            &text.values[middle..],
        );
        let mut contexts = vec![f32::NAN; text.queries.len()];
        attention.attend(&text.queries, &mut contexts);
        contexts
    }

    /// In f64.
    fn expected(text: &Text, heads: usize, dimensions: usize) -> Vec<f64> {
        let hidden = heads * dimensions;
        let tokens = text.keys.len() / hidden;
        let at = |values: &[f32], token: usize, head: usize, index: usize| {
            f64::from(values[token * hidden + head * dimensions + index])
        };
        let mut contexts = vec![0.0; tokens * hidden];
        for query in 0..tokens {
            for head in 0..heads {
                let powers: Vec<f64> = (0..tokens)
                    .map(|key| {
                        let products = (0..dimensions).map(|index| {
                            at(&text.queries, query, head, index) * at(&text.keys, key, head, index)
                        });
                        (products.sum::<f64>() / (dimensions as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = powers.iter().sum();
                for index in 0..dimensions {
                    let weighted = powers
                        .iter()
                        .enumerate()
                        .map(|(key, power)| power * at(&text.values, key, head, index));
                    contexts[query * hidden + head * dimensions + index] =
                        weighted.sum::<f64>() / sum;
                }
            }
        }
        contexts
    }

    #[test]
    fn contexts_are_those_of_exact_attention_but_for_12_bits() {
        let mut random = Random::new(4);
        for (heads, dimensions) in [(2, 32), (3, 10), (4, 2), (1, 64)] {
            let hidden = heads * dimensions;
            let mut attention = Attention::new(heads, dimensions);
            for tokens in [2, 3, 7, 8, 13, 64, 131] {
                let text = text(tokens, hidden, &mut random);
                let found = attend(&mut attention, &text, hidden);
                for (found, expected) in found.iter().zip(expected(&text, heads, dimensions)) {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error < 4e-3,
                        "{heads} {dimensions} {tokens}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_former_texts_left_changes_nothing() {
        let mut random = Random::new(5);
        let (long, short) = (text(77, 40, &mut random), text(5, 40, &mut random));
        let fresh = attend(&mut Attention::new(4, 10), &short, 40);
        let mut used = Attention::new(4, 10);
        attend(&mut used, &long, 40);
        assert_eq!(attend(&mut used, &short, 40), fresh);
    }

    #[test]
    fn values_of_zero_give_a_context_of_zero() {
        let mut random = Random::new(6);
        let mut text = text(9, 16, &mut random);
        text.values.fill(0.0);
        assert_eq!(attend(&mut Attention::new(2, 8), &text, 16), [0.0; 9 * 16]);
    }

    #[test]
    fn scores_of_the_largest_magnitude_do_not_overflow() {
        let text = Text {
            queries: vec![3.0; 4 * 512],
            keys: vec![3.0; 4 * 512],
            values: vec![1.0; 4 * 512],
        };
        let contexts = attend(&mut Attention::new(1, 512), &text, 512);
        assert!(contexts.iter().all(|value| (value - 1.0).abs() < 1e-3));
    }
}
