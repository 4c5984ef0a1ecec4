//! Sums of rows of the embedding table: where a static model spends its time.

use crate::format::row_format::{I4_OFFSET, RowFormat, VALUES_IN_AN_I4_BYTE};

/// So many rows wait before they are added: their loads from far memory are under way together, and the
/// sum is read and written once for all of them.
const ROWS_AT_ONCE: usize = 32;
const CACHE_LINE_BYTES: usize = 64;

/// The table's rows as they lie in the file.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub format: RowFormat,
    /// `[n, dimensions]` values of `format`.
    pub values: &'a [u8],
    /// `[n]`, little-endian: f32 for I8, i16 for I4; empty for F32.
    pub scales: &'a [u8],
    /// What an I4 scale of 1 stands for.
    pub scale_unit: f32,
    /// Of a row.
    pub dimensions: usize,
}

/// Adds rows to `sum` in the order in which they come, value by value, so that the result has the
/// bits that adding them one by one gives. Ends with `finish`.
pub struct RowSum<'a> {
    rows: Rows<'a>,
    sum: &'a mut [f32],
    levels: LevelSum<'a>,
    waiting: [u32; ROWS_AT_ONCE],
    waiting_count: usize,
    count: usize,
}

impl<'a> RowSum<'a> {
    /// `sum` takes the rows' first values; it may be at most as long as a row. `level_sums` is scratch memory.
    pub fn new(rows: Rows<'a>, level_sums: &'a mut Vec<i32>, sum: &'a mut [f32]) -> Self {
        sum.fill(0.0);
        let level_count = match rows.format {
            RowFormat::I4 => rows.dimensions,
            RowFormat::F32 | RowFormat::I8 => 0,
        };
        Self {
            rows,
            sum,
            levels: LevelSum::new(level_sums, level_count),
            waiting: [0; ROWS_AT_ONCE],
            waiting_count: 0,
            count: 0,
        }
    }

    /// Adds the row with this number, which the table must have.
    #[inline(always)]
    pub fn add(&mut self, row: u32) {
        self.waiting[self.waiting_count] = row;
        self.waiting_count += 1;
        if self.waiting_count == ROWS_AT_ONCE {
            self.add_waiting();
        }
    }

    /// Adds what still waits and returns how many rows were added.
    pub fn finish(mut self) -> usize {
        self.add_waiting();
        if self.rows.format == RowFormat::I4 {
            self.levels.move_to(self.sum, self.rows.scale_unit);
        }
        self.count
    }

    #[inline(never)]
    fn add_waiting(&mut self) {
        match self.rows.format {
            RowFormat::F32 | RowFormat::I8 => self.add_values(),
            RowFormat::I4 => self.add_levels(),
        }
        self.count += self.waiting_count;
        self.waiting_count = 0;
    }

    // A function for each: an isolate compiles the one that its table needs.

    #[inline(never)]
    fn add_values(&mut self) {
        let (fours, rest) = self.waiting[..self.waiting_count].as_chunks::<4>();
        for rows in fours {
            self.rows.add(*rows, self.sum);
        }
        for row in rest {
            self.rows.add([*row], self.sum);
        }
    }

    #[inline(never)]
    fn add_levels(&mut self) {
        let waiting = &self.waiting[..self.waiting_count];
        if self.levels.rows + waiting.len() > MAX_ROWS_IN_A_LEVEL_SUM {
            self.levels.move_to(self.sum, self.rows.scale_unit);
        }
        let mut rows = [LevelRow::default(); ROWS_AT_ONCE];
        let mut touched = 0;
        for (row, id) in rows.iter_mut().zip(waiting) {
            *row = self.rows.level_row(*id);
            touched ^= row.bytes.last().unwrap_or(&0);
            touched ^= row
                .bytes
                .iter()
                .step_by(CACHE_LINE_BYTES)
                .fold(0, |all, byte| all ^ byte);
        }
        // All lines of all rows are on their way at once, before the first is needed: wasm has no prefetch.
        std::hint::black_box(touched);
        self.levels.add(&rows[..waiting.len()]);
    }
}

impl<'a> Rows<'a> {
    fn add<const N: usize>(&self, rows: [u32; N], sum: &mut [f32]) {
        match self.format {
            RowFormat::F32 => add_f32(
                rows.map(|row| self.row(row, self.dimensions * 4).as_chunks().0),
                sum,
            ),
            RowFormat::I8 => {
                let scales = self.scales.as_chunks().0;
                add_i8(
                    rows.map(|row| self.row(row, self.dimensions)),
                    rows.map(|row| f32::from_le_bytes(scales[row as usize])),
                    sum,
                )
            }
            RowFormat::I4 => unreachable!("rows in 4 bits are added as whole numbers"),
        }
    }

