//! The tables of text_folding.rs.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

use super::array;

/// What a character is, in the lowest bits of a class; a mark's canonical combining class stands above.
const DROPPED: u32 = 1;
const MARK: u32 = 2;
const PUNCTUATION: u32 = 3;
const DECOMPOSES: u32 = 4;
const KIND_BITS: u32 = 3;
const CLASS_BITS: u32 = KIND_BITS + 8;

/// Letters that no decomposition leads from to those that people write instead.
const LETTERS: [(char, &str); 23] = [
    ('ß', "ss"),
    ('ẞ', "SS"),
    ('æ', "ae"),
    ('Æ', "Ae"),
    ('œ', "oe"),
    ('Œ', "Oe"),
    ('ø', "o"),
    ('Ø', "O"),
    ('đ', "d"),
    ('Đ', "D"),
    ('ð', "d"),
    ('Ð', "D"),
    ('þ', "th"),
    ('Þ', "Th"),
    ('ħ', "h"),
    ('Ħ', "H"),
    ('ł', "l"),
    ('Ł', "L"),
    ('ŧ', "t"),
    ('Ŧ', "T"),
    ('ı', "i"),
    ('ς', "σ"),
    ('\u{2044}', "/"),
];

pub fn tables() -> String {
    let (major, minor, update) = unicode_normalization::UNICODE_VERSION;
    let (category_major, category_minor, category_update) =
        unicode_general_category::UNICODE_VERSION;
    let mut out = format!(
        "//! Generated: cargo run --example make_unicode_tables
//!
//! Decompositions, marks and combining classes of Unicode {major}.{minor}.{update} (the crate unicode-normalization); punctuation,
//! control and format characters of Unicode {category_major}.{category_minor}.{category_update} (unicode-general-category).

/// Ignorable, a control character or an accent.
pub const DROPPED: u32 = {DROPPED};
/// Any other combining mark.
pub const MARK: u32 = {MARK};
pub const PUNCTUATION: u32 = {PUNCTUATION};
/// Has an entry in `DECOMPOSITIONS`.
pub const DECOMPOSES: u32 = {DECOMPOSES};
/// Of a class those that say which of these it is; a mark's combining class stands above them.
pub const KIND_BITS: u32 = {KIND_BITS};
pub const CLASS_BITS: u32 = {CLASS_BITS};

"
    );
    let characters: Vec<(char, u32)> = ('\u{80}'..=char::MAX)
        .map(|character| (character, class(character)))
        .collect();
    let mut classes = vec!["0x0".to_string()];
    let mut last = 0;
    for &(character, class) in &characters {
        if class != last {
            classes.push(format!("{:#X}", u32::from(character) << CLASS_BITS | class));
            last = class;
        }
    }
    array(
        &mut out,
        "From which code point on (shifted by `CLASS_BITS`) characters have which class.",
        "CLASSES",
        "u32",
        &classes,
    );
    let (mut runs, mut values, mut long) = (Vec::new(), Vec::new(), Vec::<u16>::new());
    let mut next = 0;
    for &(character, _) in characters.iter().filter(|(_, class)| *class == DECOMPOSES) {
        if u32::from(character) != next {
            runs.push(format!("({:#X}, {})", u32::from(character), values.len()));
        }
        next = u32::from(character) + 1;
        let units: Vec<u16> = folded(character).encode_utf16().collect();
        values.push(match units[..] {
            [unit] => format!("{unit:#X}"),
            _ => {
                let entry = [&[units.len() as u16], &units[..]].concat();
                let found = long.windows(entry.len()).position(|window| window == entry);
                let place = found.unwrap_or_else(|| {
                    long.extend(entry);
                    long.len() - units.len() - 1
                });
                format!("{:#X}", FIRST_LONG + u16::try_from(place).unwrap())
            }
        });
    }
    assert!(long.len() < usize::from(END_LONG - FIRST_LONG));
    array(
        &mut out,
        "The first of consecutive code points that decompose, and where their entries in `DECOMPOSITIONS` begin.",
        "DECOMPOSITION_RUNS",
        "(u32, u16)",
        &runs,
    );
    array(
        &mut out,
        "The character that is left of a decomposition; or 0xE000, which no decomposition has, and where it\n\
         /// stands in `LONG_DECOMPOSITIONS`.",
        "DECOMPOSITIONS",
        "u16",
        &values,
    );
    let long: Vec<String> = long.iter().map(|unit| format!("{unit:#X}")).collect();
    array(
        &mut out,
        "The number of UTF-16 units, and these.",
        "LONG_DECOMPOSITIONS",
        "u16",
        &long,
    );
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The area for private use, where nothing decomposes to.
const FIRST_LONG: u16 = 0xE000;
const END_LONG: u16 = 0xF900;

fn class(character: char) -> u32 {
    use GeneralCategory as G;
    let category = get_general_category(character);
    if is_accent(character)
        || is_ignorable(character)
        || (matches!(category, G::Control | G::Format) && !character.is_whitespace())
    {
        return DROPPED;
    }
    if ('\u{AC00}'..='\u{D7A3}').contains(&character) {
        return 0;
    }
    if !folded(character).chars().eq([character]) {
        return DECOMPOSES;
    }
    if unicode_normalization::char::is_combining_mark(character) {
        return MARK | u32::from(canonical_combining_class(character)) << KIND_BITS;
    }
    match category {
        G::ConnectorPunctuation
        | G::DashPunctuation
        | G::OpenPunctuation
        | G::ClosePunctuation
        | G::InitialPunctuation
        | G::FinalPunctuation
        | G::OtherPunctuation => PUNCTUATION,
        _ => 0,
    }
}

/// NFKD, but for what is dropped.
fn folded(character: char) -> String {
    let mut folded = String::new();
    let mut base = None;
    decompose_compatible(character, |part| {
        if !is_accent(part) && !is_ignorable(part)
            || base.is_some_and(|base| is_letter_with(base, part))
        {
            match LETTERS.iter().find(|(letter, _)| *letter == part) {
                Some((_, letters)) => folded.push_str(letters),
                None => folded.push(part),
            }
        }
        base = Some(part);
    });
    folded
}

/// Marks that people leave out, or that other people leave out: those of Latin, Greek and Cyrillic, and the vowels of
/// Hebrew and Arabic. Those of other scripts make other letters.
fn is_accent(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5BD}' | '\u{5BF}' | '\u{5C1}' | '\u{5C2}' | '\u{5C4}'
        | '\u{5C5}' | '\u{5C7}' | '\u{64B}'..='\u{652}' | '\u{670}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FB1E}' | '\u{FE20}'..='\u{FE2F}')
        && unicode_normalization::char::is_combining_mark(character)
}

/// й, ў and ї, which are letters of their own.
fn is_letter_with(base: char, accent: char) -> bool {
    matches!(
        (base, accent),
        ('и' | 'И' | 'у' | 'У', '\u{306}') | ('і' | 'І', '\u{308}')
    )
}

/// Default_Ignorable_Code_Point of DerivedCoreProperties.txt, which has been the same since Unicode 11.
fn is_ignorable(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}
