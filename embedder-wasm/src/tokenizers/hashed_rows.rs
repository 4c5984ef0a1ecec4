//! Tokens without a vocabulary: the hash of a word or a stem chooses its row of the table.

use siphasher::sip::SipHasher13;

/// Row 0 is padding and is never read; row 1 is that of unknown words.
pub const RESERVED_ROWS: usize = 2;
/// The row of a word that a tokenizer keeps nothing of.
pub const UNKNOWN_TOKEN_ID: u32 = 1;
/// Two rows are reserved, so hashing needs a third.
pub const MIN_VOCAB_SIZE: usize = RESERVED_ROWS + 1;

/// Words and stems have keys of their own: a word that is its own stem has two hashes, so that with words-and-stems
/// a collision spoils one of its two rows at most.
pub const WORD_KEY: u64 = 0;
pub const STEM_KEY: u64 = 1;

/// SipHash-1-3 with the key (`key`, 0) of the text's bytes followed by 0xFF, which is what `DefaultHasher` made
/// of a `str` when auto-g-embed trained its first models.
pub fn hash(key: u64, text: &[u8]) -> u64 {
    let mut buffer = [0u8; 64];
    let hasher = SipHasher13::new_with_keys(key, 0);
    match buffer.get_mut(..=text.len()) {
        Some(bytes) => {
            bytes[..text.len()].copy_from_slice(text);
            bytes[text.len()] = 0xFF;
            hasher.hash(bytes)
        }
        None => hasher.hash(&[text, &[0xFF]].concat()),
    }
}

/// The row of a hash, past the reserved ones, in a table of `vocab_size` rows. The modulus is taken on all
/// 64 bits: a `usize` has 32 of them on wasm32.
pub fn row_of(hash: u64, vocab_size: usize) -> u32 {
    (RESERVED_ROWS as u64 + hash % (vocab_size - RESERVED_ROWS) as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_has_the_hash_that_the_definition_gives() {
        for length in [1, 63, 64, 1000] {
            let word = "w".repeat(length);
            let bytes = [word.as_bytes(), &[0xFF]].concat();
            assert_eq!(
                hash(1, word.as_bytes()),
                SipHasher13::new_with_keys(1, 0).hash(&bytes),
                "{length}"
            );
        }
    }
}
