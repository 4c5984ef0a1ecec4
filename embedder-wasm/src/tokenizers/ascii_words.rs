//! The tokenizer `ascii-words`: auto-g-embed's.

use super::hashed_rows::{UNKNOWN_TOKEN_ID, hash, row_of};
use super::token_count::TokenCount;

const WORD_KEY: u64 = 0;

/// Calls `row` with the token id of each of the first `max_words` words of a text, in order, and counts all of
/// them: split at white space, keep ASCII letters and digits in lower case, hash.
#[inline(never)]
pub fn for_each_token(
    text: &str,
    vocab_size: usize,
    max_words: usize,
    mut row: impl FnMut(u32),
) -> TokenCount {
    let mut words = text.split_whitespace();
    let mut tokens_read = 0;
    let mut kept = Vec::with_capacity(64);
    for word in words.by_ref().take(max_words) {
        tokens_read += 1;
        kept.clear();
        kept.extend(
            word.bytes()
                .filter(u8::is_ascii_alphanumeric)
                .map(|byte| byte.to_ascii_lowercase()),
        );
        row(if kept.is_empty() {
            UNKNOWN_TOKEN_ID
        } else {
            row_of(hash(WORD_KEY, &kept), vocab_size)
        });
    }
    TokenCount {
        tokens: tokens_read + words.count(),
        tokens_read,
    }
}

/// Counts a text's words.
pub fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}
