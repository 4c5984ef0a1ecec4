//! Products of a matrix with activations: where a transformer spends its time.
//!
//! A tile of up to `MAX_TILE_ROWS` rows and eight outputs is summed in registers, pair after pair of inputs, by
//! `i32x4.dot_i16x8`. Engines that check the bounds of every load (workerd does) spend as much on loads as on sums, so
//! that weights lie as one load of 16 bytes gives them for two dots: a panel of eight outputs has, for each pair of
//! inputs, i16 values of 256 x (weight of output o + 4) + (weight of output o + 128). Taken whole they sum up both, and
//! their high bytes the former alone: the difference, less 128 x the sum of the activations, is the latter. It is exact,
//! since whole numbers that wrap around come back.

use super::lanes::{F32x4, I16x8, I32x4};
use super::quantised_rows::{MAX_ROW_VALUES, QuantisedRows, ROW_STRIDE};

/// With two sums for each row, a load of each and the weights, more would not fit 15 registers.
pub const MAX_TILE_ROWS: usize = 5;
/// The outputs of a panel.
pub const PANEL: usize = 8;

/// The I8 weights of a linear layer, as `model/FORMAT.md` lays them out.
#[derive(Clone, Copy)]
pub struct Linear<'a> {
    /// `[outputs / 8, inputs / 2, 4, 2, 2]`
    pub weight: &'a [u8],
    /// `[outputs]` What a step of an output's weights stands for.
    pub scales: &'a [f32],
    /// `[outputs]`
    pub bias: &'a [f32],
    /// A multiple of 8.
    pub inputs: usize,
}

impl Linear<'_> {
    pub fn outputs(&self) -> usize {
        self.scales.len()
    }

    /// Writes `weight x row + bias` of the first `count` rows into `results`, `[count, outputs]`; or adds it to what
    /// stands there.
    pub fn apply(&self, rows: &QuantisedRows, count: usize, write: Write, results: &mut [f32]) {
        let outputs = self.outputs();
        assert!(self.inputs.is_multiple_of(8) && self.inputs <= MAX_ROW_VALUES);
        assert!(self.bias.len() == outputs && self.weight.len() == outputs * self.inputs);
        let results = &mut results[..count * outputs];
        let panels = self.weight.chunks_exact(PANEL * self.inputs);
        for (panel, weight) in panels.enumerate() {
            let first_output = panel * PANEL;
            let halves = |values: &[f32]| {
                let (fours, _) = values[first_output..].as_chunks::<4>();
                [F32x4::load(&fours[0]), F32x4::load(&fours[1])]
            };
            let scales = halves(self.scales);
            let bias = halves(self.bias);
            for_each_tile::<BytePanel>(
                weight,
                rows.rows_from(0),
                self.inputs / 2,
                count,
                #[inline(always)]
                |row, [low, high]| {
                    let low = low - high.shift_left::<8>() - I32x4::splat(128 * rows.sum(row));
                    let scale = F32x4::splat(rows.scale(row));
                    let place = &mut results[row * outputs + first_output..][..PANEL];
                    let (fours, _) = place.as_chunks_mut::<4>();
                    for (half, sum) in [low, high].into_iter().enumerate() {
                        let value = sum.to_f32() * scale * scales[half] + bias[half];
                        match write {
                            Write::Set => value.store(&mut fours[half]),
                            Write::Add => {
                                (F32x4::load(&fours[half]) + value).store(&mut fours[half])
                            }
                        }
                    }
                },
            );
        }
    }
}

/// What becomes of a result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Set,
    Add,
}

/// How a panel of eight outputs lies: what a tile loads for one pair of inputs.
pub trait Panel {
    /// Bytes of eight outputs' weights of a pair.
    const PAIR_BYTES: usize;

    /// # Safety
    /// `PAIR_BYTES` can be read at `pair`.
    unsafe fn load(pair: *const u8) -> [I16x8; 2];
}

/// Two weights in an i16, as `Linear` has them: the first vector is both, the second the high bytes.
pub struct BytePanel;

impl Panel for BytePanel {
    const PAIR_BYTES: usize = 16;

    #[inline(always)]
    unsafe fn load(pair: *const u8) -> [I16x8; 2] {
        // SAFETY: as above.
        let both = unsafe { I16x8::load_from(pair) };
        [both, both.high_bytes()]
    }
}

/// i16, `[pairs, 8, 2]`.
pub struct WidePanel;

