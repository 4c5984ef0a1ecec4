//! The tokenizer words-and-stems and the models that have it, against `golden/words_and_stems.jsonl`,
//! which `golden/make_words_and_stems.py` made out of what `model/FORMAT.md` says, without this code.

use embedder_wasm::format::WeightsError;
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer::safetensors_container;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::tokenizers::Tokenizer;
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

const GOLDEN_FILE: &[u8] = include_bytes!("golden/words_and_stems.safetensors");

fn model(file: Vec<u8>) -> Result<Model, WeightsError> {
    Model::from_file(WeightsFile::from_bytes(file)?)
}

fn golden_lines() -> impl Iterator<Item = Value> {
    include_str!("golden/words_and_stems.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn token_ids_and_word_counts_are_those_of_the_specification() {
    let file = WeightsFile::from_bytes(GOLDEN_FILE.to_vec()).unwrap();
    let table = StaticTable::from_file(file).unwrap();
    let config = table.config();
    for line in golden_lines() {
        let text = line["text"].as_str().unwrap();
        let mut ids = Vec::new();
        let count = Tokenizer::WordsAndStems.for_each_token(
            text,
            table.table_rows(),
            config.max_seq_len,
            |id| ids.push(Value::from(id)),
            |_| {},
        );
        assert_eq!(Value::from(ids), line["token_ids"], "{text:?}");
        assert_eq!(Value::from(count.tokens), line["words"], "{text:?}");
        assert_eq!(
            Value::from(Tokenizer::WordsAndStems.count_words(text)),
            line["words"],
            "{text:?}"
        );
    }
}

#[test]
fn embeddings_of_all_lengths_are_those_of_the_specification() {
    let compared = compare(GOLDEN_FILE.to_vec(), "embedding");
    assert!(compared > 1000, "{compared}");
}

#[test]
fn embeddings_with_a_damped_lexical_part_are_those_of_the_specification() {
    let compared = compare(
        with(&["__metadata__", "lexical_damping"], "root".into()),
        "damped",
    );
    assert!(compared > 1000, "{compared}");
    let differs = |line: &Value| line["damped"].is_array() && line["damped"] != line["embedding"];
    assert!(golden_lines().filter(differs).count() > 10);
}

/// Compares the embeddings of the lines that have this field, and returns of how many values.
fn compare(file: Vec<u8>, field: &str) -> usize {
    let model = model(file).unwrap();
    assert_eq!(model.info().dimensions, 56);
    let mut scratch = Scratch::default();
    let mut values_compared = 0;
    for line in golden_lines() {
        let Some(expected) = line[field].as_array() else {
            continue;
        };
        let text = line["text"].as_str().unwrap();
        let mut embedding = vec![f32::NAN; line["dimensions"].as_u64().unwrap() as usize];
        model.embed(text, &mut scratch, &mut embedding);
        assert_eq!(embedding.len(), expected.len());
        for (value, expected) in embedding.iter().zip(expected) {
            let difference = (f64::from(*value) - expected.as_f64().unwrap()).abs();
            assert!(
                difference <= TOLERANCE,
                "{text:?}: {value} instead of {expected}"
            );
            values_compared += 1;
        }
    }
    values_compared
}

/// The golden file with another value in its header; `Value::Null` leaves the field out.
fn with(path: &[&str], value: Value) -> Vec<u8> {
    let file = GOLDEN_FILE;
    let header_end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..header_end]).unwrap();
    let (field, parents) = path.split_last().unwrap();
    let parent = parents
        .iter()
        .fold(&mut header, |object, name| &mut object[name]);
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(*field);
    } else {
        parent[field] = value;
    }
    safetensors_container(&header.to_string(), &file[header_end..])
}

#[test]
fn a_lexical_part_that_is_not_well_described_is_refused() {
    let metadata = |field: &'static str| ["__metadata__", field];
    let cases = [
        (
            with(&metadata("lexical_dim"), Value::Null),
            "header.__metadata__.lexical_dim: expected a string, found nothing",
        ),
        (
            with(&metadata("lexical_dim"), "10".into()),
            "header.__metadata__.lexical_dim: expected a multiple of 4 up to 8192, found \"10\"",
        ),
        (
            with(&metadata("lexical_dim"), "0".into()),
            "header.__metadata__.lexical_dim: expected a multiple of 4 up to 8192, found \"0\"",
        ),
        (
            with(&metadata("lexical_dim"), "-4".into()),
            "header.__metadata__.lexical_dim: expected a multiple of 4 up to 8192, found \"-4\"",
        ),
        (
            with(&metadata("lexical_dim"), "8196".into()),
            "header.__metadata__.lexical_dim: expected a multiple of 4 up to 8192, found \"8196\"",
        ),
        (
            with(&metadata("lexical_weight"), "NaN".into()),
            "header.__metadata__.lexical_weight: expected a number from 0 to 100, found \"NaN\"",
        ),
        (
            with(&metadata("lexical_weight"), "-1".into()),
            "header.__metadata__.lexical_weight: expected a number from 0 to 100, found \"-1\"",
        ),
        (
            with(&metadata("lexical_weight"), "heavy".into()),
            "header.__metadata__.lexical_weight: expected a number from 0 to 100, found \"heavy\"",
        ),
        (
            with(&metadata("lexical_damping"), "square".into()),
            "header.__metadata__.lexical_damping: expected \"root\", or nothing, found \"square\"",
        ),
        (
            with(&metadata("normalize"), "false".into()),
            "header.__metadata__.normalize: expected \"true\", which the tokenizer words-and-stems needs, found \"false\"",
        ),
        (
            with(&["idf", "dtype"], "I8".into()),
            "tensor idf: expected U8 of the shape [n], found I8 [32]",
        ),
        (
            with(&["idf", "shape"], serde_json::json!([4, 8])),
            "tensor idf: expected U8 of the shape [n], found U8 [4, 8]",
        ),
    ];
    for (file, message) in cases {
        let found = model(file).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some(message));
    }
}
