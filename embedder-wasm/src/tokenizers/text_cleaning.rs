//! Texts cleaned and split into words as BERT does it, in one pass: what Hugging Face's `tokenizers` calls
//! BertNormalizer and BertPreTokenizer.
//!
//! `tokenizers` does it step by step: it cleans the whole text, puts spaces around Chinese characters, decomposes
//! and drops accents, makes lower case, and splits. Each step is one for single characters, but for
//! the order of combining marks (`Words::insert`), so that a character can take all steps at once.
//! Categories and decompositions are those of the crates that `tokenizers` uses (unicode_tables.rs says
//! of which versions of Unicode); lower case and white space are those of Rust's standard library,
//! there as here.

use super::unicode_tables::{
    CLASSES, COMBINING_CLASSES, DECOMPOSES, DECOMPOSITION_RUNS, DECOMPOSITIONS, FLAG_BITS,
    LONG_DECOMPOSITIONS, MARK, NONSTARTER, PUNCTUATION, REMOVED,
};

/// What BertNormalizer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleaningOptions {
    /// Drop control, format and private-use characters, and U+FFFD.
    pub clean_text: bool,
    /// Each Chinese character is a word.
    pub chinese_chars: bool,
    /// Decompose canonically (NFD) and drop nonspacing marks.
    pub strip_accents: bool,
    pub lower_case: bool,
}

const MOST_ASCII_AT_ONCE: usize = 256;

/// Cleans texts and splits them into words.
pub struct TextCleaner {
    options: CleaningOptions,
    max_word_characters: usize,
    ascii: [Ascii; 128],
}

pub enum Word<'a> {
    /// The word's characters, at least one, in UTF-8.
    Text(&'a [u8]),
    /// More characters than the cleaner's `max_word_characters`.
    TooLong,
}

impl TextCleaner {
    pub fn new(options: CleaningOptions, max_word_characters: usize) -> Self {
        Self {
            options,
            max_word_characters,
            ascii: std::array::from_fn(|code| Ascii::of(code as u8, options)),
        }
    }

    /// Calls `word` with each word of a text, in order. A punctuation character is a word.
    pub fn for_each_word(&self, text: &str, word: impl FnMut(Word)) {
        let mut words = Words {
            max_characters: self.max_word_characters,
            bytes: Vec::with_capacity(64),
            characters: 0,
            sealed_bytes: 0,
            word,
        };
        let mut rest = text;
        while let Some(&byte) = rest.as_bytes().first() {
            let Some(&meaning) = self.ascii.get(usize::from(byte)) else {
                let character = rest.chars().next().unwrap_or_default();
                rest = &rest[character.len_utf8()..];
                self.clean(character, &mut words);
                continue;
            };
            match meaning {
                Ascii::InWords(_) => {
                    // Most text is made of these: they are taken by the run. A very long one is taken
                    // in parts, so that no buffer grows with it.
                    let run = rest
                        .bytes()
                        .take(MOST_ASCII_AT_ONCE)
                        .map_while(|byte| self.in_words(byte));
                    let length = words.push_ascii(run);
                    rest = &rest[length..];
                    continue;
                }
                Ascii::Space => words.end(),
                Ascii::Dropped => {}
                Ascii::Punctuation => words.push_alone(byte.into()),
            }
            rest = &rest[1..];
        }
        words.end();
    }

    fn in_words(&self, byte: u8) -> Option<u8> {
        match self.ascii.get(usize::from(byte)) {
            Some(&Ascii::InWords(byte)) => Some(byte),
            _ => None,
        }
    }

    /// The steps for a character that is not ASCII, from here on in their order.
    fn clean(&self, character: char, words: &mut Words<impl FnMut(Word)>) {
        let class = class_of(character);
        if self.options.clean_text && (class & REMOVED != 0 || character == '\u{FFFD}') {
            return;
        }
        if character.is_whitespace() {
            words.end();
        } else if self.options.chinese_chars && is_chinese(character) {
            words.end();
            self.strip_accents(character, class, words);
            words.end();
        } else {
            self.strip_accents(character, class, words);
        }
    }

    fn strip_accents(&self, character: char, class: u32, words: &mut Words<impl FnMut(Word)>) {
        if !self.options.strip_accents {
            self.lower_case(character, class, words);
        } else if class & DECOMPOSES != 0 {
            for_each_base(character, |base| self.add_base(base, class_of(base), words));
        } else if let Some(jamos) = hangul_jamos(character) {
            jamos
                .into_iter()
                .flatten()
                .for_each(|jamo| words.push(jamo));
        } else if class & MARK == 0 {
            self.add_base(character, class, words);
        } else if class & NONSTARTER == 0 {
            words.seal();
        }
    }

    fn add_base(&self, base: char, class: u32, words: &mut Words<impl FnMut(Word)>) {
        if class & NONSTARTER != 0 {
            words.insert(base);
        } else {
            self.lower_case(base, class, words);
        }
    }

    fn lower_case(&self, character: char, class: u32, words: &mut Words<impl FnMut(Word)>) {
        if !self.options.lower_case {
            split(character, class, words);
            return;
        }
        for lower in character.to_lowercase() {
            let class = if lower == character {
                class
            } else {
                class_of(lower)
            };
            split(lower, class, words);
        }
    }
}

fn split(character: char, class: u32, words: &mut Words<impl FnMut(Word)>) {
    if class & PUNCTUATION != 0 || character.is_ascii_punctuation() {
        words.push_alone(character);
    } else {
        words.push(character);
    }
}

