//! The lexical part of an embedding: which stems a text has, weighted by how rare they are, in a
//! count sketch. It needs no table, so that any two texts with the same rare word meet in it.

/// A stem is written to one place in each of these equal blocks of the sketch.
pub const SKETCH_BLOCKS: usize = 4;

/// The stems of one text.
pub struct Sketch {
    stem_hashes: Vec<u64>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            // Most texts have fewer words.
            stem_hashes: Vec::with_capacity(64),
        }
    }
}

impl Sketch {
    pub fn add(&mut self, stem_hash: u64) {
        self.stem_hashes.push(stem_hash);
    }

    /// Writes each stem's (1 + ln count) x idf into `sketch`, whose length is a multiple of
    /// `SKETCH_BLOCKS`, at the places and with the signs that its hash gives.
    pub fn write(mut self, idf: &[u8], sketch: &mut [f32]) {
        // In the order of their hashes: a sum's last bits do not depend on the order of the words.
        self.stem_hashes.sort_unstable();
        sketch.fill(0.0);
        for equal in self.stem_hashes.chunk_by(|a, b| a == b) {
            let hash = equal[0];
            let weight = idf[(hash % idf.len() as u64) as usize];
            let value = term_frequency(equal.len()) * f32::from(weight);
            for (place, sign) in places(hash, sketch.len()) {
                sketch[place] += sign * value;
            }
        }
    }
}

/// 1 + ln count; most stems come once, and a logarithm costs as much as all the rest.
fn term_frequency(count: usize) -> f32 {
    if count == 1 {
        1.0
    } else {
        (1.0 + (count as f64).ln()) as f32
    }
}

/// Sixteen bits of the hash for each block: the lowest is the sign, the rest the place.
fn places(hash: u64, dim: usize) -> impl Iterator<Item = (usize, f32)> {
    let block_dim = dim / SKETCH_BLOCKS;
    (0..SKETCH_BLOCKS).map(move |block| {
        let bits = (hash >> (16 * block)) & 0xFFFF;
        let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
        (block * block_dim + (bits >> 1) as usize % block_dim, sign)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_written_to_one_place_of_each_block_with_its_sign() {
        // Pieces from the lowest: 0x0001 (minus, 0), 0x0004 (plus, 2), 0x000B (minus, 5), 0x0014 (plus, 10).
        let hash = 0x0014_000B_0004_0001;
        let mut sketch = Sketch::default();
        sketch.add(hash);
        let mut idf = vec![0; 8];
        idf[1] = 10;
        let mut values = vec![0.0; 32];
        sketch.write(&idf, &mut values);
        let mut expected = vec![0.0; 32];
        (
            expected[0],
            expected[8 + 2],
            expected[16 + 5],
            expected[24 + 2],
        ) = (-10.0, 10.0, -10.0, 10.0);
        assert_eq!(values, expected);
    }

    #[test]
    fn a_stem_that_comes_again_counts_by_the_logarithm() {
        let mut sketch = Sketch::default();
        (0..3).for_each(|_| sketch.add(0));
        let mut values = vec![0.0; 4];
        sketch.write(&[2], &mut values);
        assert_eq!(values, [2.0 * (1.0 + 3f64.ln() as f32); 4]);
    }
}
