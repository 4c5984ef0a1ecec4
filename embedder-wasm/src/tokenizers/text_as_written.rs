//! The tokenizer `text-as-written`: words, numbers and symbols of any script, whole and in parts.
//!
//! The text is folded first (text_folding.rs). What is written joined by some and apart by others (getUserById,
//! RTX4090, 3m) gives the whole and its parts; what differs by order, sign or symbol (dates, -40, C#) gives
//! a whole that differs. All tokens are in lower case.

use std::ops::RangeInclusive;

use super::TableRows;
use super::hashed_rows::{STEM_KEY, WORD_KEY, hash};
use super::text_folding::{fold, is_mark, is_punctuation};
use super::token_count::TokenCount;
use super::words_and_stems::{Hashes, hashes_of_english, is_unspaced};

/// Runs of so many characters of a token, its ends marked, have rows where the token has none of its own.
const GRAM_CHARACTERS: RangeInclusive<usize> = 3..=5;
/// Of a longer token only so many characters are read for them.
const MAX_GRAM_CHARACTERS: usize = 40;
/// Of a character, at most.
const UTF8_BYTES: usize = 4;
const TOKEN_START: u8 = b'<';
const TOKEN_END: u8 = b'>';

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A word, or a part of a whole that is letters.
    Word,
    /// A number without its sign, or a part of a whole that is digits.
    Number,
    /// What also came in its parts: of mixed case, of letters and digits, with separators, a sign or symbols.
    Whole,
    /// A character of a script without spaces, with the next one.
    Pair,
    /// An operator, a currency, an emoji or another symbol.
    Symbol,
    /// A punctuation character, of a text that has no other tokens.
    Punctuation,
}

/// Counts a text's words: a whole and its parts are one, and so is a character and its pair.
pub fn count_words(text: &str) -> usize {
    for_each_token(text, 0, |_, _| true).tokens
}

/// Calls `row` with each row of the first `max_words` words of a text, in order, and `stem` with what each token's
/// places in the lexical part are taken from; counts all words.
///
/// A token that has a row of its own has that one, and where it is a whole its parts are not read. A token that has none
/// has that of the word it is a misspelling of, or else those of its character n-grams; but a whole of letters and digits
/// alone is only its parts.
#[inline(never)]
pub fn for_each_row(
    text: &str,
    rows: TableRows,
    max_words: usize,
    mut row: impl FnMut(u32),
    mut stem: impl FnMut(u64),
) -> TokenCount {
    for_each_token(text, max_words, |kind, token| {
        let hashes = if token.bytes().all(|byte| byte.is_ascii_lowercase()) {
            hashes_of_english(token)
        } else {
            Hashes {
                word_hash: hash(WORD_KEY, token.as_bytes()),
                stem_hash: hash(STEM_KEY, token.as_bytes()),
            }
        };
        if let Some(own_row) = rows.own.row_of(hashes.word_hash) {
            row(own_row);
            stem(hashes.stem_hash);
            return false;
        }
        if kind == Kind::Whole && token.chars().all(is_of_words) {
            return true;
        }
        match rows.own.row_of_misspelt(token) {
            Some(own_row) => row(own_row),
            None => for_each_gram_row(token, rows, &mut row),
        }
        stem(hashes.stem_hash);
        true
    })
}

/// Calls `row` with the row of each n-gram of a token.
pub fn for_each_gram_row(token: &str, rows: TableRows, mut row: impl FnMut(u32)) {
    let first_shared = rows.own.first_shared_row();
    let shared = (rows.vocab_size - first_shared) as u64;
    for_each_gram(token, |gram| {
        row(first_shared as u32 + (gram % shared) as u32)
    });
}

