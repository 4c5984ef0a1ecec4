//! The weights reader: every malformed file has a test named by what is refused, which compares the
//! whole message; and what a good file of either container is read as.

use embedder_wasm::format::container::{Head, WeightsFile};
use embedder_wasm::format::writer::{
    f32_bytes, safetensors_container as safetensors, v1_container as v1,
};
use embedder_wasm::format::{Dtype, MAX_FILE_BYTES, MAX_HEADER_BYTES, WeightsError};
use embedder_wasm::models::{Model, ModelInfo, Scratch};
use embedder_wasm::tokenizers::Tokenizer;
use serde_json::{Value, json};

// ------------------------------------------------------------------------------------- building files

const V1_HEADER: &str = r#"{"vocab_size":3,"embedding_dim":2,"max_seq_len":4,"normalize":true}"#;

/// `V1_HEADER` with another value for one field; `Value::Null` leaves the field out.
fn v1_with(field: &str, value: Value) -> Vec<u8> {
    let header = serde_json::from_str(V1_HEADER).unwrap();
    v1(&edited(header, &[field], value).to_string(), &floats(6))
}

/// A header of F32 [3, 2].
fn f32_header() -> Value {
    json!({
        "__metadata__": metadata(),
        "embeddings": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
    })
}

/// A header of 4-bit values [3, 2] with its scales.
fn i4_header() -> Value {
    let mut metadata = metadata();
    metadata["scale_unit"] = json!("0.5");
    json!({
        "__metadata__": metadata,
        "embeddings": {"dtype": "U8", "shape": [3, 1], "data_offsets": [0, 3]},
        "scales": {"dtype": "I16", "shape": [3], "data_offsets": [3, 9]},
    })
}

/// A header of I8 [3, 2] with its scales.
fn i8_header() -> Value {
    json!({
        "__metadata__": metadata(),
        "embeddings": {"dtype": "I8", "shape": [3, 2], "data_offsets": [0, 6]},
        "scales": {"dtype": "F32", "shape": [3], "data_offsets": [6, 18]},
    })
}

fn metadata() -> Value {
    json!({
        "format": "embeddings-worker",
        "name": "tiny",
        "tokenizer": "ascii-words",
        "max_seq_len": "4",
        "normalize": "false",
    })
}

/// A file with the F32 header, but for the value at `path`.
fn f32_with(path: &[&str], value: Value) -> Vec<u8> {
    safetensors(&edited(f32_header(), path, value).to_string(), &[0; 24])
}

fn i4_with(path: &[&str], value: Value, tensor_bytes: usize) -> Vec<u8> {
    safetensors(
        &edited(i4_header(), path, value).to_string(),
        &vec![0; tensor_bytes],
    )
}

fn i8_with(path: &[&str], value: Value) -> Vec<u8> {
    safetensors(&edited(i8_header(), path, value).to_string(), &[0; 18])
}

fn edited(mut header: Value, path: &[&str], value: Value) -> Value {
    let (field, parents) = path.split_last().unwrap();
    let mut object = &mut header;
    for parent in parents {
        object = &mut object[parent];
    }
    if value.is_null() {
        object.as_object_mut().unwrap().remove(*field);
    } else {
        object[field] = value;
    }
    header
}

/// 0, 1, 2, ... as little-endian f32.
fn floats(count: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
    f32_bytes(&values)
}

// ---------------------------------------------------------------------------------------- what is refused

fn model(file: Vec<u8>) -> Result<Model, WeightsError> {
    Model::from_file(WeightsFile::from_bytes(file)?)
}

fn refusal(file: Vec<u8>) -> String {
    match model(file) {
        Ok(model) => panic!("was read as {:?}", model.info()),
        Err(error) => error.to_string(),
    }
}