/// All steps for an ASCII character.
#[derive(Clone, Copy)]
enum Ascii {
    InWords(u8),
    Space,
    Dropped,
    Punctuation,
}

impl Ascii {
    fn of(code: u8, options: CleaningOptions) -> Self {
        let is_space = char::from(code).is_whitespace();
        match code {
            b'\t' | b'\n' | b'\r' => Self::Space,
            _ if code.is_ascii_control() && options.clean_text => Self::Dropped,
            _ if is_space => Self::Space,
            _ if code.is_ascii_punctuation() => Self::Punctuation,
            _ if options.lower_case => Self::InWords(code.to_ascii_lowercase()),
            _ => Self::InWords(code),
        }
    }
}

/// The word that is being read.
struct Words<F> {
    max_characters: usize,
    bytes: Vec<u8>,
    characters: usize,
    /// Up to here combining marks do not change their order any more.
    sealed_bytes: usize,
    word: F,
}

impl<F: FnMut(Word)> Words<F> {
    fn end(&mut self) {
        if self.characters > 0 {
            (self.word)(if self.characters <= self.max_characters {
                Word::Text(&self.bytes)
            } else {
                Word::TooLong
            });
        }
        self.bytes.clear();
        self.characters = 0;
        self.sealed_bytes = 0;
    }

    fn push_alone(&mut self, character: char) {
        self.end();
        self.push(character);
        self.end();
    }

    fn push(&mut self, character: char) {
        self.push_unsealed(character);
        self.seal();
    }

    /// Returns the number of bytes.
    fn push_ascii(&mut self, run: impl Iterator<Item = u8>) -> usize {
        let before = self.bytes.len();
        self.bytes.extend(run);
        let length = self.bytes.len() - before;
        self.characters += length;
        if self.characters > self.max_characters {
            self.bytes.clear();
        }
        self.seal();
        length
    }

    /// NFD sorts the marks that follow upon each other by their combining classes, and leaves those of
    /// one class in their order.
    fn insert(&mut self, mark: char) {
        let before = self.bytes.len();
        self.push_unsealed(mark);
        let mark_bytes = self.bytes.len() - before;
        let unsealed = self
            .bytes
            .get(self.sealed_bytes..before)
            .unwrap_or_default();
        let unsealed = std::str::from_utf8(unsealed).unwrap_or_default();
        let follow = |earlier: &char| combining_class(*earlier) > combining_class(mark);
        let following_bytes: usize = unsealed
            .chars()
            .rev()
            .take_while(follow)
            .map(char::len_utf8)
            .sum();
        if mark_bytes > 0 {
            self.bytes[before - following_bytes..].rotate_right(mark_bytes);
        }
    }

    fn seal(&mut self) {
        self.sealed_bytes = self.bytes.len();
    }

    /// The bytes of words that are too long are not kept.
    fn push_unsealed(&mut self, character: char) {
        self.characters += 1;
        if self.characters <= self.max_characters {
            let mut buffer = [0; 4];
            self.bytes
                .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// The flags of a character that is not ASCII. Of the others no step here asks.
fn class_of(character: char) -> u32 {
    let code = u32::from(character);
    let following = CLASSES.partition_point(|range| range >> FLAG_BITS <= code);
    CLASSES[following - 1] & ((1 << FLAG_BITS) - 1)
}

/// Calls `base` with the characters of a canonical decomposition that are no nonspacing marks.
fn for_each_base(character: char, mut base: impl FnMut(char)) {
    let code = u32::from(character);
    let following = DECOMPOSITION_RUNS.partition_point(|&(start, _)| start <= code);
    let (start, offset) = DECOMPOSITION_RUNS[following - 1];
    let value = u32::from(DECOMPOSITIONS[usize::from(offset) + (code - start) as usize]);
    match char::from_u32(value) {
        Some(only) => base(only),
        // No character has a surrogate's number.
        None => {
            for entry in &LONG_DECOMPOSITIONS[(value - 0xD800) as usize..] {
                base(char::from_u32(entry >> 1).unwrap_or_default());
                if entry & 1 == 1 {
                    break;
                }
            }
        }
    }
}

fn combining_class(mark: char) -> u8 {
    let found = COMBINING_CLASSES
        .iter()
        .find(|(range, _)| range.contains(&mark));
    found.map_or(0, |(_, class)| *class)
}

/// A Hangul syllable's leading consonant, vowel and trailing consonant: The Unicode Standard, section
/// 3.12, "Hangul Syllable Decomposition".
pub(super) fn hangul_jamos(syllable: char) -> Option<[Option<char>; 3]> {
    const FIRST_SYLLABLE: u32 = 0xAC00;
    const SYLLABLES: u32 = 19 * VOWELS * TRAILERS;
    const VOWELS: u32 = 21;
    const TRAILERS: u32 = 28;
    let index = u32::from(syllable).checked_sub(FIRST_SYLLABLE)?;
    if index >= SYLLABLES {
        return None;
    }
    let trailer = index % TRAILERS;
    Some([
        char::from_u32(0x1100 + index / TRAILERS / VOWELS),
        char::from_u32(0x1161 + index / TRAILERS % VOWELS),
        if trailer > 0 {
            char::from_u32(0x11A7 + trailer)
        } else {
            None
        },
    ])
}

/// Those that BERT calls Chinese: `_is_chinese_char` of google-research/bert's tokenization.py, in which
/// U+2B820 to U+2B91F are missing.
fn is_chinese(character: char) -> bool {
    matches!(character,
        '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B81F}'
        | '\u{2B920}'..='\u{2CEAF}'
        | '\u{2F800}'..='\u{2FA1F}')
}