/// Calls `gram` with the hash of each n-gram of a token: FNV-1a of its bytes, in 64 bits, the upper half then added to the
/// lower one by exclusive or.
fn for_each_gram(token: &str, mut gram: impl FnMut(u64)) {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01B3;
    let mut marked = [TOKEN_START; 2 + MAX_GRAM_CHARACTERS * UTF8_BYTES];
    let end = token.char_indices().nth(MAX_GRAM_CHARACTERS);
    let read = end.map_or(token, |(end, _)| &token[..end]);
    marked[1..=read.len()].copy_from_slice(read.as_bytes());
    marked[1 + read.len()] = TOKEN_END;
    let marked = &marked[..1 + read.len() + usize::from(end.is_none())];
    let begins_a_character = |place: usize| {
        marked
            .get(place)
            .is_none_or(|byte| !(0x80..0xC0).contains(byte))
    };
    for start in (0..marked.len()).filter(|&start| begins_a_character(start)) {
        let mut state = OFFSET;
        let mut characters = 0;
        for (place, &byte) in marked.iter().enumerate().skip(start) {
            state = (state ^ u64::from(byte)).wrapping_mul(PRIME);
            if begins_a_character(place + 1) {
                characters += 1;
                if GRAM_CHARACTERS.contains(&characters) {
                    gram(state ^ state >> 32);
                }
                if characters == *GRAM_CHARACTERS.end() {
                    break;
                }
            }
        }
    }
}

/// Calls `token` with each token of the first `max_words` words of a text, and counts all words. A whole comes before its
/// parts, which are left out where `token` returns false.
pub fn for_each_token(
    text: &str,
    max_words: usize,
    mut token: impl FnMut(Kind, &str) -> bool,
) -> TokenCount {
    let text = fold(text);
    let mut reader = Reader {
        text: &text,
        place: 0,
        lower: String::with_capacity(64),
        words: 0,
        max_words,
        token: &mut token,
    };
    reader.read();
    let mut words = reader.words;
    if words == 0 {
        let mut buffer = [0; 4];
        for character in text.chars().filter(|&character| is_punctuation(character)) {
            if words < max_words {
                token(Kind::Punctuation, character.encode_utf8(&mut buffer));
            }
            words += 1;
        }
    }
    TokenCount::cut_at(max_words, words)
}

struct Reader<'a, F> {
    text: &'a str,
    /// Where the next token begins.
    place: usize,
    lower: String,
    words: usize,
    max_words: usize,
    token: F,
}