    fn level_row(&self, row: u32) -> LevelRow<'a> {
        let scale = self.scales.as_chunks().0[row as usize];
        LevelRow {
            bytes: self.row(row, self.dimensions / VALUES_IN_AN_I4_BYTE),
            scale: i16::from_le_bytes(scale),
        }
    }

    /// The bytes of one row.
    fn row(&self, row: u32, row_bytes: usize) -> &'a [u8] {
        let start = row as usize * row_bytes;
        &self.values[start..start + row_bytes]
    }
}

// These loops are written so that the compiler turns them into SIMD: no bounds check inside, no
// dependency between dimensions.

fn add_f32<const N: usize>(rows: [&[[u8; 4]]; N], sum: &mut [f32]) {
    let dimensions = sum.len();
    let rows = rows.map(|row| &row[..dimensions]);
    for dimension in 0..dimensions {
        let mut total = sum[dimension];
        for row in rows {
            total += f32::from_le_bytes(row[dimension]);
        }
        sum[dimension] = total;
    }
}

fn add_i8<const N: usize>(rows: [&[u8]; N], scales: [f32; N], sum: &mut [f32]) {
    let dimensions = sum.len();
    let rows = rows.map(|row| &row[..dimensions]);
    for dimension in 0..dimensions {
        let mut total = sum[dimension];
        for (row, scale) in rows.iter().zip(scales) {
            total += f32::from(row[dimension] as i8) * scale;
        }
        sum[dimension] = total;
    }
}

/// A row in 4 bits: levels from 0 to 15, two a byte, times the row's scale.
#[derive(Clone, Copy, Default)]
struct LevelRow<'a> {
    bytes: &'a [u8],
    scale: i16,
}

/// Sums of level x scale: whole numbers, so that no order of adding changes a bit.
struct LevelSum<'a> {
    /// `[dimensions]`
    sums: &'a mut [i32],
    /// The sum of the rows' scales.
    scales: i32,
    rows: usize,
}

/// So many sums of (level - 7.5) x scale x 2 surely fit in an i32: each adds 15 x 32,768 at most.
const MAX_ROWS_IN_A_LEVEL_SUM: usize = 4096;

/// Bytes of a row whose sums stay in registers.
const BLOCK_BYTES: usize = 16;

impl<'a> LevelSum<'a> {
    fn new(sums: &'a mut Vec<i32>, dimensions: usize) -> Self {
        sums.clear();
        sums.resize(dimensions, 0);
        Self {
            sums,
            scales: 0,
            rows: 0,
        }
    }

    fn add(&mut self, rows: &[LevelRow]) {
        self.rows += rows.len();
        self.scales += rows.iter().map(|row| i32::from(row.scale)).sum::<i32>();
        let row_bytes = self.sums.len() / VALUES_IN_AN_I4_BYTE;
        let (low, high) = self.sums.split_at_mut(row_bytes);
        let (low, low_rest) = low.as_chunks_mut::<BLOCK_BYTES>();
        let (high, high_rest) = high.as_chunks_mut::<BLOCK_BYTES>();
        for (block, (low, high)) in low.iter_mut().zip(high).enumerate() {
            add_block(rows, block, low, high);
        }
        let start = row_bytes - low_rest.len();
        for row in rows {
            let scale = i32::from(row.scale);
            let sums = low_rest.iter_mut().zip(high_rest.iter_mut());
            for ((low, high), byte) in sums.zip(&row.bytes[start..]) {
                *low = low.wrapping_add(i32::from(byte & 0x0F) * scale);
                *high = high.wrapping_add(i32::from(byte >> 4) * scale);
            }
        }
    }

    /// Adds to `sum` what the levels stand for, and begins anew.
    fn move_to(&mut self, sum: &mut [f32], scale_unit: f32) {
        // Twice the sum is whole: parts of it may wrap around, and the result still fits.
        let offset = self.scales.wrapping_mul((2.0 * I4_OFFSET) as i32);
        for (sum, levels) in sum.iter_mut().zip(&*self.sums) {
            *sum += levels.wrapping_mul(2).wrapping_sub(offset) as f32 * (scale_unit / 2.0);
        }
        self.sums.fill(0);
        self.scales = 0;
        self.rows = 0;
    }
}

