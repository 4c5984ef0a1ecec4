//! Models of the tokenizer text-as-written, against `golden/text_as_written.jsonl`, which
//! `golden/make_text_as_written.py` made out of what `model/FORMAT.md` says, without this code.

mod second_reader;

use embedder_wasm::tokenizers::Tokenizer;
use second_reader::{Golden, assert_refused};
use serde_json::json;

const GOLDEN: Golden = Golden {
    file: include_bytes!("golden/text_as_written.safetensors"),
    lines: include_str!("golden/text_as_written.jsonl"),
};

#[test]
fn token_ids_and_word_counts_are_those_of_the_specification() {
    GOLDEN.compare_tokens(Tokenizer::TextAsWritten);
}

#[test]
fn embeddings_of_all_lengths_are_those_of_the_specification() {
    GOLDEN.compare_embeddings(GOLDEN.file.to_vec(), "embedding");
}

#[test]
fn rows_of_their_own_that_are_not_well_described_are_refused() {
    let cases = [
        (
            GOLDEN.with(|header, _| header["__metadata__"]["normalize"] = "false".into()),
            "header.__metadata__.normalize: expected \"true\", which the tokenizer text-as-written needs, found \"false\"",
        ),
        (
            GOLDEN.with(|header, _| {
                let tensor = header["fingerprints"].take();
                header["others"] = tensor;
                header.as_object_mut().unwrap().remove("fingerprints");
            }),
            "tensor fingerprints: missing",
        ),
        (
            GOLDEN.with(|header, _| header["displacements"]["dtype"] = "I16".into()),
            "tensor displacements: expected U16 of the shape [n], n from 1 to 4294967295, found I16 [10]",
        ),
        (
            GOLDEN.with(|header, _| header["misspelt_rows"]["dtype"] = "F32".into()),
            "tensor misspelt_rows: expected U32 of the shape [n], n from 0 to 4294967295, found F32 [31]",
        ),
        (
            GOLDEN.with(|header, _| {
                // Both lie at the offset at which the next tensor begins, and one has no entry.
                let offset = header["scales"]["data_offsets"][0].clone();
                header["gap"] = header["misspelt_rows"].take();
                header["misspelt_rows"] =
                    json!({ "dtype": "U32", "shape": [0], "data_offsets": [offset, offset] });
            }),
            "tensors misspelt_displacements and misspelt_rows: expected entries in both or in neither, found them in one",
        ),
        (
            GOLDEN.with(|_, data| data[..4].copy_from_slice(&90_u32.to_le_bytes())),
            "tensor misspelt_rows: expected rows below 90, found 90",
        ),
    ];
    assert_refused(cases);
}

#[test]
fn as_many_rows_of_their_own_as_rows_are_refused() {
    let file = GOLDEN.with(|header, _| {
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
    let message =
        "tensor fingerprints: expected U16 of the shape [n], n from 1 to 37, found U16 [38]";
    assert_refused([(file, message)]);
}
