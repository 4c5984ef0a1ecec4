//! Models of the tokenizer text-as-written, against `golden/text_as_written.jsonl`, which
//! `golden/make_text_as_written.py` made out of what `model/FORMAT.md` says, without this code.

use embedder_wasm::format::WeightsError;
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer::safetensors_container;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::tokenizers::Tokenizer;
use serde_json::{Value, json};

const TOLERANCE: f64 = 1e-6;

const GOLDEN_FILE: &[u8] = include_bytes!("golden/text_as_written.safetensors");

fn model(file: Vec<u8>) -> Result<Model, WeightsError> {
    Model::from_file(WeightsFile::from_bytes(file)?)
}

fn golden_lines() -> impl Iterator<Item = Value> {
    include_str!("golden/text_as_written.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn token_ids_and_word_counts_are_those_of_the_specification() {
    let file = WeightsFile::from_bytes(GOLDEN_FILE.to_vec()).unwrap();
    let table = StaticTable::from_file(file).unwrap();
    for line in golden_lines() {
        let text = line["text"].as_str().unwrap();
        let mut ids = Vec::new();
        let count = Tokenizer::TextAsWritten.for_each_token(
            text,
            table.table_rows(),
            table.config().max_seq_len,
            |id| ids.push(Value::from(id)),
            |_| {},
        );
        assert_eq!(Value::from(ids), line["token_ids"], "{text:?}");
        assert_eq!(Value::from(count.tokens), line["words"], "{text:?}");
        assert_eq!(
            Value::from(Tokenizer::TextAsWritten.count_words(text)),
            line["words"],
            "{text:?}"
        );
    }
}

#[test]
fn embeddings_of_all_lengths_are_those_of_the_specification() {
    let model = model(GOLDEN_FILE.to_vec()).unwrap();
    assert_eq!(model.info().dimensions, 56);
    let mut scratch = Scratch::default();
    let mut values_compared = 0;
    for line in golden_lines() {
        let text = line["text"].as_str().unwrap();
        let mut embedding = vec![f32::NAN; line["dimensions"].as_u64().unwrap() as usize];
        model.embed(text, &mut scratch, &mut embedding);
        let expected = line["embedding"].as_array().unwrap();
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
    assert!(values_compared > 1000, "{values_compared}");
}

/// The golden file with another header and other bytes of its tensors.
fn with(change: impl FnOnce(&mut Value, &mut [u8])) -> Vec<u8> {
    let header_end = 8 + u64::from_le_bytes(GOLDEN_FILE[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&GOLDEN_FILE[8..header_end]).unwrap();
    let mut data = GOLDEN_FILE[header_end..].to_vec();
    change(&mut header, &mut data);
    safetensors_container(&header.to_string(), &data)
}

#[test]
fn rows_of_their_own_that_are_not_well_described_are_refused() {
    let cases = [
        (
            with(|header, _| header["__metadata__"]["normalize"] = "false".into()),
            "header.__metadata__.normalize: expected \"true\", which the tokenizer text-as-written needs, found \"false\"",
        ),
        (
            with(|header, _| {
                let tensor = header["fingerprints"].take();
                header["others"] = tensor;
                header.as_object_mut().unwrap().remove("fingerprints");
            }),
            "tensor fingerprints: missing",
        ),
        (
            with(|header, _| header["displacements"]["dtype"] = "I16".into()),
            "tensor displacements: expected U16 of the shape [n], n from 1 to 4294967295, found I16 [10]",
        ),
        (
            with(|header, _| header["misspelt_rows"]["dtype"] = "F32".into()),
            "tensor misspelt_rows: expected U32 of the shape [n], n from 0 to 4294967295, found F32 [31]",
        ),
        (
            with(|header, _| {
                // Both lie at the offset at which the next tensor begins, and one has no entry.
                let offset = header["scales"]["data_offsets"][0].clone();
                header["gap"] = header["misspelt_rows"].take();
                header["misspelt_rows"] =
                    json!({ "dtype": "U32", "shape": [0], "data_offsets": [offset, offset] });
            }),
            "tensors misspelt_displacements and misspelt_rows: expected entries in both or in neither, found them in one",
        ),
        (
            with(|_, data| data[..4].copy_from_slice(&90_u32.to_le_bytes())),
            "tensor misspelt_rows: expected rows below 90, found 90",
        ),
    ];
    for (file, message) in cases {
        let found = model(file).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some(message));
    }
}

#[test]
fn as_many_rows_of_their_own_as_rows_are_refused() {
    let file = with(|header, _| {
        let rows = header["embeddings"]["shape"][0].as_u64().unwrap();
        assert_eq!(rows, 90);
        // Of 40 values in 4 bits each: the first half of the rows, and the rest as another tensor.
        let slots = header["fingerprints"]["shape"][0].as_u64().unwrap();
        let (kept, begin) = (
            slots + 2,
            header["embeddings"]["data_offsets"][0].as_u64().unwrap(),
        );
        let (end, middle) = (begin + rows * 20, begin + kept * 20);
        header["embeddings"] =
            json!({ "dtype": "U8", "shape": [kept, 20], "data_offsets": [begin, middle] });
        header["rest"] =
            json!({ "dtype": "U8", "shape": [end - middle], "data_offsets": [middle, end] });
        let scales = header["scales"]["data_offsets"][0].as_u64().unwrap();
        let (scales_end, all) = (scales + kept * 2, scales + rows * 2);
        header["scales"] =
            json!({ "dtype": "I16", "shape": [kept], "data_offsets": [scales, scales_end] });
        header["others"] = json!({ "dtype": "U8", "shape": [all - scales_end], "data_offsets": [scales_end, all] });
    });
    let found = model(file).err().map(|error| error.to_string());
    assert_eq!(
        found.as_deref(),
        Some("tensor fingerprints: expected U16 of the shape [n], n from 1 to 37, found U16 [38]")
    );
}
