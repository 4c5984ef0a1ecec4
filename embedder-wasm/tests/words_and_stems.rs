//! The tokenizer words-and-stems and the models that have it, against `golden/words_and_stems.jsonl`,
//! which `golden/make_words_and_stems.py` made out of what `model/FORMAT.md` says, without this code.

mod second_reader;

use embedder_wasm::tokenizers::Tokenizer;
use second_reader::{Golden, assert_refused};
use serde_json::Value;

const GOLDEN: Golden = Golden {
    file: include_bytes!("golden/words_and_stems.safetensors"),
    lines: include_str!("golden/words_and_stems.jsonl"),
};

#[test]
fn token_ids_and_word_counts_are_those_of_the_specification() {
    GOLDEN.compare_tokens(Tokenizer::WordsAndStems);
}

#[test]
fn embeddings_of_all_lengths_are_those_of_the_specification() {
    GOLDEN.compare_embeddings(GOLDEN.file.to_vec(), "embedding");
}

#[test]
fn embeddings_with_a_damped_lexical_part_are_those_of_the_specification() {
    let damped = with(&["__metadata__", "lexical_damping"], "root".into());
    GOLDEN.compare_embeddings(damped, "damped");
    let differs = |line: &Value| line["damped"].is_array() && line["damped"] != line["embedding"];
    assert!(GOLDEN.lines().filter(differs).count() > 10);
}

/// The golden file with another value in its header; `Value::Null` leaves the field out.
fn with(path: &[&str], value: Value) -> Vec<u8> {
    GOLDEN.with(|header, _| {
        let (field, parents) = path.split_last().unwrap();
        let parent = parents
            .iter()
            .fold(header, |object, name| &mut object[*name]);
        if value.is_null() {
            parent.as_object_mut().unwrap().remove(*field);
        } else {
            parent[*field] = value;
        }
    })
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
    assert_refused(cases);
}
