//! From a text to the rows of the embedding table.

use siphasher::sip::SipHasher13;

use crate::words_and_stems;

/// Row 0 is padding and is never read.
pub const RESERVED_ROWS: usize = 2;
/// The row of a word that has no ASCII letter or digit in it.
pub const UNKNOWN_TOKEN_ID: u32 = 1;

/// The tokenizers that a weights file can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// auto-g-embed's: split at white space, keep ASCII letters and digits, hash.
    AsciiWords,
    /// Words of any script, a row for each and a row for its stem, and a lexical part.
    WordsAndStems,
}

/// How many words a text has, and how many of them were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordCount {
    pub words: usize,
    pub words_read: usize,
}

impl Tokenizer {
    /// The names as they stand in a weights file.
    pub const NAMES: &'static str = "ascii-words, words-and-stems";

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ascii-words" => Some(Self::AsciiWords),
            "words-and-stems" => Some(Self::WordsAndStems),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::AsciiWords => "ascii-words",
            Self::WordsAndStems => "words-and-stems",
        }
    }

    /// Calls `row` with the token ids (rows of a table of `vocab_size` rows) of the first `max_words`
    /// words, in order, and counts all of them.
    pub fn for_each_token(
        self,
        text: &str,
        vocab_size: usize,
        max_words: usize,
        mut row: impl FnMut(u32),
    ) -> WordCount {
        match self {
            Self::AsciiWords => ascii_words(text, vocab_size, max_words, row),
            Self::WordsAndStems => {
                words_and_stems::for_each_token(text, vocab_size, max_words, |token| {
                    row(token.word_row);
                    row(token.stem_row);
                })
            }
        }
    }

    /// Counts a text's words and reads none.
    pub fn count_words(self, text: &str) -> usize {
        match self {
            Self::AsciiWords => text.split_whitespace().count(),
            Self::WordsAndStems => words_and_stems::count_words(text),
        }
    }
}

fn ascii_words(
    text: &str,
    vocab_size: usize,
    max_words: usize,
    mut row: impl FnMut(u32),
) -> WordCount {
    let mut words = text.split_whitespace();
    let mut words_read = 0;
    let mut kept = Vec::with_capacity(64);
    for word in words.by_ref().take(max_words) {
        words_read += 1;
        kept.clear();
        kept.extend(
            word.bytes()
                .filter(u8::is_ascii_alphanumeric)
                .map(|byte| byte.to_ascii_lowercase()),
        );
        row(if kept.is_empty() {
            UNKNOWN_TOKEN_ID
        } else {
            hashed_row(&mut kept, vocab_size)
        });
    }
    WordCount {
        words: words_read + words.count(),
        words_read,
    }
}

/// The row of a word: SipHash-1-3 with a zero key over its bytes and 0xFF, which is what
/// `DefaultHasher` made of a `str` when auto-g-embed trained its first models. The modulus is taken
/// on all 64 bits: a `usize` has 32 of them on wasm32.
fn hashed_row(word: &mut Vec<u8>, vocab_size: usize) -> u32 {
    word.push(0xFF);
    row_of(SipHasher13::new().hash(word), vocab_size)
}

/// The row of a hash, past the reserved ones.
pub fn row_of(hash: u64, vocab_size: usize) -> u32 {
    (RESERVED_ROWS as u64 + hash % (vocab_size - RESERVED_ROWS) as u64) as u32
}