/// Adds one block of all rows.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn add_block(
    rows: &[LevelRow],
    block: usize,
    low: &mut [i32; BLOCK_BYTES],
    high: &mut [i32; BLOCK_BYTES],
) {
    for row in rows {
        let bytes = &row.bytes.as_chunks::<BLOCK_BYTES>().0[block];
        let scale = i32::from(row.scale);
        for ((low, high), byte) in low.iter_mut().zip(high.iter_mut()).zip(bytes) {
            *low = low.wrapping_add(i32::from(byte & 0x0F) * scale);
            *high = high.wrapping_add(i32::from(byte >> 4) * scale);
        }
    }
}

/// The same with the instruction that compilers do not find: `i32x4.dot_i16x8` multiplies and adds the
/// levels of two rows, which lie side by side for it.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn add_block(
    rows: &[LevelRow],
    block: usize,
    low: &mut [i32; BLOCK_BYTES],
    high: &mut [i32; BLOCK_BYTES],
) {
    use core::arch::wasm32::*;

    let bytes_of = |row: &LevelRow| {
        let bytes = &row.bytes.as_chunks::<BLOCK_BYTES>().0[block];
        // SAFETY: `bytes` is 16 bytes long, and a wasm load may be unaligned.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    };
    let mut sums = [i32x4_splat(0); 8];
    for pair in rows.chunks(2) {
        let (first, second) = (bytes_of(&pair[0]), bytes_of(&pair[pair.len() - 1]));
        let second_scale = if pair.len() == 2 { pair[1].scale } else { 0 };
        let scales = i32x4_splat(i32::from(pair[0].scale) & 0xFFFF | i32::from(second_scale) << 16);
        let low_levels = |bytes| v128_and(bytes, u8x16_splat(0x0F));
        let high_levels = |bytes| u8x16_shr(bytes, 4);
        let levels = [
            (low_levels(first), low_levels(second)),
            (high_levels(first), high_levels(second)),
        ];
        for (half, (first, second)) in levels.into_iter().enumerate() {
            let near = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(
                first, second,
            );
            let far = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(
                first, second,
            );
            let quarters = [
                u16x8_extend_low_u8x16(near),
                u16x8_extend_high_u8x16(near),
                u16x8_extend_low_u8x16(far),
                u16x8_extend_high_u8x16(far),
            ];
            for (quarter, levels) in quarters.into_iter().enumerate() {
                let sum = &mut sums[half * 4 + quarter];
                *sum = i32x4_add(*sum, i32x4_dot_i16x8(levels, scales));
            }
        }
    }
    let places = low.as_chunks_mut::<4>().0.iter_mut();
    let places = places.chain(high.as_chunks_mut::<4>().0.iter_mut());
    for (place, sum) in places.zip(sums) {
        let place: *mut v128 = place.as_mut_ptr().cast();
        // SAFETY: `place` is four i32, 16 bytes, and wasm loads and stores may be unaligned.
        unsafe { v128_store(place, i32x4_add(v128_load(place), sum)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels and scales that reach the ends of what an i32 holds.
    #[test]
    fn sums_of_levels_are_exact_for_as_many_rows_as_fit() {
        for (byte, scale) in [(0xFF, i16::MIN), (0x00, i16::MIN), (0xF0, i16::MAX)] {
            // Two blocks, and three bytes that fill none.
            let bytes = [byte; 2 * BLOCK_BYTES + 3];
            let rows = [LevelRow {
                bytes: &bytes,
                scale,
            }; ROWS_AT_ONCE];
            let mut sums = Vec::new();
            let mut sum = LevelSum::new(&mut sums, 2 * bytes.len());
            for _ in 0..MAX_ROWS_IN_A_LEVEL_SUM / ROWS_AT_ONCE {
                sum.add(&rows);
            }
            let mut values = vec![0.0; 2 * bytes.len()];
            sum.move_to(&mut values, 1.0);
            let value = |level: u8| {
                ((f64::from(level) - 7.5) * f64::from(scale) * MAX_ROWS_IN_A_LEVEL_SUM as f64)
                    as f32
            };
            let (low, high) = values.split_at(bytes.len());
            assert!(
                low.iter().all(|found| *found == value(byte & 0x0F)),
                "{byte} {scale}"
            );
            assert!(
                high.iter().all(|found| *found == value(byte >> 4)),
                "{byte} {scale}"
            );
        }
    }
}
