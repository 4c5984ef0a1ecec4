//! The tokenizer `words-and-stems`: words of any script in lower case, and the stem of each.

use std::borrow::Cow;
use std::cell::RefCell;

use rust_stemmers::{Algorithm, Stemmer};

use super::hashed_rows::{STEM_KEY, WORD_KEY, hash, row_of};
use super::token_count::TokenCount;

/// Counts a text's words.
pub fn count_words(text: &str) -> usize {
    for_each_word(text, 0, |_, _| {}).tokens
}

/// The stem of a word.
enum Stem<'a> {
    /// That of Snowball's English stemmer.
    English,
    Is(&'a str),
}

/// Calls `word(word, stem)` for each of the first `max_words` words of a text, in order, and counts
/// all of them.
///
/// A word is a run of letters and digits (Unicode's Alphabetic or Numeric) in lower case; an
/// apostrophe between two of them is left out ("don't" is "dont"). Where the script puts no spaces
/// between words, each character is a word, and its stem is the character with the next one of its
/// run. Words of the letters a to z have an English Snowball stem; other words are their own.
fn for_each_word(text: &str, max_words: usize, mut word: impl FnMut(&str, Stem)) -> TokenCount {
    let mut words = 0;
    for_each_run(text, |run| {
        if run.chars().next().is_some_and(is_unspaced) {
            let mut ends = run
                .char_indices()
                .map(|(start, character)| start + character.len_utf8())
                .peekable();
            let mut start = 0;
            while let Some(end) = ends.next() {
                if words < max_words {
                    let next_end = ends.peek().copied().unwrap_or(end);
                    word(&run[start..end], Stem::Is(&run[start..next_end]));
                }
                words += 1;
                start = end;
            }
        } else {
            if words < max_words {
                let is_english = run.bytes().all(|byte| byte.is_ascii_lowercase());
                word(
                    run,
                    if is_english {
                        Stem::English
                    } else {
                        Stem::Is(run)
                    },
                );
            }
            words += 1;
        }
    });
    TokenCount::cut_at(max_words, words)
}

/// What the model reads of a word.
pub struct Token {
    pub word_row: u32,
    pub stem_row: u32,
    /// What the stem's places in the lexical part are taken from.
    pub stem_hash: u64,
}

/// Calls `token` for each of the first `max_words` words of a text, in order, and counts all of them.
#[inline(never)]
pub fn for_each_token(
    text: &str,
    vocab_size: usize,
    max_words: usize,
    mut token: impl FnMut(Token),
) -> TokenCount {
    for_each_word(text, max_words, |word, stem| {
        let Hashes {
            word_hash,
            stem_hash,
        } = match stem {
            Stem::English => hashes_of_english(word),
            Stem::Is(stem) => Hashes {
                word_hash: hash(WORD_KEY, word.as_bytes()),
                stem_hash: hash(STEM_KEY, stem.as_bytes()),
            },
        };
        token(Token {
            word_row: row_of(word_hash, vocab_size),
            stem_row: row_of(stem_hash, vocab_size),
            stem_hash,
        });
    })
}

#[derive(Clone, Copy)]
pub(super) struct Hashes {
    pub word_hash: u64,
    pub stem_hash: u64,
}

/// A word of the letters a to z, zeros behind it: no word has zeros in it, so equal bytes are equal words.
type ShortWord = [u8; 16];

/// A power of two: a megabyte, in which 85 of 100 words of mixed English texts are found; 4,096 held 64.
const REMEMBERED_WORDS: usize = 32_768;

thread_local! {
    /// Stemming a word takes ten times as long as adding its rows, and texts repeat their words: each
    /// word has one place here, by a quick hash, which it shares with others. The key of zeros is no
    /// word's. All zeros, it costs a cold start nothing: no page of it is touched before it is used.
    static REMEMBERED: RefCell<[(ShortWord, Hashes); REMEMBERED_WORDS]> = const {
        let nothing = Hashes {
            word_hash: 0,
            stem_hash: 0,
        };
        RefCell::new([([0; 16], nothing); REMEMBERED_WORDS])
    };
}

