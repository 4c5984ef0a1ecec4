//! One spelling for what people spell in several ways: text in NFKD, without accents, ignorable and control characters.
//!
//! In NFKD canonically equal texts are equal, and so are ligatures, full-width letters and circled digits with what
//! they stand for. Accents are the marks of Latin, Greek and Cyrillic (but for й, ў and ї) and the vowels of
//! Hebrew and Arabic; a few letters without a decomposition become those that are written instead
//! of them (ø, ß, æ). The marks of other scripts make other letters and stay. Case stays too.
//! make_unicode_tables has the lists.

use std::borrow::Cow;

use super::folding_tables::{
    CLASS_BITS, CLASSES, DECOMPOSES, DECOMPOSITION_RUNS, DECOMPOSITIONS, DROPPED, KIND_BITS,
    LONG_DECOMPOSITIONS, MARK, PUNCTUATION,
};
use super::text_cleaning::hangul_jamos;

pub fn fold(text: &str) -> Cow<'_, str> {
    // Nearly all texts in English end here. The control characters of ASCII end words, as space does.
    if text.is_ascii() {
        return text.into();
    }
    let mut folded = Folded {
        text: String::with_capacity(text.len()),
        base: '\0',
        base_end: 0,
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character.is_ascii() {
            let length = rest.bytes().take_while(u8::is_ascii).count();
            folded.push_ascii(&rest[..length]);
            rest = &rest[length..];
        } else {
            folded.push_all_of(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    folded.text.into()
}

/// Whether a character of a folded text is a combining mark: part of what it stands behind.
pub fn is_mark(character: char) -> bool {
    // Accents are dropped, but for those that make a letter.
    !character.is_ascii()
        && (kind(class_of(character)) == MARK || matches!(character, '\u{306}' | '\u{308}'))
}

pub fn is_punctuation(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_punctuation()
    } else {
        kind(class_of(character)) == PUNCTUATION
    }
}

struct Folded {
    text: String,
    /// The last character that is no mark, and where the text behind it begins.
    base: char,
    base_end: usize,
}

impl Folded {
    fn push_ascii(&mut self, run: &str) {
        self.text.push_str(run);
        self.base = run.chars().next_back().unwrap_or(self.base);
        self.base_end = self.text.len();
    }

    fn push_all_of(&mut self, character: char) {
        if let Some(jamos) = hangul_jamos(character) {
            jamos
                .into_iter()
                .flatten()
                .for_each(|jamo| self.push_base(jamo));
            return;
        }
        let class = class_of(character);
        if kind(class) == DECOMPOSES {
            for_each_part(character, |part| self.push(part, class_of(part)));
        } else {
            self.push(character, class);
        }
    }

    fn push(&mut self, character: char, class: u32) {
        match kind(class) {
            DROPPED if self.makes_a_letter(character) => self.insert(character),
            DROPPED => {}
            MARK if combining_class(character) > 0 => self.insert(character),
            _ => self.push_base(character),
        }
    }

    fn push_base(&mut self, base: char) {
        self.text.push(base);
        self.base = base;
        self.base_end = self.text.len();
    }

    /// й, ў and ї are no и, у and і.
    fn makes_a_letter(&self, accent: char) -> bool {
        matches!(
            (self.base, accent),
            ('и' | 'И' | 'у' | 'У', '\u{306}') | ('і' | 'І', '\u{308}')
        )
    }

    /// The canonical order: by combining class, and those of one class as they came.
    fn insert(&mut self, mark: char) {
        let class = combining_class(mark);
        let marks = self.text[self.base_end..].char_indices().rev();
        let following = marks
            .take_while(|&(_, earlier)| combining_class(earlier) > class)
            .last();
        let place = following.map_or(self.text.len(), |(index, _)| self.base_end + index);
        self.text.insert(place, mark);
    }
}

/// Calls `part` with each character of a decomposition.
fn for_each_part(character: char, mut part: impl FnMut(char)) {
    let code = u32::from(character);
    let following = DECOMPOSITION_RUNS.partition_point(|&(start, _)| start <= code);
    let (start, offset) = DECOMPOSITION_RUNS[following - 1];
    let value = DECOMPOSITIONS[usize::from(offset) + (code - start) as usize];
    match value {
        0xE000..0xF900 => {
            let entry = &LONG_DECOMPOSITIONS[usize::from(value - 0xE000)..];
            let units = &entry[1..=usize::from(entry[0])];
            char::decode_utf16(units.iter().copied())
                .flatten()
                .for_each(part);
        }
        unit => part(char::from_u32(unit.into()).unwrap_or_default()),
    }
}

fn class_of(character: char) -> u32 {
    let code = u32::from(character);
    let following = CLASSES.partition_point(|range| range >> CLASS_BITS <= code);
    CLASSES[following - 1] & ((1 << CLASS_BITS) - 1)
}

fn kind(class: u32) -> u32 {
    class & ((1 << KIND_BITS) - 1)
}

fn combining_class(mark: char) -> u32 {
    match mark {
        '\u{306}' | '\u{308}' => 230,
        _ => class_of(mark) >> KIND_BITS,
    }
}