impl<F: FnMut(Kind, &str) -> bool> Reader<'_, F> {
    fn read(&mut self) {
        while let Some(character) = self.next() {
            if is_unspaced(character) && is_of_words(character) {
                self.read_unspaced();
            } else if is_of_words(character) {
                self.read_word();
            } else {
                if is_symbol(character) && !self.is_sign(character) {
                    self.read_symbol(character);
                }
                self.place += character.len_utf8();
            }
        }
    }

    fn next(&self) -> Option<char> {
        self.text[self.place..].chars().next()
    }

    fn previous(&self) -> Option<char> {
        self.text[..self.place].chars().next_back()
    }

    /// Each character of a script without spaces is a word.
    fn read_unspaced(&mut self) {
        let end = self.place + run_length(&self.text[self.place..], is_unspaced);
        let run = &self.text[self.place..end];
        let mut rest = run;
        while !rest.is_empty() {
            let length = cluster_length(rest);
            self.words += 1;
            self.emit(Kind::Word, &rest[..length]);
            let next_length = cluster_length(&rest[length..]);
            if next_length > 0 {
                self.emit(Kind::Pair, &rest[..length + next_length]);
            }
            rest = &rest[length..];
        }
        self.place = end;
    }

    fn read_word(&mut self) {
        self.words += 1;
        let rest = &self.text[self.place..];
        if !self.text[..self.place].ends_with('.')
            && let Some(length) = plain_length(rest)
        {
            self.emit(Kind::Word, &rest[..length]);
            self.place += length;
            return;
        }
        let run = word_length(rest);
        let compound = run + compound_length(&rest[..run], &rest[run..]);
        let suffix = suffix_length(&rest[..compound], &rest[compound..]);
        let whole = &rest[..compound + suffix];
        let prefix = if suffix > 0 { "" } else { self.prefix(whole) };
        self.place += whole.len();
        if self.words <= self.max_words {
            self.emit_whole_and_parts(prefix, whole, suffix > 0);
        }
    }

    fn emit_whole_and_parts(&mut self, prefix: &str, whole: &str, has_suffix: bool) {
        let number = without_thousands(whole);
        let whole = number.as_deref().unwrap_or(whole);
        if !prefix.is_empty() && !self.emit(Kind::Whole, &[prefix, whole].concat()) {
            return;
        }
        if number.is_some() {
            self.emit(Kind::Number, whole);
            return;
        }
        let parts = parts(whole);
        let has_parts = parts.len() > 1 || has_suffix;
        if has_parts && !self.emit(Kind::Whole, whole) {
            return;
        }
        for part in parts {
            let is_number = part.starts_with(|first: char| first.is_numeric());
            self.emit(if is_number { Kind::Number } else { Kind::Word }, part);
        }
    }

    /// The sign of a number, or the dot of a name like .NET.
    fn prefix(&self, whole: &str) -> &'static str {
        let before = self.previous();
        let first = whole.chars().next().unwrap_or_default();
        let sign = match before {
            Some('-' | '\u{2212}') if first.is_numeric() => "-",
            Some('+') if first.is_numeric() => "+",
            Some('.') if first.is_uppercase() => ".",
            _ => return "",
        };
        let before_sign = before.map_or(0, char::len_utf8);
        let is_joined = self.text[..self.place - before_sign]
            .chars()
            .next_back()
            .is_some_and(|character| {
                is_of_words(character) || is_mark(character) || matches!(character, ')' | ']' | '.')
            });
        if is_joined { "" } else { sign }
    }

    /// Whether the number behind a plus or minus has it.
    fn is_sign(&self, character: char) -> bool {
        matches!(character, '+' | '\u{2212}')
            && !self.previous().is_some_and(is_of_words)
            && self.text[self.place + character.len_utf8()..]
                .starts_with(|next: char| next.is_numeric())
    }

    /// Two regional indicators are one flag. The tone of a skin is no token.
    fn read_symbol(&mut self, symbol: char) {
        if ('\u{1F3FB}'..='\u{1F3FF}').contains(&symbol) && self.previous().is_some_and(is_symbol) {
            return;
        }
        let is_regional = |character: &char| ('\u{1F1E6}'..='\u{1F1FF}').contains(character);
        let mut length = symbol.len_utf8();
        let following = self.text[self.place + length..].chars().next();
        if let Some(second) = following.filter(is_regional)
            && is_regional(&symbol)
        {
            length += second.len_utf8();
        }
        let text = self.text;
        self.words += 1;
        self.emit(Kind::Symbol, &text[self.place..self.place + length]);
        self.place += length - symbol.len_utf8();
    }

    /// Whether the parts of what was emitted are wanted.
    fn emit(&mut self, kind: Kind, text: &str) -> bool {
        if self.words > self.max_words {
            return false;
        }
        self.lower.clear();
        if text.is_ascii() {
            self.lower.push_str(text);
            self.lower.make_ascii_lowercase();
            if text.as_bytes().contains(&b'\'') {
                self.lower.retain(|character| !is_apostrophe(character));
            }
        } else {
            self.lower.extend(text.chars().flat_map(char::to_lowercase));
            self.lower.retain(|character| !is_apostrophe(character));
        }
        (self.token)(kind, &self.lower)
    }
}

fn is_of_words(character: char) -> bool {
    character.is_alphanumeric()
}

/// Operators, currencies, emoji, and what is assigned after the tables; of ASCII those that prose does without.
fn is_symbol(character: char) -> bool {
    match character {
        '+' | '<' | '>' | '=' | '^' | '|' | '~' | '$' | '%' | '&' | '*' | '#' | '@' | '\\' => true,
        _ if character.is_ascii() => false,
        _ => {
            !(character.is_alphanumeric()
                || character.is_whitespace()
                || is_mark(character)
                || is_punctuation(character))
        }
    }
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}')
}

/// The bytes of a word that needs no more looking at, as most do: letters, none but the first in upper case, and nothing behind
/// them that could be joined to them.
fn plain_length(text: &str) -> Option<usize> {
    let mut length = match text.as_bytes()[0] {
        first if first.is_ascii_alphabetic() => 1,
        first if first.is_ascii() => return None,
        _ => text
            .chars()
            .next()
            .filter(|first| first.is_alphabetic())?
            .len_utf8(),
    };
    loop {
        length += text[length..]
            .bytes()
            .take_while(u8::is_ascii_lowercase)
            .count();
        let Some(next) = text[length..].chars().next() else {
            return Some(length);
        };
        if next.is_ascii() {
            let may_join = next.is_ascii_alphanumeric()
                || matches!(next, '+' | '#' | '\'')
                || next == '-' && length <= 2;
            return (!may_join).then_some(length);
        }
        if is_unspaced(next) || !next.is_alphabetic() || next.is_uppercase() {
            let may_join =
                is_of_words(next) || is_mark(next) || matches!(next, '\u{2019}' | '\u{2212}');
            return (!may_join).then_some(length);
        }
        length += next.len_utf8();
    }
}

