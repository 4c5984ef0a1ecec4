//! Attention of many heads: for each query the mean of all values, weighted by softmax of its products with the keys.
//!
//! Queries, keys and values have 12 bits, each with a scale for each token and head, and both products run on the tiles
//! that the linear layers run on: keys, and then values, are the weights. Queries come in groups of a tile's rows, so
//! that the scores of one group are all that is kept of them.

use super::lanes::{F32x4, I16x8, I32x4};
use super::product::{MAX_TILE_ROWS, PANEL, WidePanel, for_each_tile};
use super::quantised_rows::{MAX_ROW_VALUES, ROW_STRIDE, quantise};
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
    /// `[MAX_TILE_ROWS, ROW_STRIDE]`
    shares: Vec<i16>,
    /// `[MAX_TILE_ROWS, ROW_STRIDE]`, the dimensions of a row as `[heads, padded_dimensions]`
    queries: Vec<i16>,
    /// `[MAX_TILE_ROWS, heads]`
    query_scales: Vec<f32>,
    /// `[2, padded_dimensions]`
    padded: Vec<f32>,
    /// `[2, padded_dimensions]`
    steps: Vec<i16>,
}

impl Attention {
    /// `heads` and `head_dimensions` are such that `fits` says yes.
    pub fn new(heads: usize, head_dimensions: usize) -> Self {
        let padded_dimensions = head_dimensions.next_multiple_of(PANEL);
        assert!(Self::fits(heads, head_dimensions));
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
            shares: vec![0; MAX_TILE_ROWS * ROW_STRIDE],
            queries: vec![0; MAX_TILE_ROWS * ROW_STRIDE],
            query_scales: vec![0.0; MAX_TILE_ROWS * heads],
            padded: vec![0.0; 2 * padded_dimensions],
            steps: vec![0; 2 * padded_dimensions],
        }
    }

    pub fn fits(heads: usize, head_dimensions: usize) -> bool {
        head_dimensions <= MAX_HEAD_DIMENSIONS
            && heads * head_dimensions.next_multiple_of(PANEL) <= MAX_ROW_VALUES
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
        for head in 0..heads {
            // What former texts left counts for nothing.
            self.value_scales[head * padded_tokens..][tokens..padded_tokens].fill(0.0);
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
        let mut scales = [0.0; 2];
        let second = self.padded_dimensions;
        self.steps[second..].fill(0);
        for (index, token) in tokens.chunks_exact(hidden).enumerate() {
            let part = &token[head * self.head_dimensions..][..self.head_dimensions];
            let padded = &mut self.padded[..self.padded_dimensions];
            padded[..part.len()].copy_from_slice(part);
            let steps = &mut self.steps[index * self.padded_dimensions..];
            (scales[index], _) = quantise(padded, steps);
        }
        scales
    }

    fn set_keys(&mut self, token: usize, head: usize, keys: &[f32]) {
        let scales = self.quantise_pair(head, keys);
        self.key_scales[head * self.padded_tokens + token..][..2].copy_from_slice(&scales);
        let panel = (head * self.padded_tokens + token) / PANEL;
        let panel_values = PANEL * self.padded_dimensions;
        let panel = &mut self.keys[panel * panel_values..][..panel_values];
        let (first, second) = self.steps.split_at(self.padded_dimensions);
        let place = 2 * (token % PANEL);
        let pairs = first
            .as_chunks::<2>()
            .0
            .iter()
            .zip(second.as_chunks::<2>().0);
        for (row, (first, second)) in panel
            .as_chunks_mut::<{ 2 * PANEL }>()
            .0
            .iter_mut()
            .zip(pairs)
        {
            row[place..][..4].copy_from_slice(&[first[0], first[1], second[0], second[1]]);
        }
    }

    fn set_values(&mut self, token: usize, head: usize, values: &[f32]) {
        let scales = self.quantise_pair(head, values);
        let count = (self.tokens - token).min(2);
        self.value_scales[head * self.padded_tokens + token..][..count]
            .copy_from_slice(&scales[..count]);
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
        let hidden = self.heads * self.head_dimensions;
        let count = queries.len() / hidden;
        let mut first = 0;
        let mut groups = count.div_ceil(MAX_TILE_ROWS);
        while groups > 0 {
            let rows = (count - first).div_ceil(groups);
            self.set_queries(&queries[first * hidden..][..rows * hidden]);
            for head in 0..self.heads {
                self.attend_by_head(head, rows, &mut contexts[first * hidden..][..rows * hidden]);
            }
            first += rows;
            groups -= 1;
        }
    }

    fn set_queries(&mut self, queries: &[f32]) {
        let hidden = self.heads * self.head_dimensions;
        // What softmax raises 2 to: log2(e) / sqrt(head_dimensions) times the products.
        let factor = std::f32::consts::LOG2_E / (self.head_dimensions as f32).sqrt();
        for (row, query) in queries.chunks_exact(hidden).enumerate() {
            for (head, part) in query.chunks_exact(self.head_dimensions).enumerate() {
                let padded = &mut self.padded[..self.padded_dimensions];
                padded[..part.len()].copy_from_slice(part);
                let place = row * ROW_STRIDE + head * self.padded_dimensions;
                let (scale, _) = quantise(padded, &mut self.queries[place..]);
                self.query_scales[row * self.heads + head] = scale * factor;
            }
        }
    }

    fn attend_by_head(&mut self, head: usize, rows: usize, contexts: &mut [f32]) {
        let (tokens, padded_tokens) = (self.tokens, self.padded_tokens);
        let hidden = self.heads * self.head_dimensions;
        let first_token = head * padded_tokens;

        let key_panel_values = PANEL * self.padded_dimensions;
        let keys = &self.keys[first_token * self.padded_dimensions..];
        let keys = keys[..padded_tokens * self.padded_dimensions].chunks_exact(key_panel_values);
        let key_scales = self.key_scales[first_token..][..padded_tokens]
            .as_chunks::<8>()
            .0;
        for (panel, (keys, scales)) in keys.zip(key_scales).enumerate() {
            let (scales, _) = scales.as_chunks::<4>();
            let scales = [F32x4::load(&scales[0]), F32x4::load(&scales[1])];
            for_each_tile::<WidePanel>(
                bytes(keys),
                &self.queries[head * self.padded_dimensions..],
                self.padded_dimensions / 2,
                rows,
                #[inline(always)]
                |row, sums: [I32x4; 2]| {
                    let scale = F32x4::splat(self.query_scales[row * self.heads + head]);
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
            scores[tokens..].fill(NO_KEY);
            let shares = &mut self.shares[row * ROW_STRIDE..][..padded_tokens];
            *share_scale = softmax(scores, value_scales, shares);
        }

        let value_panel_values = PANEL * padded_tokens;
        let values = &self.values[first_token * self.padded_dimensions..];
        let values =
            values[..padded_tokens * self.padded_dimensions].chunks_exact(value_panel_values);
        for (panel, values) in values.enumerate() {
            let first = head * self.head_dimensions + panel * PANEL;
            let width = (self.head_dimensions - panel * PANEL).min(PANEL);
            for_each_tile::<WidePanel>(
                bytes(values),
                &self.shares,
                tokens.div_ceil(2),
                rows,
                #[inline(always)]
                |row, sums: [I32x4; 2]| {
                    let scale = F32x4::splat(share_scales[row]);
                    let place = &mut contexts[row * hidden + first..][..width];
                    let halves = sums.map(|sum| sum.to_f32() * scale);
                    if let Some(eight) = place.as_chunks_mut::<8>().0.first_mut() {
                        let (fours, _) = eight.as_chunks_mut::<4>();
                        halves[0].store(&mut fours[0]);
                        halves[1].store(&mut fours[1]);
                    } else {
                        let lanes = [halves[0].lanes(), halves[1].lanes()];
                        place.copy_from_slice(&lanes.as_flattened()[..width]);
                    }
                },
            );
        }
    }
}

fn bytes(values: &[i16]) -> &[u8] {
    // SAFETY: every byte of an i16 is a u8.
    unsafe { values.align_to::<u8>().1 }
}
