//! From a text to what a model reads of it.

pub mod ascii_words;
mod folding_tables;
pub mod hashed_rows;
pub mod own_rows;
pub mod perfect_hash;
pub mod text_as_written;
pub mod text_cleaning;
pub mod text_folding;
pub mod token_count;
mod unicode_tables;
pub mod wordpiece;
pub mod words_and_stems;

use own_rows::OwnRows;
use token_count::TokenCount;

/// The rows of a model's table.
#[derive(Clone, Copy)]
pub struct TableRows<'a> {
    pub vocab_size: usize,
    /// With text-as-written; leaves at least one row for all other tokens.
    pub own: OwnRows<'a>,
}

impl TableRows<'_> {
    /// Of a table in which no token has a row of its own.
    pub const fn shared(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            own: OwnRows::NONE,
        }
    }
}

/// The tokenizers that the weights file of a static table can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// auto-g-embed's: split at white space, keep ASCII letters and digits, hash.
    AsciiWords,
    /// Words of any script, a row for each and a row for its stem, and a lexical part.
    WordsAndStems,
    /// Words, numbers and symbols, whole and in parts, frequent ones with rows of their own, and a lexical part.
    TextAsWritten,
}

impl Tokenizer {
    /// The names as they stand in a weights file.
    pub const NAMES: &'static str = "ascii-words, words-and-stems, text-as-written";

    /// The tokenizer that a weights file calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ascii-words" => Some(Self::AsciiWords),
            "words-and-stems" => Some(Self::WordsAndStems),
            "text-as-written" => Some(Self::TextAsWritten),
            _ => None,
        }
    }

    /// As it stands in a weights file.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsciiWords => "ascii-words",
            Self::WordsAndStems => "words-and-stems",
            Self::TextAsWritten => "text-as-written",
        }
    }

    /// How many rows of the table a word has; with text-as-written of a frequent word.
    pub fn rows_in_a_word(self) -> usize {
        match self {
            Self::AsciiWords | Self::TextAsWritten => 1,
            Self::WordsAndStems => 2,
        }
    }

    /// Whether its models have a lexical part.
    pub fn has_lexical_part(self) -> bool {
        self != Self::AsciiWords
    }

    /// Calls `row` with the token ids (rows of the table) of the first `max_words` words, in order, and `stem` with what each
    /// token's places in the lexical part are taken from, where there is one; counts all words.
    pub fn for_each_token(
        self,
        text: &str,
        rows: TableRows,
        max_words: usize,
        mut row: impl FnMut(u32),
        mut stem: impl FnMut(u64),
    ) -> TokenCount {
        let vocab_size = rows.vocab_size;
        match self {
            Self::AsciiWords => ascii_words::for_each_token(text, vocab_size, max_words, row),
            Self::WordsAndStems => {
                words_and_stems::for_each_token(text, vocab_size, max_words, |token| {
                    row(token.word_row);
                    row(token.stem_row);
                    stem(token.stem_hash);
                })
            }
            Self::TextAsWritten => text_as_written::for_each_row(text, rows, max_words, row, stem),
        }
    }

    /// Counts a text's words and reads none.
    pub fn count_words(self, text: &str) -> usize {
        match self {
            Self::AsciiWords => ascii_words::count_words(text),
            Self::WordsAndStems => words_and_stems::count_words(text),
            Self::TextAsWritten => text_as_written::count_words(text),
        }
    }
}