impl Panel for WidePanel {
    const PAIR_BYTES: usize = 32;

    #[inline(always)]
    unsafe fn load(pair: *const u8) -> [I16x8; 2] {
        // SAFETY: as above.
        unsafe { [I16x8::load_from(pair), I16x8::load_from(pair.add(16))] }
    }
}

/// Sums up a panel with `count` rows that lie `ROW_STRIDE` apart, `pairs` of values of each, and hands over each row's
/// eight sums. The rows are shared out evenly among tiles.
#[inline(always)]
pub fn for_each_tile<P: Panel>(
    panel: &[u8],
    rows: &[i16],
    pairs: usize,
    count: usize,
    mut finish: impl FnMut(usize, [I32x4; 2]),
) {
    assert!(pairs > 0 && panel.len() >= pairs * P::PAIR_BYTES);
    assert!(count == 0 || rows.len() >= (count - 1) * ROW_STRIDE + 2 * pairs);
    let mut row = 0;
    let mut tiles = count.div_ceil(MAX_TILE_ROWS);
    while tiles > 0 {
        let tile_rows = (count - row).div_ceil(tiles);
        // SAFETY: the panel holds all pairs, and the tile's rows lie in `rows` (both asserted above).
        unsafe {
            let (panel, rows) = (panel.as_ptr(), rows.as_ptr().add(row * ROW_STRIDE));
            match tile_rows {
                1 => finish_tile(row, tile::<P, 1>(panel, rows, pairs), &mut finish),
                2 => finish_tile(row, tile::<P, 2>(panel, rows, pairs), &mut finish),
                3 => finish_tile(row, tile::<P, 3>(panel, rows, pairs), &mut finish),
                4 => finish_tile(row, tile::<P, 4>(panel, rows, pairs), &mut finish),
                _ => finish_tile(row, tile::<P, 5>(panel, rows, pairs), &mut finish),
            }
        }
        row += tile_rows;
        tiles -= 1;
    }
}

#[inline(always)]
fn finish_tile<const ROWS: usize>(
    first_row: usize,
    sums: [[I32x4; 2]; ROWS],
    finish: &mut impl FnMut(usize, [I32x4; 2]),
) {
    for (row, sums) in sums.into_iter().enumerate() {
        finish(first_row + row, sums);
    }
}

/// # Safety
/// `pairs` (at least 1) of a panel can be read at `panel`, and `2 * pairs` values at each of `ROWS` rows.
#[inline(always)]
unsafe fn tile<P: Panel, const ROWS: usize>(
    mut panel: *const u8,
    mut rows: *const i16,
    mut pairs: usize,
) -> [[I32x4; 2]; ROWS] {
    let mut sums = [[I32x4::splat(0); 2]; ROWS];
    // Four times written out. That each may be the last not only serves odd numbers of pairs: it keeps the compiler
    // from mixing one pair's sums with the next one's, for which the registers would not suffice.
    // SAFETY: as above, since `pairs` counts what is left.
    unsafe {
        loop {
            add_pair::<P, ROWS>(&mut sums, panel, rows);
            if pairs == 1 {
                break;
            }
            add_pair::<P, ROWS>(&mut sums, panel.add(P::PAIR_BYTES), rows.add(2));
            if pairs == 2 {
                break;
            }
            add_pair::<P, ROWS>(&mut sums, panel.add(2 * P::PAIR_BYTES), rows.add(4));
            if pairs == 3 {
                break;
            }
            add_pair::<P, ROWS>(&mut sums, panel.add(3 * P::PAIR_BYTES), rows.add(6));
            pairs -= 4;
            if pairs == 0 {
                break;
            }
            panel = panel.add(4 * P::PAIR_BYTES);
            rows = rows.add(8);
        }
    }
    sums
}

/// # Safety
/// A pair of a panel can be read at `panel`, and two values at each of `ROWS` rows.
#[inline(always)]
unsafe fn add_pair<P: Panel, const ROWS: usize>(
    sums: &mut [[I32x4; 2]; ROWS],
    panel: *const u8,
    rows: *const i16,
) {
    // SAFETY: as above.
    let weights = unsafe { P::load(panel) };
    for (row, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as above.
        let pair = unsafe { I16x8::load_pair(rows.add(row * ROW_STRIDE)) };
        sums[0] = sums[0] + weights[0].dot(pair);
        sums[1] = sums[1] + weights[1].dot(pair);
    }
}
