//! How rare stems are in the training texts, for the lexical part.

use std::collections::HashSet;

use crate::text_set::TextSet;

/// Entries of the table: large enough that few rare stems share one with a frequent stem.
pub const IDF_ENTRIES: usize = 1 << 18;

/// Rare stems count more than ln alone says: measured on development sets, 1 to 2 against each other.
const POWER: f64 = 1.17;

/// ln((1 + texts) / (1 + texts with a stem of this entry)) to the power of `POWER`, the largest
/// being 255.
pub fn idf(sets: &[&TextSet]) -> Vec<u8> {
    let mut counts = vec![0u32; IDF_ENTRIES];
    let mut texts = 0;
    for set in sets {
        for text in 0..set.len() {
            texts += 1;
            let entries: HashSet<usize> = set
                .stems(text)
                .iter()
                .map(|stem| (stem % IDF_ENTRIES as u64) as usize)
                .collect();
            entries.into_iter().for_each(|entry| counts[entry] += 1);
        }
    }
    let largest = (1.0 + texts as f64).ln();
    counts
        .iter()
        .map(|&count| {
            let value = ((1.0 + texts as f64) / (1.0 + f64::from(count))).ln();
            ((value / largest).powf(POWER) * 255.0).round().max(1.0) as u8
        })
        .collect()
}