pub(super) fn hashes_of_english(word: &str) -> Hashes {
    let compute = || Hashes {
        word_hash: hash(WORD_KEY, word.as_bytes()),
        stem_hash: hash(STEM_KEY, english_stem(word).as_bytes()),
    };
    let mut key = ShortWord::default();
    let Some(letters) = key.get_mut(..word.len()) else {
        return compute();
    };
    letters.copy_from_slice(word.as_bytes());
    // Fibonacci hashing: the upper bits of a product with 2^64 / the golden ratio.
    let mixed = u128::from_le_bytes(key);
    let mixed =
        (mixed as u64 ^ ((mixed >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let place = (mixed >> (u64::BITS - REMEMBERED_WORDS.ilog2())) as usize;
    REMEMBERED.with_borrow_mut(|remembered| {
        let entry = &mut remembered[place];
        if entry.0 != key {
            *entry = (key, compute());
        }
        entry.1
    })
}

/// Calls `finish` with each run of letters and digits, in lower case; a run is either of a script
/// without spaces or of others.
fn for_each_run(text: &str, mut finish: impl FnMut(&str)) {
    let mut run = String::with_capacity(64);
    let mut run_is_unspaced = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_alphanumeric = character.is_alphanumeric();
        if is_alphanumeric {
            let unspaced = is_unspaced(character);
            if unspaced != run_is_unspaced {
                if !run.is_empty() {
                    finish(&run);
                    run.clear();
                }
                run_is_unspaced = unspaced;
            }
        }
        if is_alphanumeric && character.is_ascii() {
            // Most text is made of these: they are taken by the stretch.
            let stretch = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            let start = run.len();
            run.push_str(&rest[..stretch]);
            run[start..].make_ascii_lowercase();
            rest = &rest[stretch..];
            continue;
        }
        rest = &rest[character.len_utf8()..];
        if is_alphanumeric {
            run.extend(character.to_lowercase());
        } else if !run.is_empty() {
            let joins =
                is_apostrophe(character) && rest.chars().next().is_some_and(char::is_alphanumeric);
            if !joins {
                finish(&run);
                run.clear();
            }
        }
    }
    if !run.is_empty() {
        finish(&run);
    }
}

fn english_stem(word: &str) -> Cow<'_, str> {
    Stemmer::create(Algorithm::English).stem(word)
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}')
}

/// Thai, Lao, Myanmar, Khmer, kana and Han.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0E00}'..='\u{0EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_and_their_stems_are_english() {
        let cases: [(&str, &[(&str, &str)]); 10] = [
            ("", &[]),
            (" ... - ' ", &[]),
            ("Running dogs", &[("running", "run"), ("dogs", "dog")]),
            (
                "state-of-the-art",
                &[
                    ("state", "state"),
                    ("of", "of"),
                    ("the", "the"),
                    ("art", "art"),
                ],
            ),
            (
                "Don't stop; it’s John's",
                &[
                    ("dont", "dont"),
                    ("stop", "stop"),
                    ("its", "it"),
                    ("johns", "john"),
                ],
            ),
            (
                "'quoted' rock 'n' roll",
                &[
                    ("quoted", "quot"),
                    ("rock", "rock"),
                    ("n", "n"),
                    ("roll", "roll"),
                ],
            ),
            (
                "RFC2119 covid19",
                &[("rfc2119", "rfc2119"), ("covid19", "covid19")],
            ),
            ("Straße ÉCOLE", &[("straße", "straße"), ("école", "école")]),
            ("Привет, Мир", &[("привет", "привет"), ("мир", "мир")]),
            (
                "東京都 GPU東",
                &[
                    ("東", "東京"),
                    ("京", "京都"),
                    ("都", "都"),
                    ("gpu", "gpu"),
                    ("東", "東"),
                ],
            ),
        ];
        for (text, expected) in cases {
            let mut found = Vec::new();
            for_each_word(text, usize::MAX, |word, stem| {
                let stem = match stem {
                    Stem::English => english_stem(word),
                    Stem::Is(stem) => stem.into(),
                };
                found.push((word.to_owned(), stem.into_owned()));
            });
            let found: Vec<(&str, &str)> = found
                .iter()
                .map(|(word, stem)| (&**word, &**stem))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn words_past_the_limit_are_counted_and_not_read() {
        let mut read = Vec::new();
        let count = for_each_word("one two 三四 five", 3, |word, _| {
            read.push(word.to_owned())
        });
        assert_eq!(read, ["one", "two", "三"]);
        assert_eq!(
            count,
            TokenCount {
                tokens: 5,
                tokens_read: 3
            }
        );
    }

    #[test]
    fn a_remembered_word_has_the_hashes_that_it_had_at_first() {
        let words: Vec<String> = (0..80_000_u32)
            .map(|number| {
                let digits = number.to_string();
                digits
                    .bytes()
                    .map(|digit| char::from(digit - b'0' + b'a'))
                    .cycle()
                    .take(1 + number as usize % 20)
                    .collect()
            })
            .collect();
        for _ in 0..2 {
            for word in &words {
                let Hashes {
                    word_hash,
                    stem_hash,
                } = hashes_of_english(word);
                assert_eq!(word_hash, hash(WORD_KEY, word.as_bytes()), "{word}");
                assert_eq!(
                    stem_hash,
                    hash(STEM_KEY, english_stem(word).as_bytes()),
                    "{word}"
                );
            }
        }
    }
}
