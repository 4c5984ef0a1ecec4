//! Products of a matrix with activations: where a transformer spends its time.
//!
//! A tile of up to `MAX_TILE_ROWS` rows and eight outputs is summed in registers, pair after pair of inputs, by
//! `i32x4.dot_i16x8`. Engines that check the bounds of every load (workerd does) spend as much on loads as on sums, so
//! that weights lie as one load of 16 bytes gives them for two dots: a panel of eight outputs has, for each pair of
//! inputs, i16 values of 256 x (weight of output o + 4) + (weight of output o + 128). Taken whole they sum up both, and
//! their high bytes the former alone: the difference, less 128 x the sum of the activations, is the latter. It is exact,
//! since whole numbers that wrap around come back.

use super::exact_columns::add_exact_columns;
use super::lanes::{F32x4, I16x8, I32x4};
use super::quantised_rows::{Inputs, MAX_ROW_VALUES, QuantisedRows};

/// With two sums for each row, a load of each and the weights, more would not fit 15 registers.
pub const MAX_TILE_ROWS: usize = 5;
/// The outputs of a panel.
pub const PANEL: usize = 8;
/// So many weights are multiplied with all rows before the next: they and a tile's rows fit in the first cache.
const BLOCK_BYTES: usize = 16 * 1024;

/// The weights of a linear layer, as `model/FORMAT.md` lays them out.
#[derive(Clone, Copy)]
pub struct Linear<'a> {
    pub weight: Weight<'a>,
    /// `[outputs]` What a step of an output's weights stands for.
    pub scales: &'a [f32],
    /// `[outputs]`
    pub bias: &'a [f32],
    /// A multiple of 8.
    pub inputs: usize,
    /// Those whose weights are not in `weight` but in `exact_columns`.
    pub exact_inputs: &'a [u32],
    /// `[exact inputs, outputs]`
    pub exact_columns: &'a [f32],
}

#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// Of magnitude up to 127, `[outputs / 8, inputs / 2, 4, 2, 2]`.
    I8(&'a [u8]),
    /// Of magnitude up to `MAX_I16_WEIGHT`, `[outputs / 8, inputs / 2, 8, 2]`; at most `MAX_I16_INPUTS`.
    I16(&'a [u8]),
}

pub const MAX_I8_WEIGHT: i16 = 127;
/// 10 bits.
pub const MAX_I16_WEIGHT: i16 = 511;
/// More would leave activations less than 13 bits.
pub const MAX_I16_INPUTS: usize = 1024;

impl Linear<'_> {
    pub fn outputs(&self) -> usize {
        self.scales.len()
    }

    /// What the rows that it reads must be made for.
    pub fn reads(&self) -> Inputs<'_> {
        Inputs {
            count: self.inputs,
            exact: self.exact_inputs,
        }
    }

    /// Writes `weight x row + bias` of the rows, which have `inputs` values, into `results`, `[count, outputs]`; or adds it
    /// to what stands there.
    pub fn apply(&self, rows: &QuantisedRows, write: Write, results: &mut [f32]) {
        match self.weight {
            Weight::I8(weight) => self.multiply::<BytePanel>(weight, rows, write, results),
            Weight::I16(weight) => self.multiply::<WidePanel>(weight, rows, write, results),
        }
        let results = &mut results[..rows.count() * self.outputs()];
        add_exact_columns(rows, self.exact_columns, self.outputs(), results);
    }

    #[inline(never)]
    fn multiply<P: Panel>(
        &self,
        weight: &[u8],
        rows: &QuantisedRows,
        write: Write,
        results: &mut [f32],
    ) {
        let outputs = self.outputs();
        let pairs = self.inputs / 2;
        let panel_bytes = pairs * P::PAIR_BYTES;
        assert!(self.inputs == rows.row_values() && self.inputs <= MAX_ROW_VALUES);
        assert!(self.bias.len() == outputs && weight.len() == outputs / PANEL * panel_bytes);
        let results = &mut results[..rows.count() * outputs];
        let block_panels = (BLOCK_BYTES / panel_bytes).max(1);
        for (block, weight) in weight.chunks(block_panels * panel_bytes).enumerate() {
            for tile in tiles(rows.count()) {
                for (panel, weight) in weight.chunks_exact(panel_bytes).enumerate() {
                    let first_output = (block * block_panels + panel) * PANEL;
                    let scales = halves(&self.scales[first_output..]);
                    let bias = halves(&self.bias[first_output..]);
                    sum_tile::<P>(
                        weight,
                        rows.tile(tile),
                        pairs,
                        tile.rows,
                        #[inline(always)]
                        |row, sums| {
                            let row = tile.first + row;
                            let sums = P::products(sums, rows.sum(row));
                            let scale = F32x4::splat(rows.scale(row));
                            let place = &mut results[row * outputs + first_output..][..PANEL];
                            let (fours, _) = place.as_chunks_mut::<4>();
                            for (half, sum) in sums.into_iter().enumerate() {
                                let place = &mut fours[half];
                                let value = sum.to_f32() * scale * scales[half] + bias[half];
                                match write {
                                    Write::Set => value.store(place),
                                    Write::Add => (F32x4::load(place) + value).store(place),
                                }
                            }
                        },
                    );
                }
            }
        }
    }
}

