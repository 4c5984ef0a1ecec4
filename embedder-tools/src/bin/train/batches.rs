//! Which pairs meet in which batch.

use embedder_wasm::random::Random;

/// Pairs of one source.
pub struct Batch {
    pub source: usize,
    pub pairs: Vec<u32>,
}

/// One epoch: each source's pairs in a new random order, at most `cap` of them, cut into batches,
/// and the batches of all sources shuffled together.
pub fn epoch(
    pair_counts: &[usize],
    batch_size: usize,
    cap: usize,
    random: &mut Random,
) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (source, &pairs) in pair_counts.iter().enumerate() {
        let mut order: Vec<u32> = (0..pairs as u32).collect();
        random.shuffle(&mut order);
        order.truncate(cap);
        // One pair alone has no negatives.
        let chunks = order.chunks(batch_size).filter(|chunk| chunk.len() > 1);
        batches.extend(chunks.map(|chunk| Batch {
            source,
            pairs: chunk.to_vec(),
        }));
    }
    random.shuffle(&mut batches);
    batches
}

/// How many batches `epoch` makes.
pub fn batches_in_an_epoch(pair_counts: &[usize], batch_size: usize, cap: usize) -> usize {
    let batches = |pairs: usize| pairs / batch_size + usize::from(pairs % batch_size > 1);
    pair_counts
        .iter()
        .map(|&pairs| batches(pairs.min(cap)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_used_once_in_batches_of_one_source_each() {
        let counts = [10, 7, 4];
        let batches = epoch(&counts, 4, usize::MAX, &mut Random::new(3));
        assert_eq!(batches.len(), batches_in_an_epoch(&counts, 4, usize::MAX));
        for (source, &count) in counts.iter().enumerate() {
            let mut pairs: Vec<u32> = batches
                .iter()
                .filter(|batch| batch.source == source)
                .flat_map(|batch| batch.pairs.clone())
                .collect();
            pairs.sort_unstable();
            assert_eq!(pairs, (0..count as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_cap_takes_a_new_sample_in_each_epoch() {
        let mut random = Random::new(3);
        let mut sample = || epoch(&[1000], 100, 100, &mut random).remove(0).pairs;
        let (first, second) = (sample(), sample());
        assert_eq!((first.len(), second.len()), (100, 100));
        assert_ne!(first, second);
        assert_eq!(batches_in_an_epoch(&[1000], 100, 100), 1);
    }
}
