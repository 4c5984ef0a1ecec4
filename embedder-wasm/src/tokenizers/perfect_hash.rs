//! A perfect hash function by displacement ("hash, displace, and compress", Belazzougui, Botelho and Dietzfelbinger
//! 2009): each of a fixed set of hashes has a slot of its own, and the set itself is stored nowhere.

/// 2^64 / the golden ratio, and the multiplier of Degski's 64-bit mixer.
const DISPLACEMENT_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const SLOT_FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// The slot, of so many, that a hash has by the displacement of its bucket. Other hashes have the slots of these.
pub fn slot_of(hash: u64, displacements: &[[u8; 2]], slots: usize) -> usize {
    let bucket = bucket_of(hash, displacements.len());
    displaced(hash, u16::from_le_bytes(displacements[bucket]), slots)
}

fn bucket_of(hash: u64, buckets: usize) -> usize {
    scaled((hash >> 32) as u32, buckets)
}

fn displaced(hash: u64, displacement: u16, slots: usize) -> usize {
    let displaced = hash ^ u64::from(displacement).wrapping_mul(DISPLACEMENT_FACTOR);
    scaled((displaced.wrapping_mul(SLOT_FACTOR) >> 32) as u32, slots)
}

/// The number in 0..count that stands where `value` stands in 0..2^32.
fn scaled(value: u32, count: usize) -> usize {
    ((u64::from(value) * count as u64) >> 32) as usize
}

/// A function for a set of hashes.
#[derive(Debug, PartialEq)]
pub struct PerfectHash {
    /// `[buckets]`, little-endian.
    pub displacements: Vec<u8>,
    /// Which of the hashes has each slot, where one has it.
    pub slots: Vec<Option<usize>>,
}

impl PerfectHash {
    /// Fails where no displacement separates the hashes of a bucket, as for two equal ones.
    pub fn build(hashes: &[u64]) -> Result<Self, String> {
        /// More is quicker to build, fewer is smaller.
        const HASHES_IN_A_BUCKET: usize = 4;
        /// For 32 hashes. The last ones would find no free place among as many slots as hashes.
        const SLOTS_FOR_32: usize = 33;

        let slot_count = (hashes.len() * SLOTS_FOR_32).div_ceil(32);
        let mut buckets = vec![Vec::new(); hashes.len().div_ceil(HASHES_IN_A_BUCKET)];
        for (index, &hash) in hashes.iter().enumerate() {
            let bucket = bucket_of(hash, buckets.len());
            buckets[bucket].push(index);
        }
        // The fullest first, while there is room.
        let mut order: Vec<usize> = (0..buckets.len()).collect();
        order.sort_by_key(|&bucket| std::cmp::Reverse(buckets[bucket].len()));
        let mut displacements = vec![0; buckets.len()];
        let mut slots = vec![None; slot_count];
        let mut places = Vec::new();
        for bucket in order {
            let found = (0..=u16::MAX).find(|&displacement| {
                places.clear();
                buckets[bucket].iter().all(|&index| {
                    let slot = displaced(hashes[index], displacement, slot_count);
                    let is_free = slots[slot].is_none() && !places.contains(&slot);
                    places.push(slot);
                    is_free
                })
            });
            let Some(displacement) = found else {
                return Err(format!(
                    "no displacement separates the {} hashes of one bucket; two of them may be equal",
                    buckets[bucket].len()
                ));
            };
            displacements[bucket] = displacement;
            for (&slot, &index) in places.iter().zip(&buckets[bucket]) {
                slots[slot] = Some(index);
            }
        }
        Ok(Self {
            displacements: displacements
                .into_iter()
                .flat_map(u16::to_le_bytes)
                .collect(),
            slots,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn each_hash_has_a_slot_of_its_own() {
        for count in [1, 2, 5, 1000, 80_000] {
            let mut random = Random::new(count as u64);
            let hashes: Vec<u64> = (0..count).map(|_| random.next_u64()).collect();
            let PerfectHash {
                displacements,
                slots,
            } = PerfectHash::build(&hashes).unwrap();
            assert!(slots.len() <= count + count / 32 + 1);
            for (index, &hash) in hashes.iter().enumerate() {
                let slot = slot_of(hash, displacements.as_chunks().0, slots.len());
                assert_eq!(slots[slot], Some(index));
            }
        }
    }

    #[test]
    fn equal_hashes_are_refused() {
        assert_eq!(
            PerfectHash::build(&[7, 8, 7]),
            Err(
                "no displacement separates the 3 hashes of one bucket; two of them may be equal"
                    .to_owned()
            )
        );
    }
}