/// One test for each file that is refused: its name says why, and the message is compared whole.
macro_rules! refused {
    ($($name:ident: $file:expr => $message:expr;)*) => {
        $(#[test] fn $name() { assert_eq!(refusal($file), $message); })*
    };
}

mod neither_container_refuses {
    use super::*;

    refused! {
        an_empty_file: vec![] => "the file ends inside its header: 0 bytes were found";
        eight_bytes: vec![b'x'; 8] => "the file ends inside its header: 8 bytes were found";
        a_web_page: b"<!doctype html>".to_vec() =>
            "not a weights file: expected '{' at byte 4 (format v1) or byte 8 (safetensors), found the bytes [3c, 21, 64, 6f, 63, 74, 79, 70, 65]";
        json_without_a_length: V1_HEADER.as_bytes().to_vec() =>
            "not a weights file: expected '{' at byte 4 (format v1) or byte 8 (safetensors), found the bytes [7b, 22, 76, 6f, 63, 61, 62, 5f, 73]";
    }
}

mod v1_refuses {
    use super::*;

    refused! {
        a_header_length_of_zero: b"\0\0\0\0{}".to_vec() => "header length: expected 2 to 1048576 bytes, found 0";
        a_header_length_of_one: b"\x01\0\0\0{}".to_vec() => "header length: expected 2 to 1048576 bytes, found 1";
        a_header_longer_than_the_limit: b"\x01\0\x10\0{}".to_vec() => "header length: expected 2 to 1048576 bytes, found 1048577";
        a_header_length_of_four_gigabytes: b"\xff\xff\xff\xff{}".to_vec() => "header length: expected 2 to 1048576 bytes, found 4294967295";
        a_file_that_ends_inside_its_header: v1(V1_HEADER, &[])[..40].to_vec() => "the file ends inside its header: 40 bytes were found";
        a_header_that_is_not_json: v1("{vocab_size}", &[]) => "header: not valid JSON: key must be a string at line 1 column 2";
        a_header_that_is_not_utf8: [&v1("{\"a\":\"  \"}", &[])[..10], &[0xff, 0xff, b'"', b'}']].concat() =>
            "header: not valid JSON: invalid unicode code point at line 1 column 7";
        a_header_with_something_after_its_object: v1("{}{}", &[]) => "header: not valid JSON: trailing characters at line 1 column 3";
        a_header_nested_too_deeply: v1(&"{\"a\":".repeat(200), &[]) => "header: not valid JSON: recursion limit exceeded at line 1 column 636";

        no_vocab_size: v1_with("vocab_size", Value::Null) => "header.vocab_size: expected an integer from 3 to 4294967295, found nothing";
        a_vocab_size_below_three: v1_with("vocab_size", json!(2)) => "header.vocab_size: expected an integer from 3 to 4294967295, found 2";
        a_negative_vocab_size: v1_with("vocab_size", json!(-3)) => "header.vocab_size: expected an integer from 3 to 4294967295, found -3";
        a_vocab_size_with_a_fraction: v1_with("vocab_size", json!(3.5)) => "header.vocab_size: expected an integer from 3 to 4294967295, found 3.5";
        a_vocab_size_of_more_than_32_bits: v1_with("vocab_size", json!(1_u64 << 32)) => "header.vocab_size: expected an integer from 3 to 4294967295, found 4294967296";
        a_vocab_size_of_more_than_64_bits: v1(&V1_HEADER.replace(":3", ":36893488147419103232"), &[]) =>
            "header.vocab_size: expected an integer from 3 to 4294967295, found 3.6893488147419103e+19";
        a_vocab_size_that_is_a_string: v1_with("vocab_size", json!("3")) => "header.vocab_size: expected an integer from 3 to 4294967295, found \"3\"";
        no_embedding_dim: v1_with("embedding_dim", Value::Null) => "header.embedding_dim: expected an integer from 1 to 4294967295, found nothing";
        an_embedding_dim_of_zero: v1_with("embedding_dim", json!(0)) => "header.embedding_dim: expected an integer from 1 to 4294967295, found 0";
        no_max_seq_len: v1_with("max_seq_len", Value::Null) => "header.max_seq_len: expected an integer from 1 to 4294967295, found nothing";
        a_max_seq_len_of_zero: v1_with("max_seq_len", json!(0)) => "header.max_seq_len: expected an integer from 1 to 4294967295, found 0";
        no_normalize: v1_with("normalize", Value::Null) => "header.normalize: expected true or false, found nothing";
        a_normalize_that_is_a_number: v1_with("normalize", json!(1)) => "header.normalize: expected true or false, found 1";

        a_table_larger_than_the_limit: v1_with("vocab_size", json!(10_000_000)) => "the header describes a file of 80000078 bytes; expected at most 67108864";
        a_table_whose_size_overflows: v1(r#"{"vocab_size":4294967295,"embedding_dim":4294967295,"max_seq_len":1,"normalize":true}"#, &[]) =>
            "header: a table of 4294967295 x 4294967295 f32 is larger than any file";
        a_file_without_its_last_byte: v1(V1_HEADER, &[0; 23]) => "the file has 94 bytes; its header describes 95";
        a_file_with_a_byte_too_many: v1(V1_HEADER, &[0; 25]) => "the file has 96 bytes; its header describes 95";
        not_a_number_in_the_table: v1(V1_HEADER, &[floats(3), f32::NAN.to_le_bytes().to_vec(), floats(2)].concat()) =>
            "tensor embeddings: row 1, column 1: expected a magnitude of at most 1e15, found NaN";
        an_infinity_in_the_table: v1(V1_HEADER, &[floats(5), f32::NEG_INFINITY.to_le_bytes().to_vec()].concat()) =>
            "tensor embeddings: row 2, column 1: expected a magnitude of at most 1e15, found -inf";
        a_value_too_large_to_be_summed: v1(V1_HEADER, &[1e16_f32.to_le_bytes().to_vec(), floats(5)].concat()) =>
            "tensor embeddings: row 0, column 0: expected a magnitude of at most 1e15, found 10000000000000000";
    }
}

mod safetensors_refuses {
    use super::*;

    const OF: &[&str] = &["embeddings", "data_offsets"];
    const SHAPE: &[&str] = &["embeddings", "shape"];

    refused! {
        a_header_length_of_one: safetensors_with_length(1) => "header length: expected 2 to 1048576 bytes, found 1";
        a_header_longer_than_the_limit: safetensors_with_length(MAX_HEADER_BYTES as u64 + 1) => "header length: expected 2 to 1048576 bytes, found 1048577";
        a_header_length_of_64_bits: safetensors_with_length(u64::MAX) => "header length: expected 2 to 1048576 bytes, found 18446744073709551615";
        a_file_that_ends_inside_its_header: i8_with(&["scales"], json!(1))[..60].to_vec() => "the file ends inside its header: 60 bytes were found";
        a_header_that_is_not_json: safetensors("{embeddings}", &[]) => "header: not valid JSON: key must be a string at line 1 column 2";

        no_metadata: f32_with(&["__metadata__"], Value::Null) => "header.__metadata__.format: expected a string, found nothing";
        metadata_that_is_no_object: f32_with(&["__metadata__"], json!("x")) => "header.__metadata__.format: expected a string, found nothing";
        another_format: f32_with(&["__metadata__", "format"], json!("pt")) => "header.__metadata__.format: expected \"embeddings-worker\", found \"pt\"";
        no_name: f32_with(&["__metadata__", "name"], Value::Null) => "header.__metadata__.name: expected a string, found nothing";
        an_empty_name: f32_with(&["__metadata__", "name"], json!("")) => "header.__metadata__.name: expected the model's name, found \"\"";
        no_tokenizer: f32_with(&["__metadata__", "tokenizer"], Value::Null) => "header.__metadata__.tokenizer: expected a string, found nothing";
        an_unknown_tokenizer: f32_with(&["__metadata__", "tokenizer"], json!("bpe")) =>
            format!("header.__metadata__.tokenizer: expected one of {}, wordpiece, found \"bpe\"", Tokenizer::NAMES);
        no_max_seq_len: f32_with(&["__metadata__", "max_seq_len"], Value::Null) => "header.__metadata__.max_seq_len: expected a string, found nothing";
        a_max_seq_len_that_is_a_number: f32_with(&["__metadata__", "max_seq_len"], json!(4)) => "header.__metadata__.max_seq_len: expected a string, found 4";
        a_max_seq_len_of_zero: f32_with(&["__metadata__", "max_seq_len"], json!("0")) =>
            "header.__metadata__.max_seq_len: expected an integer from 1 to 4294967295, found \"0\"";
        a_max_seq_len_in_words: f32_with(&["__metadata__", "max_seq_len"], json!("four")) =>
            "header.__metadata__.max_seq_len: expected an integer from 1 to 4294967295, found \"four\"";
        an_unknown_architecture: f32_with(&["__metadata__", "architecture"], json!("gpt")) =>
            "header.__metadata__.architecture: expected \"static\" or \"bert\", found \"gpt\"";
        an_architecture_that_is_no_string: f32_with(&["__metadata__", "architecture"], json!(1)) => "header.__metadata__.architecture: expected a string, found 1";
        aliases_that_are_no_json: f32_with(&["__metadata__", "aliases"], json!("tiny")) => aliases("\"tiny\"");
        an_alias_with_more_dimensions_than_the_model: f32_with(&["__metadata__", "aliases"], json!("{\"tiny\":3}")) => aliases(r#""{\"tiny\":3}""#);
        an_alias_of_no_dimensions: f32_with(&["__metadata__", "aliases"], json!("{\"tiny\":0}")) => aliases(r#""{\"tiny\":0}""#);
        an_alias_without_a_name: f32_with(&["__metadata__", "aliases"], json!("{\"\":2}")) => aliases(r#""{\"\":2}""#);
        a_prompt_that_is_no_string: f32_with(&["__metadata__", "query_prompt"], json!(["query: "])) => "header.__metadata__.query_prompt: expected a string, found [\"query: \"]";
        no_normalize: f32_with(&["__metadata__", "normalize"], Value::Null) => "header.__metadata__.normalize: expected a string, found nothing";
        a_normalize_of_yes: f32_with(&["__metadata__", "normalize"], json!("yes")) =>
            "header.__metadata__.normalize: expected \"true\" or \"false\", found \"yes\"";

        no_embeddings: safetensors(&json!({"__metadata__": metadata()}).to_string(), &[]) => "tensor embeddings: missing";
        a_tensor_that_is_no_object: f32_with(&["embeddings"], json!(1)) => "tensor embeddings: expected a string as dtype, found nothing";
        no_dtype: f32_with(&["embeddings", "dtype"], Value::Null) => "tensor embeddings: expected a string as dtype, found nothing";
        a_dtype_that_nobody_knows: f32_with(&["embeddings", "dtype"], json!("F7")) => "tensor embeddings: expected a dtype of known size, found \"F7\"";
        a_dtype_that_is_not_served: safetensors(
            &json!({"__metadata__": metadata(), "embeddings": {"dtype": "F16", "shape": [3, 2], "data_offsets": [0, 12]}}).to_string(), &[0; 12]) =>
            "tensor embeddings: expected the dtype F32, I8 or, for 4 bits a value, U8, found \"F16\"";
        no_shape: f32_with(SHAPE, Value::Null) => "tensor embeddings: expected an array of sizes as shape, found nothing";
        a_negative_size: f32_with(SHAPE, json!([3, -2])) => "tensor embeddings: expected an array of sizes as shape, found [3,-2]";
        a_size_with_a_fraction: f32_with(SHAPE, json!([3, 2.5])) => "tensor embeddings: expected an array of sizes as shape, found [3,2.5]";
        one_axis: f32_with(SHAPE, json!([6])) => "tensor embeddings: expected the shape [vocab_size, embedding_dim], found [6]";
        three_axes: f32_with(SHAPE, json!([3, 2, 1])) => "tensor embeddings: expected the shape [vocab_size, embedding_dim], found [3, 2, 1]";
        two_rows: f32_with(SHAPE, json!([2, 3])) => "tensor embeddings: expected at least 3 rows and 1 column, found [2, 3]";
        no_columns: edited_twice(SHAPE, json!([3, 0]), OF, json!([0, 0])) => "tensor embeddings: expected at least 3 rows and 1 column, found [3, 0]";
        no_offsets: f32_with(OF, Value::Null) => "tensor embeddings: expected [begin, end] as data_offsets, found nothing";
        one_offset: f32_with(OF, json!([24])) => "tensor embeddings: expected [begin, end] as data_offsets, found [24]";
        offsets_that_run_backwards: f32_with(OF, json!([24, 0])) => "tensor embeddings: data_offsets [24, 0] do not hold F32 [3, 2]";
        offsets_that_are_too_short: f32_with(OF, json!([0, 23])) => "tensor embeddings: data_offsets [0, 23] do not hold F32 [3, 2]";
        a_shape_whose_size_overflows: f32_with(SHAPE, json!([u64::MAX, 2])) =>
            "tensor embeddings: data_offsets [0, 24] do not hold F32 [18446744073709551615, 2]";
        offsets_at_the_end_of_64_bits: f32_with(OF, json!([u64::MAX - 24, u64::MAX])) =>
            "tensor embeddings: expected offsets inside a file, found [18446744073709551591,18446744073709551615]";
        a_tensor_that_overlaps_another: i8_with(&["scales", "data_offsets"], json!([2, 14])) =>
            "tensor scales: begins at offset 2, expected 6: tensors must neither overlap nor leave a hole";
        a_hole_between_tensors: i8_with(&["scales", "data_offsets"], json!([8, 20])) =>
            "tensor scales: begins at offset 8, expected 6: tensors must neither overlap nor leave a hole";
        a_hole_before_the_first_tensor: f32_with(OF, json!([4, 28])) =>
            "tensor embeddings: begins at offset 4, expected 0: tensors must neither overlap nor leave a hole";
        a_malformed_tensor_that_nothing_needs: f32_with(&["extra"], json!({"dtype": "U8"})) =>
            "tensor extra: expected an array of sizes as shape, found nothing";

        rows_of_bytes_without_scales: safetensors(
            &json!({"__metadata__": metadata(), "embeddings": {"dtype": "I8", "shape": [3, 2], "data_offsets": [0, 6]}}).to_string(), &[0; 6]) =>
            "tensor scales: missing";
        scales_of_another_dtype: i8_with(&["scales", "dtype"], json!("I32")) => "tensor scales: expected F32 [3], one for each row of embeddings, found I32 [3]";
        scales_of_four_bits_that_are_no_whole_numbers: i4_with(&["scales"], json!({"dtype": "F32", "shape": [3], "data_offsets": [3, 15]}), 15) => "tensor scales: expected I16 [3], one for each row of embeddings, found F32 [3]";
        four_bits_without_a_scale_unit: i4_with(&["__metadata__", "scale_unit"], Value::Null, 9) => "header.__metadata__.scale_unit: expected a string, found nothing";
        a_scale_unit_of_zero: i4_with(&["__metadata__", "scale_unit"], json!("0"), 9) => "header.__metadata__.scale_unit: expected a number above 0, at most 1e9, found \"0\"";
        a_scale_unit_that_is_too_large: i4_with(&["__metadata__", "scale_unit"], json!("1e10"), 9) => "header.__metadata__.scale_unit: expected a number above 0, at most 1e9, found \"1e10\"";
        a_scale_unit_that_is_no_number: i4_with(&["__metadata__", "scale_unit"], json!("NaN"), 9) => "header.__metadata__.scale_unit: expected a number above 0, at most 1e9, found \"NaN\"";
        scales_for_other_rows: safetensors(&edited(edited(i8_header(), &["scales", "shape"], json!([2])), &["scales", "data_offsets"], json!([6, 14])).to_string(), &[0; 14]) =>
            "tensor scales: expected F32 [3], one for each row of embeddings, found F32 [2]";
        a_scale_that_is_infinite: safetensors(&i8_header().to_string(), &[vec![1; 6], floats(1), f32::INFINITY.to_le_bytes().to_vec(), floats(1)].concat()) =>
            "tensor scales: row 1, column 0: expected a magnitude of at most 1e15, found inf";
        a_file_larger_than_the_limit: edited_twice(SHAPE, json!([MAX_FILE_BYTES / 8, 2]), OF, json!([0, MAX_FILE_BYTES])) =>
            format!("the header describes a file of {} bytes; expected at most {MAX_FILE_BYTES}", MAX_FILE_BYTES + header_bytes(SHAPE, json!([MAX_FILE_BYTES / 8, 2]), OF, json!([0, MAX_FILE_BYTES])));
        a_file_without_its_last_byte: short_by_one(f32_with(SHAPE, json!([3, 2]))) => lengths(-1);
        a_file_with_a_byte_too_many: [f32_with(SHAPE, json!([3, 2])), vec![0]].concat() => lengths(1);
    }

    fn aliases(found: &str) -> String {
        format!(
            "header.__metadata__.aliases: expected a JSON object whose fields are names and whose values are dimensions from 1 to 2, found {found}"
        )
    }

    fn safetensors_with_length(length: u64) -> Vec<u8> {
        [&length.to_le_bytes()[..], b"{}"].concat()
    }

    fn edited_twice(path: &[&str], value: Value, other_path: &[&str], other: Value) -> Vec<u8> {
        let header = edited(edited(f32_header(), path, value), other_path, other);
        safetensors(&header.to_string(), &[])
    }

    /// Of a file without its tensors: 8 bytes and the header.
    fn header_bytes(path: &[&str], value: Value, other_path: &[&str], other: Value) -> usize {
        edited_twice(path, value, other_path, other).len()
    }

    fn short_by_one(mut file: Vec<u8>) -> Vec<u8> {
        file.pop();
        file
    }

    fn lengths(difference: isize) -> String {
        let whole = 8 + f32_header().to_string().len() + 24;
        let found = whole.checked_add_signed(difference).unwrap();
        format!("the file has {found} bytes; its header describes {whole}")
    }
}

// ------------------------------------------------------------------------------------------- what is read

#[test]
fn v1_is_read_with_its_fields() {
    let file = v1(V1_HEADER, &floats(6));
    let weights = WeightsFile::from_bytes(file.clone()).unwrap();
    assert_eq!(weights.head.file_bytes, file.len());
    let embeddings = weights.tensor("embeddings").unwrap();
    assert_eq!(
        (embeddings.dtype, embeddings.shape),
        (Dtype::F32, &[3, 2][..])
    );
    assert_eq!(embeddings.bytes, floats(6));
    assert_eq!(weights.tensor("scales"), None);
    let expected = ModelInfo {
        name: "embeddings-worker".to_owned(),
        architecture: "static",
        tokenizer: "ascii-words",
        dtype: "F32",
        dimensions: 2,
        semantic_dimensions: 2,
        max_input_tokens: 4,
        max_request_tokens: 300_000,
        normalize: true,
        multiply_adds_per_token: 2,
        aliases: vec![],
        prompts: Default::default(),
    };
    assert_eq!(Model::from_file(weights).unwrap().info(), &expected);
}

#[test]
fn v1_takes_white_space_and_unknown_fields_in_its_header() {
    let header = V1_HEADER
        .replace(',', " ,\n")
        .replace('}', r#","made_by":"hand"} "#);
    let weights = WeightsFile::from_bytes(v1(&header, &floats(6))).unwrap();
    assert_eq!(weights.tensor("embeddings").unwrap().bytes, floats(6));
}

#[test]
fn architecture_aliases_and_prompts_are_read() {
    let mut header = f32_header();
    let metadata = &mut header["__metadata__"];
    metadata["architecture"] = json!("static");
    metadata["aliases"] = json!(r#"{"tiny-whole": 2, "tiny-half": 1}"#);
    metadata["query_prompt"] = json!("query: ");
    let model = model(safetensors(&header.to_string(), &floats(6))).unwrap();
    let info: Value = serde_json::from_str(&model.info().to_json()).unwrap();
    assert_eq!(
        info,
        json!({
            "name": "tiny", "architecture": "static", "tokenizer": "ascii-words", "dtype": "F32",
            "dimensions": 2, "semanticDimensions": 2, "maxInputTokens": 4, "maxRequestTokens": 300_000,
            "normalize": false, "multiplyAddsPerToken": 2,
            "aliases": {"tiny-half": 1, "tiny-whole": 2}, "prompts": {"query": "query: ", "document": null},
        })
    );
}

#[test]
fn a_tensor_is_handed_out_by_its_name_dtype_and_shape() {
    let weights =
        WeightsFile::from_bytes(safetensors(&f32_header().to_string(), &floats(6))).unwrap();
    let asked = |name, dtype, shape: &[usize]| {
        let found = weights.tensor_of(name, dtype, shape);
        found.map(<[u8]>::to_vec).map_err(|error| error.to_string())
    };
    assert_eq!(asked("embeddings", Dtype::F32, &[3, 2]), Ok(floats(6)));
    let found = "tensor embeddings: expected I8 [3, 2], found F32 [3, 2]";
    assert_eq!(
        asked("embeddings", Dtype::I8, &[3, 2]),
        Err(found.to_owned())
    );
    let found = "tensor embeddings: expected F32 [2], found F32 [3, 2]";
    assert_eq!(asked("embeddings", Dtype::F32, &[2]), Err(found.to_owned()));
    let found = "tensor idf: missing";
    assert_eq!(asked("idf", Dtype::U8, &[2]), Err(found.to_owned()));
}

#[test]
fn rows_of_f32_in_a_safetensors_file_give_the_same_embeddings_as_in_v1() {
    let rows = [0.5, -1.0, 0.25, 8.0, -3.0, 1e-30_f32]
        .map(f32::to_le_bytes)
        .concat();
    let v1_header = V1_HEADER.replace("true", "false");
    let files = [
        v1(&v1_header, &rows),
        safetensors(&f32_header().to_string(), &rows),
    ];
    let [of_v1, of_safetensors] =
        files.map(|file| embedded(file, "one !!! two three four five").map(f32::to_bits));
    assert_eq!(of_v1, of_safetensors);
}

#[test]
fn rows_of_bytes_are_multiplied_by_their_scale() {
    let data = [
        vec![0, 0, 1, 2, 0x80, 127],
        [9.0, 1.0, 0.5_f32].map(f32::to_le_bytes).concat(),
    ]
    .concat();
    let file = safetensors(&i8_header().to_string(), &data);
    // Of three rows only the last is a word's; row 1 is that of words without an ASCII letter or digit.
    assert_eq!(embedded(file.clone(), "word"), [-64.0, 63.5]);
    assert_eq!(embedded(file.clone(), "!!!"), [1.0, 2.0]);
    assert_eq!(embedded(file, "word !!!"), [-31.5, 32.75]);
}

#[test]
fn rows_of_four_bits_hold_two_halves_and_are_multiplied_by_their_scale() {
    let data = [
        vec![0, 0x78, 0xF0],
        [9, 2, -4_i16].map(i16::to_le_bytes).concat(),
    ]
    .concat();
    let file = safetensors(&i4_header().to_string(), &data);
    // The low four bits come first; level 7.5 would be 0.
    assert_eq!(embedded(file.clone(), "word"), [15.0, -15.0]);
    assert_eq!(embedded(file, "!!!"), [0.5, -0.5]);
}

#[test]
fn tensors_may_lie_in_any_order_and_others_beside_them() {
    let header = json!({
        "__metadata__": metadata(),
        "embeddings": {"dtype": "I8", "shape": [3, 2], "data_offsets": [20, 26]},
        "scales": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "extra": {"dtype": "U64", "shape": [1], "data_offsets": [12, 20]},
        "nothing": {"dtype": "BOOL", "shape": [0], "data_offsets": [20, 20]},
    });
    let data = [
        [1.0, 1.0, 2.0_f32].map(f32::to_le_bytes).concat(),
        vec![0xff; 8],
        vec![0, 0, 0, 0, 3, 4],
    ]
    .concat();
    assert_eq!(
        embedded(safetensors(&header.to_string(), &data), "word"),
        [6.0, 8.0]
    );
}

#[test]
fn a_safetensors_header_may_end_in_spaces() {
    // Writers pad it so that tensors begin at a multiple of eight bytes.
    let header = format!("{}     ", f32_header());
    assert_eq!(
        embedded(safetensors(&header, &floats(6)), "word"),
        [4.0, 5.0]
    );
}

#[test]
fn the_largest_magnitude_is_taken() {
    let rows = [0.0, 0.0, 0.0, 0.0, 1e15, -1e15_f32]
        .map(f32::to_le_bytes)
        .concat();
    assert!(model(v1(V1_HEADER, &rows)).is_ok());
}

#[test]
fn a_header_asks_for_more_bytes_until_it_is_whole() {
    for file in [
        v1(V1_HEADER, &floats(6)),
        safetensors(&f32_header().to_string(), &floats(6)),
    ] {
        let header_end = file.len() - 24;
        for length in 0..header_end {
            assert_eq!(Head::parse(&file[..length]), Ok(None), "{length} bytes");
        }
        let header = Head::parse(&file[..header_end]).unwrap().unwrap();
        assert_eq!(header.file_bytes, file.len());
        assert_eq!(header.tensors[0].range, header_end..file.len());
    }
}

fn embedded(file: Vec<u8>, text: &str) -> [f32; 2] {
    let mut embedding = [0.0; 2];
    model(file)
        .unwrap()
        .embed(text, &mut Scratch::default(), &mut embedding);
    embedding
}
