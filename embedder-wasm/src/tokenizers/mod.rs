//! From a text to what a model reads of it.

pub mod ascii_words;
pub mod hashed_rows;
pub mod text_cleaning;
pub mod token_count;
mod unicode_tables;
pub mod wordpiece;
pub mod words_and_stems;

use token_count::TokenCount;

/// The tokenizers that the weights file of a static table can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// auto-g-embed's: split at white space, keep ASCII letters and digits, hash.
    AsciiWords,
    /// Words of any script, a row for each and a row for its stem, and a lexical part.
    WordsAndStems,
}

impl Tokenizer {
    /// The names as they stand in a weights file.
    pub const NAMES: &'static str = "ascii-words, words-and-stems";

    /// The tokenizer that a weights file calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ascii-words" => Some(Self::AsciiWords),
            "words-and-stems" => Some(Self::WordsAndStems),
            _ => None,
        }
    }

    /// As it stands in a weights file.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsciiWords => "ascii-words",
            Self::WordsAndStems => "words-and-stems",
        }
    }

    /// How many rows of the table a word has.
    pub fn rows_in_a_word(self) -> usize {
        match self {
            Self::AsciiWords => 1,
            Self::WordsAndStems => 2,
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
    ) -> TokenCount {
        match self {
            Self::AsciiWords => ascii_words::for_each_token(text, vocab_size, max_words, row),
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
            Self::AsciiWords => ascii_words::count_words(text),
            Self::WordsAndStems => words_and_stems::count_words(text),
        }
    }
}
