//! Sums of rows of the embedding table: where the embedder spends its time.

use crate::weights::{Dtype, VALUES_IN_AN_I4_BYTE, Weights};

/// So many rows are added at once: that many loads from far memory are under way together, and the sum
/// is read and written once for all of them.
const ROWS_AT_ONCE: usize = 4;

/// Adds rows to `sum` in the order in which they come, column by column, so that the result has the
/// bits that adding them one by one gives. Ends with `finish`.
pub struct RowSum<'a> {
    table: Table<'a>,
    sum: &'a mut [f32],
    waiting: [u32; ROWS_AT_ONCE],
    waiting_count: usize,
    count: u32,
}

impl<'a> RowSum<'a> {
    /// `sum` takes the rows' first values; it may be at most as long as a row.
    pub fn new(weights: &'a Weights, sum: &'a mut [f32]) -> Self {
        Self {
            table: Table::new(weights),
            sum,
            waiting: [0; ROWS_AT_ONCE],
            waiting_count: 0,
            count: 0,
        }
    }

    #[inline(always)]
    pub fn add(&mut self, row: u32) {
        self.waiting[self.waiting_count] = row;
        self.waiting_count += 1;
        self.count += 1;
        if self.waiting_count == ROWS_AT_ONCE {
            self.waiting_count = 0;
            self.table.add(self.waiting, self.sum);
        }
    }

    /// Adds what still waits and returns how many rows were added.
    pub fn finish(self) -> u32 {
        for row in &self.waiting[..self.waiting_count] {
            self.table.add([*row], self.sum);
        }
        self.count
    }
}

/// The table's rows as they lie in the file.
struct Table<'a> {
    dtype: Dtype,
    /// `[vocab_size, table_dim]` values of `dtype`.
    embeddings: &'a [u8],
    /// `[vocab_size]` little-endian f32 where rows are quantised.
    scales: &'a [[u8; 4]],
    table_dim: usize,
}

impl<'a> Table<'a> {
    fn new(weights: &'a Weights) -> Self {
        Self {
            dtype: weights.header.dtype,
            embeddings: weights.embeddings(),
            scales: weights.scales().as_chunks().0,
            table_dim: weights.header.table_dim,
        }
    }

    fn add<const N: usize>(&self, rows: [u32; N], sum: &mut [f32]) {
        match self.dtype {
            Dtype::F32 => add_f32(
                rows.map(|row| self.row(row, self.table_dim * 4).as_chunks().0),
                sum,
            ),
            Dtype::I8 => add_i8(
                rows.map(|row| self.row(row, self.table_dim)),
                self.scales(rows),
                sum,
            ),
            Dtype::I4 => {
                let row_bytes = self.table_dim / VALUES_IN_AN_I4_BYTE;
                let (low, high) = sum.split_at_mut(sum.len().min(row_bytes));
                let bytes = rows.map(|row| self.row(row, row_bytes));
                add_i4(bytes, |byte| byte & 0x0F, self.scales(rows), low);
                add_i4(bytes, |byte| byte >> 4, self.scales(rows), high);
            }
        }
    }

    fn scales<const N: usize>(&self, rows: [u32; N]) -> [f32; N] {
        rows.map(|row| f32::from_le_bytes(self.scales[row as usize]))
    }

    fn row(&self, row: u32, row_bytes: usize) -> &[u8] {
        let start = row as usize * row_bytes;
        &self.embeddings[start..start + row_bytes]
    }
}

// These loops are written so that the compiler turns them into SIMD: no bounds check inside, no
// dependency between columns.

fn add_f32<const N: usize>(rows: [&[[u8; 4]]; N], sum: &mut [f32]) {
    let columns = sum.len();
    let rows = rows.map(|row| &row[..columns]);
    for column in 0..columns {
        let mut total = sum[column];
        for row in rows {
            total += f32::from_le_bytes(row[column]);
        }
        sum[column] = total;
    }
}

fn add_i8<const N: usize>(rows: [&[u8]; N], scales: [f32; N], sum: &mut [f32]) {
    let columns = sum.len();
    let rows = rows.map(|row| &row[..columns]);
    for column in 0..columns {
        let mut total = sum[column];
        for (row, scale) in rows.iter().zip(scales) {
            total += f32::from(row[column] as i8) * scale;
        }
        sum[column] = total;
    }
}

/// Level n of 16 stands for n - 7.5.
#[inline(always)]
fn add_i4<const N: usize>(
    rows: [&[u8]; N],
    level: impl Fn(u8) -> u8,
    scales: [f32; N],
    sum: &mut [f32],
) {
    let columns = sum.len();
    let rows = rows.map(|row| &row[..columns]);
    for column in 0..columns {
        let mut total = sum[column];
        for (row, scale) in rows.iter().zip(scales) {
            total += (f32::from(level(row[column])) - 7.5) * scale;
        }
        sum[column] = total;
    }
}
