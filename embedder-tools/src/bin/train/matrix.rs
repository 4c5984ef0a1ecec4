//! Matrix products on all cores with a result that does not depend on their number: the output is
//! cut into blocks of a fixed height, and each is one single-threaded product.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

const ROWS_IN_A_BLOCK: usize = 128;

/// A row-major matrix to read, or its transpose.
#[derive(Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    pub fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// The row-major product left x right, written to `out`.
pub fn product(left: View, right: View, out: &mut [f32]) {
    assert_eq!(left.columns, right.rows);
    assert_eq!(out.len(), left.rows * right.columns);
    if out.is_empty() {
        return;
    }
    let columns = right.columns;
    out.par_chunks_mut(ROWS_IN_A_BLOCK * columns)
        .enumerate()
        .for_each(|(block, out)| {
            let first_row = block * ROWS_IN_A_BLOCK;
            // SAFETY: `out` holds whole rows of `columns` values. The views' constructor has checked that
            // every row and column index below theirs lies in the slice, and the rows read on the left
            // are first_row .. first_row + out.len() / columns, which are at most left.rows.
            unsafe {
                gemm(
                    out.len() / columns,
                    columns,
                    left.columns,
                    out.as_mut_ptr(),
                    1,
                    columns as isize,
                    false,
                    left.values.as_ptr().add(first_row * left.row_stride),
                    left.column_stride as isize,
                    left.row_stride as isize,
                    right.values.as_ptr(),
                    right.column_stride as isize,
                    right.row_stride as isize,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedder_wasm::random::Random;

    #[test]
    fn the_product_is_what_the_definition_says_for_every_transposition() {
        let (rows, inner, columns) = (300, 7, 5);
        let mut random = Random::new(1);
        let mut matrix = |length: usize| {
            (0..length)
                .map(|_| random.next_unit() - 0.5)
                .collect::<Vec<f32>>()
        };
        let (left, right) = (matrix(rows * inner), matrix(inner * columns));
        let transpose = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..columns)
                .flat_map(|column| (0..rows).map(move |row| (row, column)))
                .map(|(row, column)| values[row * columns + column])
                .collect()
        };
        let (left_turned, right_turned) = (
            transpose(&left, rows, inner),
            transpose(&right, inner, columns),
        );
        let left_views = [
            View::new(&left, rows, inner),
            View::new(&left_turned, inner, rows).transposed(),
        ];
        let right_views = [
            View::new(&right, inner, columns),
            View::new(&right_turned, columns, inner).transposed(),
        ];
        for left_view in left_views {
            for right_view in right_views {
                let mut out = vec![f32::NAN; rows * columns];
                product(left_view, right_view, &mut out);
                for row in 0..rows {
                    for column in 0..columns {
                        let expected: f32 = (0..inner)
                            .map(|i| left[row * inner + i] * right[i * columns + column])
                            .sum();
                        assert!((out[row * columns + column] - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
