//! The tables of text_cleaning.rs, out of the very crates that Hugging Face's `tokenizers` takes its
//! categories and decompositions from.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UNICODE_VERSION;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

use super::array;

const REMOVED: u32 = 1;
const PUNCTUATION: u32 = 1 << 1;
const MARK: u32 = 1 << 2;
const NONSTARTER: u32 = 1 << 3;
const DECOMPOSES: u32 = 1 << 4;
const FLAG_BITS: u32 = 5;

pub fn tables() -> String {
    let characters = characters();
    let (major, minor, update) = UNICODE_VERSION;
    let mut out = format!(
        "//! Generated: cargo run --example make_unicode_tables
//!
//! The categories of the crate unicode_categories 0.1.1, which are Unicode 8.0.0, and the decompositions
//! and combining classes of unicode-normalization-alignments 0.1.12, which are Unicode {major}.{minor}.{update}: the tables of
//! Hugging Face's `tokenizers` 0.23.

/// Control, format and private-use characters.
pub const REMOVED: u32 = {REMOVED};
pub const PUNCTUATION: u32 = {PUNCTUATION};
/// Nonspacing marks.
pub const MARK: u32 = {MARK};
/// Combining class other than 0; of a mark, that of all that it decomposes to.
pub const NONSTARTER: u32 = {NONSTARTER};
/// Has an entry in `DECOMPOSITIONS`.
pub const DECOMPOSES: u32 = {DECOMPOSES};
pub const FLAG_BITS: u32 = {FLAG_BITS};

"
    );
    array(
        &mut out,
        "From which code point on (shifted by `FLAG_BITS`) characters have which flags; 0 for ASCII.",
        "CLASSES",
        "u32",
        &classes(&characters)
            .map(|(start, flags)| format!("{:#X}", start << FLAG_BITS | flags))
            .collect::<Vec<_>>(),
    );
    let Decompositions { runs, values, long } = decompositions(&characters);
    array(
        &mut out,
        "The first of consecutive code points that decompose, and where their entries in `DECOMPOSITIONS` begin.",
        "DECOMPOSITION_RUNS",
        "(u32, u16)",
        &runs
            .iter()
            .map(|(start, offset)| format!("({start:#X}, {offset})"))
            .collect::<Vec<_>>(),
    );
    array(
        &mut out,
        "The canonical decomposition without its nonspacing marks, where that is one character below U+10000;\n\
         /// otherwise 0xD800 and where it begins in `LONG_DECOMPOSITIONS`.",
        "DECOMPOSITIONS",
        "u16",
        &values
            .iter()
            .map(|value| format!("{value:#X}"))
            .collect::<Vec<_>>(),
    );
    array(
        &mut out,
        "Twice the code point, and 1 more for the last of a decomposition.",
        "LONG_DECOMPOSITIONS",
        "u32",
        &long
            .iter()
            .map(|entry| format!("{entry:#X}"))
            .collect::<Vec<_>>(),
    );
    array(
        &mut out,
        "Of nonstarters that are no nonspacing marks.",
        "COMBINING_CLASSES",
        "(core::ops::RangeInclusive<char>, u8)",
        &combining_classes(&characters),
    );
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// All characters but ASCII, with their flags.
fn characters() -> Vec<(char, u32)> {
    let all_but_ascii = '\u{80}'..=char::MAX;
    all_but_ascii
        .map(|character| (character, flags(character)))
        .collect()
}

/// Where flags change.
fn classes(characters: &[(char, u32)]) -> impl Iterator<Item = (u32, u32)> {
    let mut last = None;
    std::iter::once((0, 0))
        .chain(
            characters
                .iter()
                .map(|&(character, flags)| (character.into(), flags)),
        )
        .filter(move |&(_, flags)| {
            let changes = last != Some(flags);
            last = Some(flags);
            changes
        })
}

fn flags(character: char) -> u32 {
    let mut flags = 0;
    if character.is_other() {
        flags |= REMOVED;
    }
    if character.is_punctuation() {
        flags |= PUNCTUATION;
    }
    if character.is_mark_nonspacing() {
        flags |= MARK;
    }
    // A mark takes part in sorting as what it decomposes to.
    let parts = decomposition(character);
    if parts
        .iter()
        .all(|&part| canonical_combining_class(part) != 0)
    {
        flags |= NONSTARTER;
        assert!(
            flags & PUNCTUATION == 0 && character.to_lowercase().eq([character]),
            "{character:?}"
        );
    }
    match bases(character) {
        Some(bases) if bases.is_empty() => assert!(flags & MARK != 0, "{character:?}"),
        Some(_) => flags |= DECOMPOSES,
        None => {}
    }
    flags
}

/// What is left of a decomposition without nonspacing marks; nothing for a character that does not decompose, and for Hangul,
/// which decomposes by arithmetic.
fn bases(character: char) -> Option<Vec<char>> {
    let decomposition = decomposition(character);
    if decomposition == [character] || ('\u{AC00}'..='\u{D7A3}').contains(&character) {
        return None;
    }
    Some(
        decomposition
            .into_iter()
            .filter(|part| !part.is_mark_nonspacing())
            .collect(),
    )
}

fn decomposition(character: char) -> Vec<char> {
    let mut parts = Vec::new();
    decompose_canonical(character, |part| parts.push(part));
    parts
}

struct Decompositions {
    runs: Vec<(u32, u16)>,
    values: Vec<u16>,
    long: Vec<u32>,
}

fn decompositions(characters: &[(char, u32)]) -> Decompositions {
    let mut tables = Decompositions {
        runs: Vec::new(),
        values: Vec::new(),
        long: Vec::new(),
    };
    let mut next = 0;
    for &(character, _) in characters
        .iter()
        .filter(|(_, flags)| flags & DECOMPOSES != 0)
    {
        let code = u32::from(character);
        if code != next {
            tables.runs.push((code, tables.values.len() as u16));
        }
        next = code + 1;
        let bases = bases(character).unwrap();
        let value = match bases[..] {
            [only] if u32::from(only) < 0x10000 => u32::from(only) as u16,
            _ => {
                let place = u16::try_from(tables.long.len()).unwrap();
                assert!(place < 0x800);
                tables
                    .long
                    .extend(bases.iter().map(|&base| u32::from(base) << 1));
                *tables.long.last_mut().unwrap() |= 1;
                0xD800 + place
            }
        };
        tables.values.push(value);
    }
    tables
}

fn combining_classes(characters: &[(char, u32)]) -> Vec<String> {
    let mut ranges: Vec<(char, char, u8)> = Vec::new();
    let are_sorted = characters
        .iter()
        .filter(|(_, flags)| flags & (NONSTARTER | MARK) == NONSTARTER);
    for &(character, _) in are_sorted {
        let class = canonical_combining_class(character);
        match ranges.last_mut() {
            Some((_, end, of)) if *of == class && u32::from(*end) + 1 == u32::from(character) => {
                *end = character
            }
            _ => ranges.push((character, character, class)),
        }
    }
    ranges
        .iter()
        .map(|(start, end, class)| {
            format!(
                "('\\u{{{:X}}}'..='\\u{{{:X}}}', {class})",
                u32::from(*start),
                u32::from(*end)
            )
        })
        .collect()
}