/// The first eight values.
#[inline(always)]
fn halves(values: &[f32]) -> [F32x4; 2] {
    let (fours, _) = values.as_chunks::<4>();
    [F32x4::load(&fours[0]), F32x4::load(&fours[1])]
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

    /// The products that the sums stand for; `row_sum` is the sum of the row's values.
    fn products(sums: [I32x4; 2], row_sum: i32) -> [I32x4; 2];
}

/// Two weights in an i16, as `Weight::I8` has them: the first vector is both, the second the high bytes.
pub struct BytePanel;

impl Panel for BytePanel {
    const PAIR_BYTES: usize = 16;

    #[inline(always)]
    unsafe fn load(pair: *const u8) -> [I16x8; 2] {
        // SAFETY: as above.
        let both = unsafe { I16x8::load_from(pair) };
        [both, both.high_bytes()]
    }

    #[inline(always)]
    fn products([both, high]: [I32x4; 2], row_sum: i32) -> [I32x4; 2] {
        [
            both - high.shift_left::<8>() - I32x4::splat(row_sum.wrapping_mul(128)),
            high,
        ]
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

    #[inline(always)]
    fn products(sums: [I32x4; 2], _: i32) -> [I32x4; 2] {
        sums
    }
}

/// Rows that are summed together: the first, and how many.
#[derive(Clone, Copy)]
pub struct Tile {
    pub first: usize,
    pub rows: usize,
}

/// Shares out `count` rows evenly.
#[inline(always)]
pub fn tiles(count: usize) -> impl Iterator<Item = Tile> {
    let number = count.div_ceil(MAX_TILE_ROWS);
    (0..number).scan(0, move |next, index| {
        let first = *next;
        let rows = (count - first).div_ceil(number - index);
        *next = first + rows;
        Some(Tile { first, rows })
    })
}

/// Sums up a panel with the `row_count` rows of a tile, `[pairs, row_count, 2]`, and hands over each row's eight sums.
#[inline(always)]
pub fn sum_tile<P: Panel>(
    panel: &[u8],
    tile: &[i16],
    pairs: usize,
    row_count: usize,
    mut finish: impl FnMut(usize, [I32x4; 2]),
) {
    assert!(pairs > 0 && panel.len() >= pairs * P::PAIR_BYTES);
    assert!(tile.len() >= 2 * pairs * row_count);
    // SAFETY: the panel and the tile hold all pairs (asserted above).
    unsafe {
        let (panel, tile) = (panel.as_ptr(), tile.as_ptr());
        match row_count {
            1 => sum_rows::<P, 1>(panel, tile, pairs, &mut finish),
            2 => sum_rows::<P, 2>(panel, tile, pairs, &mut finish),
            3 => sum_rows::<P, 3>(panel, tile, pairs, &mut finish),
            4 => sum_rows::<P, 4>(panel, tile, pairs, &mut finish),
            5 => sum_rows::<P, 5>(panel, tile, pairs, &mut finish),
            _ => unreachable!("tiles have 1 to {MAX_TILE_ROWS} rows"),
        }
    }
}

/// # Safety
/// As `sum`.
#[inline(never)]
unsafe fn sum_rows<P: Panel, const ROWS: usize>(
    panel: *const u8,
    tile: *const i16,
    pairs: usize,
    finish: &mut impl FnMut(usize, [I32x4; 2]),
) {
    // SAFETY: as above.
    let sums = unsafe { sum::<P, ROWS>(panel, tile, pairs) };
    for (row, sums) in sums.into_iter().enumerate() {
        finish(row, sums);
    }
}

/// # Safety
/// `pairs` (at least 1) of a panel can be read at `panel`, and as many of a tile at `tile`.
#[inline(always)]
unsafe fn sum<P: Panel, const ROWS: usize>(
    mut panel: *const u8,
    mut tile: *const i16,
    mut pairs: usize,
) -> [[I32x4; 2]; ROWS] {
    let mut sums = [[I32x4::splat(0); 2]; ROWS];
    let pair_values = 2 * ROWS;
    // Twice written out. That each may be the last not only serves odd numbers of pairs: it keeps the compiler
    // from mixing one pair's sums with the next one's, for which the registers would not suffice.
    // SAFETY: as above, since `pairs` counts what is left.
    unsafe {
        loop {
            add_pair::<P, ROWS>(&mut sums, panel, tile);
            if pairs == 1 {
                break;
            }
            add_pair::<P, ROWS>(&mut sums, panel.add(P::PAIR_BYTES), tile.add(pair_values));
            pairs -= 2;
            if pairs == 0 {
                break;
            }
            panel = panel.add(2 * P::PAIR_BYTES);
            tile = tile.add(2 * pair_values);
        }
    }
    sums
}

/// # Safety
/// A pair of a panel can be read at `panel`, and one of each row at `tile`.
#[inline(always)]
unsafe fn add_pair<P: Panel, const ROWS: usize>(
    sums: &mut [[I32x4; 2]; ROWS],
    panel: *const u8,
    tile: *const i16,
) {
    // SAFETY: as above.
    let weights = unsafe { P::load(panel) };
    for (row, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as above.
        let pair = unsafe { I16x8::load_pair(tile.add(2 * row)) };
        sums[0] = sums[0] + weights[0].dot(pair);
        sums[1] = sums[1] + weights[1].dot(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Weights `[outputs, inputs]` as `Weight::I8` has them.
    fn byte_panels(weights: &[i8], inputs: usize) -> Vec<u8> {
        let mut panels = vec![0; weights.len()];
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            for (input, weight) in row.iter().enumerate() {
                let pair = output / 8 * (inputs / 2) + input / 2;
                let is_high = output % 8 / 4;
                let place = pair * 16 + output % 4 * 4 + input % 2 * 2 + is_high;
                panels[place] = *weight as u8 ^ if is_high == 0 { 0x80 } else { 0 };
            }
        }
        panels
    }

    /// Weights `[outputs, inputs]` as `Weight::I16` has them.
    fn wide_panels(weights: &[i16], inputs: usize) -> Vec<u8> {
        let mut panels = vec![0; 2 * weights.len()];
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            for (input, weight) in row.iter().enumerate() {
                let pair = output / 8 * (inputs / 2) + input / 2;
                let place = 2 * (pair * 16 + output % 8 * 2 + input % 2);
                panels[place..place + 2].copy_from_slice(&weight.to_le_bytes());
            }
        }
        panels
    }

    /// A tile is `[row_values / 2, rows of the tile, 2]`.
    fn step_of(quantised: &QuantisedRows, row: usize, input: usize) -> i16 {
        let tile = tiles(quantised.count())
            .find(|tile| (tile.first..tile.first + tile.rows).contains(&row))
            .unwrap();
        quantised.tile(tile)[(input / 2 * tile.rows + row - tile.first) * 2 + input % 2]
    }

    /// Compares with sums in whole numbers, which f32 then turns into the same bits.
    fn check(inputs: usize, outputs: usize, count: usize, extreme: bool) {
        let mut random = Random::new((inputs * outputs + count) as u64);
        let mut weight = |most: i16| {
            let value = (random.next_u64() % (2 * most as u64 + 1)) as i16 - most;
            if extreme {
                most * value.signum()
            } else {
                value
            }
        };
        let bytes: Vec<i8> = (0..inputs * outputs).map(|_| weight(127) as i8).collect();
        let wide: Vec<i16> = (0..inputs * outputs)
            .map(|_| weight(MAX_I16_WEIGHT))
            .collect();
        let rows: Vec<f32> = (0..inputs * count)
            .map(|_| f32::from(weight(2047)))
            .collect();
        let scales: Vec<f32> = (0..outputs)
            .map(|_| f32::from(weight(99)) / 1000.0)
            .collect();
        let bias: Vec<f32> = (0..outputs).map(|_| f32::from(weight(99)) / 10.0).collect();
        let mut quantised = QuantisedRows::default();
        let mut rows = rows;
        let reads = Inputs {
            count: inputs,
            exact: &[],
        };
        quantised.set_for(reads, &mut rows);
        let (byte_panels, wide_panels) = (byte_panels(&bytes, inputs), wide_panels(&wide, inputs));
        let exact = |row: usize, output: usize, is_wide: bool| -> f32 {
            let sum: i64 = (0..inputs)
                .map(|input| {
                    let step = step_of(&quantised, row, input);
                    let index = output * inputs + input;
                    let weight = if is_wide {
                        wide[index]
                    } else {
                        bytes[index].into()
                    };
                    i64::from(step) * i64::from(weight)
                })
                .sum();
            sum as f32 * quantised.scale(row) * scales[output] + bias[output]
        };
        for (is_wide, weight) in [
            (false, Weight::I8(&byte_panels)),
            (true, Weight::I16(&wide_panels)),
        ] {
            if is_wide && inputs > MAX_I16_INPUTS {
                continue;
            }
            let linear = Linear {
                weight,
                scales: &scales,
                bias: &bias,
                inputs,
                exact_inputs: &[],
                exact_columns: &[],
            };
            let mut results = vec![f32::NAN; count * outputs];
            linear.apply(&quantised, Write::Set, &mut results);
            let mut sums = vec![1.0; count * outputs];
            linear.apply(&quantised, Write::Add, &mut sums);
            for row in 0..count {
                for output in 0..outputs {
                    let expected = exact(row, output, is_wide);
                    assert_eq!(results[row * outputs + output], expected, "{row} {output}");
                    assert_eq!(sums[row * outputs + output], 1.0 + expected);
                }
            }
        }
    }

    #[test]
    fn products_are_exact_for_any_number_of_rows() {
        for count in 1..=17 {
            check(24, 16, count, false);
        }
    }

    #[test]
    fn products_are_exact_where_several_blocks_of_weights_are_needed() {
        check(8, 8, 3, false);
        check(384, 96, 6, false);
        check(1536, 24, 5, false);
    }

    #[test]
    fn the_largest_weights_and_activations_do_not_overflow() {
        check(MAX_I16_INPUTS, 8, 5, true);
        check(MAX_ROW_VALUES, 8, 5, true);
    }
}
