//! Columns of a matrix that stay f32, beside a product of rounded numbers.
//!
//! A few inputs of an encoder are a hundred times larger than all others: of MiniLM's 1,536 intermediate values one or two in
//! a layer reach 24 at each [CLS], where the rest stay below 3. What rounding does to their weights is multiplied by them. So
//! these columns are computed exactly, as LLM.int8() does (Dettmers and others, 2022, arXiv 2208.07339).

use super::lanes::F32x4;
use super::quantised_rows::QuantisedRows;

/// Adds the products of the rows' exact inputs with `columns`, `[exact inputs, outputs]`, to `results`, `[count, outputs]`,
/// one input after the other. `outputs` is a multiple of 8.
#[inline(never)]
pub fn add_exact_columns(
    rows: &QuantisedRows,
    columns: &[f32],
    outputs: usize,
    results: &mut [f32],
) {
    if columns.is_empty() {
        return;
    }
    for (index, result) in results.chunks_exact_mut(outputs).enumerate() {
        let exact = rows.exact(index);
        assert!(columns.len() == exact.len() * outputs);
        let (eights, _) = result.as_chunks_mut::<8>();
        for (panel, eight) in eights.iter_mut().enumerate() {
            let (places, _) = eight.as_chunks_mut::<4>();
            let [mut low, mut high] = [F32x4::load(&places[0]), F32x4::load(&places[1])];
            for (value, column) in exact.iter().zip(columns.chunks_exact(outputs)) {
                let value = F32x4::splat(*value);
                let (weights, _) = column[panel * 8..][..8].as_chunks::<4>();
                low = low + value * F32x4::load(&weights[0]);
                high = high + value * F32x4::load(&weights[1]);
            }
            low.store(&mut places[0]);
            high.store(&mut places[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantised_rows::Inputs;
    use super::*;
    use crate::random::Random;

    #[test]
    fn products_are_added_in_the_order_of_the_inputs() {
        let (count, inputs, outputs) = (7, 16, 24);
        let mut random = Random::new(3);
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|_| (random.next_u64() % 2001) as f32 / 7.0 - 143.0)
                .collect()
        };
        let mut rows = numbers(count * inputs);
        for exact in [&[][..], &[3], &[0, 7, 15]] {
            let columns = numbers(exact.len() * outputs);
            let before = numbers(count * outputs);
            let mut quantised = QuantisedRows::default();
            let wanted = Inputs {
                count: inputs,
                exact,
            };
            quantised.set_for(wanted, &mut rows);
            let mut results = before.clone();
            add_exact_columns(&quantised, &columns, outputs, &mut results);
            for row in 0..count {
                for output in 0..outputs {
                    let place = row * outputs + output;
                    let mut expected = before[place];
                    for (index, input) in exact.iter().enumerate() {
                        let weight = columns[index * outputs + output];
                        expected += rows[row * inputs + *input as usize] * weight;
                    }
                    assert_eq!(results[place], expected, "{row} {output}");
                }
            }
        }
    }
}
