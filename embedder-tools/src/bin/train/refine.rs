//! What is done to a table once it is trained. A teacher's cosine hardly moves with a
//! word that people take to be decisive, and what training in a sum of rows leaves is not the best
//! scale of its parts. Every factor was chosen on development sets: training/EXPERIMENTS.md.

use crate::table::Table;
use crate::text_set::{Reading, TextSet};
use embedder_wasm::format::row_format::RowFormat;

/// How much further apart the words of a group are moved than training left them: texts that differ in
/// one of these alone say different things.
const NUMBER_CONTRAST: f32 = 3.0;
const NAMED_CONTRAST: f32 = 2.0;
const NUMBER_NAMES: &str = "two three four five six seven eight nine ten eleven twelve";
const DAYS: &str = "monday tuesday wednesday thursday friday saturday sunday";
/// How much more these weigh.
const NEGATION_FACTOR: f32 = 1.5;
const NEGATIONS: &str =
    "not no never cannot dont doesnt isnt cant wont didnt without nothing none nobody unable";
/// Numbers are frequent, and so have a low idf, but which one it is matters.
const NUMBER_IDF_FACTOR: f32 = 1.5;
/// Single letters are labels and initials, and say little about a text for how rare they are.
const LETTER_IDF_FACTOR: f32 = 0.7;
/// Each dimension is divided by its standard deviation to this power: the first ones, which carry most
/// of the teacher's variance, weigh a little less.
const FLATTENING: f32 = 0.3;
/// What the last value of a row becomes, where the length of the others is 1.
const COHERENCE: f32 = 0.12;
/// How much of its start value a row keeps where that was refined before: pairs of sentences are a little better so, headings a
/// little worse.
const START_SHARE: f32 = 0.25;
/// Of the rows' lengths as training left them: those of rare words, which it makes the longest, count a little less.
const LENGTH_POWER: f32 = 0.95;
/// Of the training texts, for the standard deviations.
const MEASURED_TEXTS: usize = 20_000;

/// Refines rows and idf. `sets` are the training texts. The table must not have been refined before.
pub fn refine(table: &mut Table, reading: &Reading, sets: &[&TextSet], idf: &mut [u8]) {
    // What is measured below is measured on the rows as they become, not as they were rounded.
    table.store_as(RowFormat::F32);
    let numbers = numbers(reading);
    let kinds = reading.tokenizer.rows_in_a_word();
    for (words, factor) in [
        (&numbers, NUMBER_CONTRAST),
        (&named(NUMBER_NAMES, reading), NAMED_CONTRAST),
        (&named(DAYS, reading), NAMED_CONTRAST),
    ] {
        for kind in 0..kinds {
            move_apart(table, &rows_of(words, kinds, &[kind]), factor);
        }
    }
    let all_kinds: Vec<usize> = (0..kinds).collect();
    for row in rows_of(&named(NEGATIONS, reading), kinds, &all_kinds) {
        row_mut(table, row)
            .iter_mut()
            .for_each(|value| *value *= NEGATION_FACTOR);
    }
    flatten(table, sets);
    add_coherence(table);
    weigh_idf(reading, idf);
}

/// Goes back a part of the way to the `refined` rows, those of a table of text-as-written that was refined before it was
/// trained further, and all of the way with the words that `refine` changes; their rows become longer by as much as training
/// has made those of frequent words longer, or they would weigh less than before. `frequent` are the rows of these.
pub fn keep(
    table: &mut Table,
    reading: &Reading,
    refined: &[f32],
    frequent: &[usize],
    idf: &mut [u8],
) {
    table.average(refined, START_SHARE);
    let dimensions = table.dimensions;
    even_out(table, frequent);
    let growth =
        lengths(&table.rows, frequent, dimensions) / lengths(refined, frequent, dimensions);
    let numbers = numbers(reading);
    let words = [NUMBER_NAMES, DAYS, NEGATIONS].map(|words| named(words, reading));
    for words in words.iter().chain([&numbers]) {
        for row in rows_of(words, 1, &[0]) {
            let refined = &refined[row * dimensions..(row + 1) * dimensions];
            for (value, refined) in row_mut(table, row).iter_mut().zip(refined) {
                *value = growth * refined;
            }
        }
    }
    weigh_idf(reading, idf);
}