/// The bytes of a run of letters, digits and their marks in scripts with spaces; an apostrophe between two
/// letters is part of it.
fn word_length(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let goes_on = is_of_words(character) && !is_unspaced(character)
            || is_mark(character)
            || is_apostrophe(character)
                && characters
                    .peek()
                    .is_some_and(|&(_, next)| next.is_alphabetic() && !is_unspaced(next));
        if !goes_on {
            return index;
        }
    }
    text.len()
}

fn run_length(text: &str, is_of_run: impl Fn(char) -> bool) -> usize {
    let end = text.char_indices().find(|&(_, character)| {
        !(is_of_words(character) && is_of_run(character) || is_mark(character))
    });
    end.map_or(text.len(), |(index, _)| index)
}

/// The bytes of a character and the marks behind it.
fn cluster_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    characters
        .find(|&(_, character)| !is_mark(character))
        .map_or(text.len(), |(index, _)| index)
}

/// The bytes of separators and digits (dates, versions, addresses) behind a run that ends in a digit.
fn compound_length(run: &str, rest: &str) -> usize {
    if !run.ends_with(|last: char| last.is_numeric()) {
        return 0;
    }
    let mut length = 0;
    while let Some(separator) = rest[length..].chars().next()
        && matches!(separator, '.' | ',' | '-' | '/' | ':')
        && rest[length + 1..].starts_with(|next: char| next.is_numeric())
    {
        length += 1 + word_length(&rest[length + 1..]);
        if !rest[..length].ends_with(|last: char| last.is_numeric()) {
            break;
        }
    }
    length
}

/// The bytes of the symbols behind C++, C# and O+, or of the minus of a blood group.
fn suffix_length(word: &str, rest: &str) -> usize {
    if !word.ends_with(char::is_alphabetic) {
        return 0;
    }
    let symbols = rest
        .bytes()
        .take_while(|byte| matches!(byte, b'+' | b'#'))
        .count();
    let is_group = matches!(word, "A" | "B" | "AB" | "O") && rest.starts_with(['-', '\u{2212}']);
    let length = match symbols {
        0 if is_group => rest.chars().next().map_or(0, char::len_utf8),
        symbols => symbols,
    };
    let is_joined =
        rest[length..].starts_with(|next: char| is_of_words(next) || next == '=' || next == '-');
    if is_joined { 0 } else { length }
}

/// 2400000 for 2,400,000.
fn without_thousands(whole: &str) -> Option<String> {
    let (integer, fraction) = whole.split_once('.').unwrap_or((whole, "0"));
    let mut groups = integer.split(',');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next()?;
    let all_are_numbers = is_number(first) && is_number(fraction) && first.len() <= 3;
    let has_groups = groups.clone().next().is_some();
    (all_are_numbers && has_groups && groups.all(|group| group.len() == 3 && is_number(group)))
        .then(|| whole.replace(',', ""))
}

/// The runs of one case (the first letter aside) or of digits that a word consists of. A plural's small s after capitals
/// is no part.
fn parts(whole: &str) -> Vec<&str> {
    let is_separator = |character: char| {
        !(is_of_words(character) || is_mark(character) || is_apostrophe(character))
    };
    let mut parts = Vec::with_capacity(4);
    for run in whole.split(is_separator).filter(|run| !run.is_empty()) {
        let mut start = 0;
        let mut characters = run
            .char_indices()
            .filter(|&(_, character)| !is_mark(character) && !is_apostrophe(character))
            .peekable();
        let mut before = None;
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|&(_, next)| next);
            if before.is_some_and(|before| is_boundary(before, character, next, &run[index..])) {
                parts.push(&run[start..index]);
                start = index;
            }
            before = Some(character);
        }
        parts.push(&run[start..]);
    }
    parts
}

fn is_boundary(before: char, character: char, next: Option<char>, rest: &str) -> bool {
    if before.is_numeric() != character.is_numeric() {
        return true;
    }
    if !character.is_uppercase() {
        return false;
    }
    let begins_a_word =
        next.is_some_and(char::is_lowercase) && !(rest.len() == 2 && rest.ends_with('s'));
    before.is_lowercase() || before.is_uppercase() && begins_a_word
}
