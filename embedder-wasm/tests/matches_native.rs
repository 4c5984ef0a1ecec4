//! Parity with auto-g-embed's native embedder: every line of `golden/native.jsonl`, whose token ids
//! and vectors that code made. Token ids must be equal; values agree within 1e-6, and where the file
//! holds all bits of a vector they are compared bit for bit.

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer;
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::random::Random;
use embedder_wasm::tokenizers::{TableRows, Tokenizer};
use serde_json::Value;

const TOLERANCE: f32 = 1e-6;

/// auto-g-embed's own initialisation: values in -0.05..0.05, row-major, row 0 zeroed.
fn seeded_weights(line: &Value) -> Vec<u8> {
    let (rows, dimensions) = (number(line, "vocab_size"), number(line, "embedding_dim"));
    let mut random = Random::new(line["init_seed"].as_str().unwrap().parse().unwrap());
    let mut values = random.start_values(rows * dimensions);
    values[..dimensions].fill(0.0);
    let max_seq_len = number(line, "max_seq_len");
    let normalize = line["normalize"].as_bool().unwrap();
    writer::v1(dimensions, max_seq_len, normalize, &values)
}

fn number(line: &Value, field: &str) -> usize {
    line[field].as_u64().unwrap() as usize
}

fn floats(bits: &Value) -> Vec<f32> {
    let bits = bits.as_array().unwrap().iter();
    bits.map(|bits| f32::from_bits(bits.as_u64().unwrap() as u32))
        .collect()
}

fn golden_lines() -> Vec<Value> {
    include_str!("golden/native.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn token_ids_are_those_of_the_native_code() {
    for line in golden_lines() {
        let text = line["text"].as_str().unwrap();
        let mut ids = Vec::new();
        Tokenizer::AsciiWords.for_each_token(
            text,
            TableRows::shared(number(&line, "vocab_size")),
            number(&line, "max_seq_len"),
            |id| ids.push(Value::from(id)),
            |_| {},
        );
        assert_eq!(Value::from(ids), line["token_ids"], "{text:?}");
    }
}

#[test]
fn embeddings_are_those_of_the_native_code() {
    let mut loaded: Option<(String, Model)> = None;
    let mut scratch = Scratch::default();
    let (mut values_compared, mut equal_bits) = (0, 0);
    for line in golden_lines() {
        let table = [
            "vocab_size",
            "embedding_dim",
            "max_seq_len",
            "normalize",
            "init_seed",
        ]
        .map(|field| line[field].to_string())
        .join(" ");
        if loaded.as_ref().is_none_or(|(name, _)| *name != table) {
            let file = WeightsFile::from_bytes(seeded_weights(&line)).unwrap();
            loaded = Some((table, Model::from_file(file).unwrap()));
        }
        let model = &loaded.as_ref().unwrap().1;
        let mut embedding = vec![0.0; number(&line, "embedding_dim")];
        let text = line["text"].as_str().unwrap();
        model.embed(text, &mut scratch, &mut embedding);

        let (expected, whole) = match line.get("embedding_f32_bits") {
            Some(bits) => (floats(bits), true),
            None => (floats(&line["embedding_first8_f32_bits"]), false),
        };
        for (value, expected) in embedding.iter().zip(&expected) {
            assert!(
                (value - expected).abs() <= TOLERANCE,
                "{text:?}: {value} for {expected}"
            );
            values_compared += 1;
            equal_bits += usize::from(value.to_bits() == expected.to_bits());
        }
        if !whole {
            let sum: f64 = embedding.iter().map(|value| f64::from(*value)).sum();
            let expected = line["embedding_sum"].as_f64().unwrap();
            assert!(
                (sum - expected).abs() <= 1e-5,
                "{text:?}: sum {sum} for {expected}"
            );
        }
    }
    assert_eq!(
        equal_bits, values_compared,
        "values with equal bits, of all"
    );
}

#[test]
fn seeded_tables_are_the_committed_files() {
    let files = [
        (128, 16, &include_bytes!("golden/native.v128d16.bin")[..]),
        (128, 32, &include_bytes!("golden/native.v128d32.bin")[..]),
        (3, 4, &include_bytes!("golden/native.v3d4.bin")[..]),
    ];
    for (rows, dimensions, file) in files {
        let lines = golden_lines();
        let line = lines.iter().find(|line| {
            number(line, "vocab_size") == rows && number(line, "embedding_dim") == dimensions
        });
        assert!(
            seeded_weights(line.unwrap()) == file,
            "{rows} x {dimensions}"
        );
    }
}