/// Every row's length becomes its `LENGTH_POWER`th power, where the mean of the `frequent` ones has 1.
fn even_out(table: &mut Table, frequent: &[usize]) {
    let dimensions = table.dimensions;
    let mean = lengths(&table.rows, frequent, dimensions) / frequent.len().max(1) as f32;
    for row in table.rows.chunks_mut(dimensions) {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 && mean > 0.0 {
            let factor = (length / mean).powf(LENGTH_POWER - 1.0);
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

/// The sum of the lengths of some rows.
fn lengths(rows: &[f32], chosen: &[usize], dimensions: usize) -> f32 {
    let length = |row: usize| {
        let values = &rows[row * dimensions..(row + 1) * dimensions];
        values.iter().map(|value| value * value).sum::<f32>().sqrt()
    };
    chosen.iter().map(|&row| length(row)).sum()
}

/// From 0 to 99, and those of one digit with a 0 before it.
fn numbers(reading: &Reading) -> TextSet {
    let numbers: Vec<String> = (0..100)
        .map(|number| number.to_string())
        .chain((0..10).map(|digit| format!("0{digit}")))
        .collect();
    TextSet::of(&numbers, reading)
}

fn named(words: &str, reading: &Reading) -> TextSet {
    TextSet::of(&words.split(' ').collect::<Vec<_>>(), reading)
}

fn weigh_idf(reading: &Reading, idf: &mut [u8]) {
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    for (words, factor) in [
        (numbers(reading), NUMBER_IDF_FACTOR),
        (TextSet::of(&letters, reading), LETTER_IDF_FACTOR),
    ] {
        let entry = |word: usize| (words.stems(word)[0] % idf.len() as u64) as usize;
        for entry in distinct((0..words.len()).map(entry).collect()) {
            let weighed = f32::from(idf[entry]) * factor;
            idf[entry] = weighed.round().clamp(1.0, 255.0) as u8;
        }
    }
}

/// The rows of some kinds that words have, of those words that have `row_count`: with text-as-written a word without a row
/// of its own has others.
fn rows_of(words: &TextSet, row_count: usize, kinds: &[usize]) -> Vec<usize> {
    let rows = (0..words.len())
        .filter(|&word| words.rows(word).len() == row_count)
        .flat_map(|word| {
            kinds
                .iter()
                .map(move |&kind| words.rows(word)[kind] as usize)
        });
    distinct(rows.collect())
}

/// Scales what sets each row apart from the mean of all of them.
fn move_apart(table: &mut Table, rows: &[usize], factor: f32) {
    let mut mean = vec![0.0; table.dimensions];
    for &row in rows {
        for (mean, value) in mean.iter_mut().zip(row_mut(table, row)) {
            *mean += *value / rows.len() as f32;
        }
    }
    for &row in rows {
        for (value, mean) in row_mut(table, row).iter_mut().zip(&mean) {
            *value = mean + factor * (*value - mean);
        }
    }
}

/// The variance of all dimensions together stays as it is.
fn flatten(table: &mut Table, sets: &[&TextSet]) {
    let texts: Vec<&[u32]> = sets.iter().flat_map(|set| set.all_rows()).collect();
    let step = texts.len().div_ceil(MEASURED_TEXTS).max(1);
    let sample: Vec<&[u32]> = texts.into_iter().step_by(step).collect();
    let vectors = table.pool(&sample).vectors;
    let variances: Vec<f32> = (0..table.dimensions)
        .map(|dimension| variance(vectors.iter().skip(dimension).step_by(table.dimensions)))
        .collect();
    let factors: Vec<f32> = variances
        .iter()
        .map(|variance| variance.max(f32::MIN_POSITIVE).powf(-FLATTENING / 2.0))
        .collect();
    let flattened: f32 = variances
        .iter()
        .zip(&factors)
        .map(|(variance, factor)| variance * factor * factor)
        .sum();
    let whole = (variances.iter().sum::<f32>() / flattened).sqrt();
    let dimensions = table.dimensions;
    for row in table.rows.chunks_mut(dimensions) {
        for (value, factor) in row.iter_mut().zip(&factors) {
            *value *= factor * whole;
        }
    }
}

fn variance<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    let (mut count, mut sum, mut squares) = (0.0_f64, 0.0, 0.0);
    for value in values.map(|value| f64::from(*value)) {
        count += 1.0;
        sum += value;
        squares += value * value;
    }
    ((squares - sum * sum / count) / count) as f32
}

/// In the sum of a text's rows the last dimension, which carries least, then adds up, while the others
/// cancel out the more the less its words have to do with each other. So it is the larger the less
/// a text's direction says, and the less that direction then counts.
pub fn add_coherence(table: &mut Table) {
    let dimensions = table.dimensions;
    for row in table.rows.chunks_mut(dimensions) {
        let (last, others) = row.split_last_mut().expect("a row has values");
        *last = COHERENCE * others.iter().map(|value| value * value).sum::<f32>().sqrt();
    }
}

/// Undoes `add_coherence`.
pub fn remove_coherence(table: &mut Table) {
    let dimensions = table.dimensions;
    for row in table.rows.chunks_mut(dimensions) {
        row[dimensions - 1] = 0.0;
    }
}

fn row_mut(table: &mut Table, row: usize) -> &mut [f32] {
    let start = row * table.dimensions;
    &mut table.rows[start..start + table.dimensions]
}

/// Two words may share a row, which is then changed once.
fn distinct(mut indices: Vec<usize>) -> Vec<usize> {
    indices.sort_unstable();
    indices.dedup();
    indices
}

#[cfg(test)]
mod tests {
    use embedder_wasm::tokenizers::own_rows::OwnRowTables;
    use embedder_wasm::tokenizers::{TableRows, Tokenizer};

    use super::*;
    use crate::own_rows::row_of;

    const VOCAB_SIZE: usize = 4096;
    const READING: Reading = Reading {
        tokenizer: Tokenizer::WordsAndStems,
        rows: TableRows::shared(VOCAB_SIZE),
        max_words: 64,
    };
    const TEXTS: [&str; 4] = [
        "chapter 3 of the book",
        "chapter 5 of the book",
        "a cat and a dog",
        "stock prices fell on monday",
    ];

    fn refined() -> (Table, Table, TextSet) {
        let before = Table::random(VOCAB_SIZE, 32, 1);
        let mut after = Table::from_rows(before.rows.clone(), 32);
        let texts = TextSet::of(&TEXTS, &READING);
        refine(&mut after, &READING, &[&texts], &mut [100; 64]);
        (before, after, texts)
    }

    fn cosine(table: &Table, a: &str, b: &str) -> f32 {
        let texts = TextSet::of(&[a, b], &READING);
        let vectors = table.pool(&texts.all_rows()).vectors;
        let (a, b) = vectors.split_at(table.dimensions);
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_differ_in_a_number_or_a_day_are_less_alike() {
        let (before, after, _) = refined();
        for (a, b) in [
            ("chapter 3 of the book", "chapter 5 of the book"),
            ("come on monday please", "come on friday please"),
            ("it takes three hours", "it takes nine hours"),
        ] {
            let (before, after) = (cosine(&before, a, b), cosine(&after, a, b));
            assert!(after < before, "{a}, {b}: {before} to {after}");
        }
    }

    #[test]
    fn the_last_dimension_adds_up_in_every_text() {
        let (_, after, texts) = refined();
        for row in after.rows.chunks(after.dimensions).skip(1) {
            let (last, others) = row.split_last().unwrap();
            let length = others.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((last - COHERENCE * length).abs() < 1e-6);
        }
        let vectors = after.pool(&texts.all_rows()).vectors;
        for vector in vectors.chunks(after.dimensions) {
            assert!(*vector.last().unwrap() >= COHERENCE * 0.99, "{vector:?}");
        }
    }

    #[test]
    fn dimensions_of_unequal_weight_come_nearer_to_each_other() {
        let texts = TextSet::of(&TEXTS, &READING);
        let mut table = Table::random(VOCAB_SIZE, 2, 1);
        table.rows.chunks_mut(2).for_each(|row| row[0] *= 10.0);
        let ratio = |table: &Table| {
            let deviation =
                |dimension| variance(table.rows.iter().skip(dimension).step_by(2)).sqrt();
            deviation(0) / deviation(1)
        };
        let before = ratio(&table);
        flatten(&mut table, &[&texts]);
        assert!(ratio(&table) < before, "{before} to {}", ratio(&table));
    }

    #[test]
    fn of_a_table_that_was_refined_before_numbers_days_and_negations_come_back_as_long_as_others_grew()
     {
        let words = ["7", "monday", "not", "cat"];
        let own_rows = OwnRowTables::build(&words, &[]).unwrap();
        let reading = Reading {
            tokenizer: Tokenizer::TextAsWritten,
            rows: TableRows {
                vocab_size: VOCAB_SIZE,
                own: own_rows.view(),
            },
            max_words: 64,
        };
        let row = |word: &str| row_of(word, &reading);
        // The first value of each word, where training has left `trained` in all rows.
        let kept = |trained: f32| {
            let mut table = Table::from_rows(vec![trained; 2 * VOCAB_SIZE], 2);
            let refined = [1.0; 2 * VOCAB_SIZE];
            keep(
                &mut table,
                &reading,
                &refined,
                &[row("cat")],
                &mut [100; 64],
            );
            words.map(|word| row_mut(&mut table, row(word))[0])
        };
        assert_eq!(kept(3.0), [3.0 - 2.0 * START_SHARE; 4]);
        let grown = 3.0 - 4.0 * START_SHARE;
        assert_eq!(kept(-3.0), [grown, grown, grown, -grown]);
    }

    #[test]
    fn small_numbers_have_a_higher_idf_and_letters_a_lower_one() {
        let mut table = Table::random(VOCAB_SIZE, 8, 1);
        let mut idf = vec![100; 1 << 16];
        refine(
            &mut table,
            &READING,
            &[&TextSet::of(&TEXTS, &READING)],
            &mut idf,
        );
        let entries = idf.len() as u64;
        for (word, expected) in [
            ("7", 150),
            ("42", 150),
            ("07", 150),
            ("q", 70),
            ("142", 100),
            ("cat", 100),
        ] {
            let stem = TextSet::of(&[word], &READING).stems(0)[0];
            assert_eq!(idf[(stem % entries) as usize], expected, "{word}");
        }
    }
}
