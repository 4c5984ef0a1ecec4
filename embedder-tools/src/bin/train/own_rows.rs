//! Tokens that get rows of their own, and what they start as.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::tokenizers::Tokenizer;
use embedder_wasm::tokenizers::hashed_rows::{WORD_KEY, hash};
use embedder_wasm::tokenizers::own_rows::OwnRowTables;
use rayon::prelude::*;

use crate::table::Table;
use crate::text_set::{Reading, TextSet};

/// So frequent tokens were learned with both of their rows, one of which makes up for what is wrong with the other: without the
/// other it would be worse (on STS benchmark's development part by one point if all are changed).
const LEARNED_WITH_BOTH: usize = 27_000;

/// The length at which the rows that tokens share start, where those of a token together would have that of other tokens at 1.
const SHARED_START: f32 = 0.3;

/// So many words, the most frequent ones, have their misspellings found: some nine entries of the table each.
const OFTEN_MISSPELT: usize = 16_000;

/// So many keys are frequent words.
const FREQUENT: usize = 8000;

/// A token with a row of its own, and the text whose rows this one starts as.
pub struct Key {
    pub token: String,
    pub start: String,
}

/// The lines of a file: a token, and perhaps a tab and a text to start as.
pub fn read_keys(path: &Path) -> Result<Vec<Key>, String> {
    let shown = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            let (token, start) = line.split_once('\t').unwrap_or((line, line));
            if token.is_empty() || start.is_empty() {
                let number = index + 1;
                return Err(format!(
                    "{shown}:{number}: expected a token, and perhaps a tab and a text, found {line:?}"
                ));
            }
            Ok(Key {
                token: token.to_owned(),
                start: start.to_owned(),
            })
        })
        .collect()
}

pub fn tables_of(keys: &[Key]) -> Result<OwnRowTables, String> {
    let tokens: Vec<&str> = keys.iter().map(|key| key.token.as_str()).collect();
    let words = tokens.iter().copied();
    let often_misspelt: Vec<&str> = words
        .filter(|token| token.bytes().all(|byte| byte.is_ascii_lowercase()))
        .take(OFTEN_MISSPELT)
        .collect();
    OwnRowTables::build(&tokens, &often_misspelt)
}

/// The most frequent of the keys.
pub fn frequent(keys: &[Key]) -> impl Iterator<Item = &Key> {
    keys.iter().take(FREQUENT)
}

/// The row that a token has, which must be one of those with their own.
pub fn row_of(token: &str, reading: &Reading) -> usize {
    let row = reading.rows.own.row_of(hash(WORD_KEY, token.as_bytes()));
    row.expect("a key has a row of its own") as usize
}

/// Start values out of another model: a key's row is the mean, over the words of its text, of what that model adds up for them.
/// The rows that tokens share keep small values of their own.
///
/// In a model of words-and-stems words share rows. Where another word or stem, which an earlier key has, had a row before, a
/// key starts as twice its other row. The numbers of the keys are returned that have two such rows. The first
/// `LEARNED_WITH_BOTH` keys are left as they are.
pub fn start_values(
    table: &mut Table,
    reading: &Reading,
    keys: &[Key],
    other: &StaticTable,
    other_rows: Vec<f32>,
) -> Vec<usize> {
    let config = other.config();
    let other_reading = Reading {
        tokenizer: config.tokenizer,
        rows: other.table_rows(),
        max_words: usize::MAX,
    };
    let starts: Vec<&str> = keys.iter().map(|key| key.start.as_str()).collect();
    let texts = TextSet::of(&starts, &other_reading);
    let dimensions = table.dimensions;
    let (mut lengths, mut owners, mut without) = (0.0, HashMap::new(), Vec::new());
    for (number, key) in keys.iter().enumerate() {
        let words = config.tokenizer.count_words(&key.start).max(1) as f32;
        let mut rows = texts.rows(number).to_vec();
        if config.tokenizer == Tokenizer::WordsAndStems
            && let [word_row, stem_row] = rows[..]
        {
            let mut is_first = |row, owner| *owners.entry(row).or_insert(owner) == owner;
            let word = Owner::Word(number);
            match [
                (word_row, word),
                (stem_row, Owner::Stem(texts.stems(number)[0])),
            ]
            .map(|(row, owner)| is_first(row, owner))
            {
                _ if number < LEARNED_WITH_BOTH => {}
                [true, true] => {}
                [true, false] => rows = vec![word_row; 2],
                [false, true] => rows = vec![stem_row; 2],
                [false, false] => without.push(number),
            }
        }
        let start = row_of(&key.token, reading) * dimensions;
        let row = &mut table.rows[start..start + dimensions];
        row.fill(0.0);
        for other_row in rows {
            let start = other_row as usize * dimensions;
            for (value, other) in row.iter_mut().zip(&other_rows[start..start + dimensions]) {
                *value += other / words;
            }
        }
        lengths += length(row);
    }
    // A token without a row of its own has some twenty of these.
    let wanted = lengths / keys.len() as f32 / 20_f32.sqrt() * SHARED_START;
    let first_shared = reading.rows.own.first_shared_row() * dimensions;
    table.rows[first_shared..]
        .par_chunks_mut(dimensions)
        .for_each(|row| {
            let factor = wanted / length(row);
            row.iter_mut().for_each(|value| *value *= factor);
        });
    without
}

/// Who had a row of words-and-stems first: the word of a key, or a stem by its hash.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Word(usize),
    Stem(u64),
}

/// Turns the rows of some keys half-way to the teacher's vectors of them, where it has read them as words, and keeps their
/// lengths. The number of these is returned.
pub fn turn_to(
    table: &mut Table,
    reading: &Reading,
    keys: &[Key],
    numbers: &[usize],
    words: &HashMap<String, Vec<f32>>,
) -> usize {
    let dimensions = table.dimensions;
    let mut turned = 0;
    for &number in numbers {
        let Some(vector) = words.get(&keys[number].token) else {
            continue;
        };
        let start = row_of(&keys[number].token, reading) * dimensions;
        let row = &mut table.rows[start..start + dimensions];
        let kept = length(row);
        for (value, wanted) in row.iter_mut().zip(vector) {
            *value += kept * wanted;
        }
        let factor = kept / length(row).max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|value| *value *= factor);
        turned += 1;
    }
    turned
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|value| value * value).sum::<f32>().sqrt()
}
