//! The architecture `bert`: vectors beside those of Hugging Face's BertModel, the same bits on all targets, and what a file
//! is refused for.

use std::path::PathBuf;

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::models::{Model, Scratch};
use serde_json::{Map, Value, json};

/// Of the vectors of tiny models. 12-bit activations cost a hundredth of it in real models, which average over more.
const LEAST_COSINE: f64 = 0.9999;

struct Golden {
    texts: Vec<String>,
    models: Vec<GoldenModel>,
}

struct GoldenModel {
    file: String,
    /// Of each text, with the special ones.
    tokens: Vec<usize>,
    max_tokens: usize,
    vectors: Vec<Vec<f64>>,
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden_path(name)).unwrap()).unwrap()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn golden() -> Golden {
    let golden = read_json("bert.json");
    let count = |value: &Value| value.as_u64().unwrap() as usize;
    Golden {
        texts: list(&golden["texts"], text),
        models: list(&golden["models"], |model| GoldenModel {
            file: text(&model["file"]),
            tokens: list(&model["tokens"], count),
            max_tokens: count(&model["max_tokens"]),
            vectors: list(&model["vectors"], |vector| {
                list(vector, |value| value.as_f64().unwrap())
            }),
        }),
    }
}

fn load(bytes: Vec<u8>) -> Result<Model, String> {
    let file = WeightsFile::from_bytes(bytes).map_err(|error| error.to_string())?;
    Model::from_file(file).map_err(|error| error.to_string())
}

fn golden_model(name: &str) -> Model {
    load(std::fs::read(golden_path(name)).unwrap()).unwrap()
}

fn embed(model: &Model, text: &str, scratch: &mut Scratch) -> Vec<f32> {
    let mut vector = vec![f32::NAN; model.info().dimensions];
    model.embed(text, scratch, &mut vector);
    vector
}

#[test]
fn vectors_are_those_of_hugging_faces_bert_model() {
    let golden = golden();
    for expected in &golden.models {
        let model = golden_model(&expected.file);
        let mut scratch = Scratch::default();
        for (index, text) in golden.texts.iter().enumerate() {
            let found = embed(&model, text, &mut scratch);
            let expected = &expected.vectors[index];
            assert_eq!(found.len(), expected.len());
            let norm = |squares: f64| squares.sqrt();
            let found_norm = norm(found.iter().map(|x| f64::from(*x).powi(2)).sum());
            let expected_norm = norm(expected.iter().map(|x| x * x).sum());
            let product: f64 = found
                .iter()
                .zip(expected)
                .map(|(a, b)| f64::from(*a) * b)
                .sum();
            let cosine = product / (found_norm * expected_norm);
            let name = &model.info().name;
            assert!(cosine >= LEAST_COSINE, "{name}, {text:?}: cosine {cosine}");
            let lengths = found_norm / expected_norm;
            assert!(
                (lengths - 1.0).abs() < 0.01,
                "{name}, {text:?}: lengths {lengths}"
            );
        }
    }
}

#[test]
fn tokens_are_counted_with_the_special_ones_and_cut_at_what_the_model_reads() {
    let golden = golden();
    for expected in &golden.models {
        let model = golden_model(&expected.file);
        let mut scratch = Scratch::default();
        for (text, tokens) in golden.texts.iter().zip(&expected.tokens) {
            let counted = model.count(text);
            assert_eq!(counted.tokens, *tokens, "{text:?}");
            assert_eq!(counted.tokens_read, (*tokens).min(expected.max_tokens));
            let mut vector = vec![0.0; model.info().dimensions];
            assert_eq!(model.embed(text, &mut scratch, &mut vector), counted);
            assert!(model.work(counted.tokens_read) <= model.most_work(text));
        }
    }
}

/// `bert-bits.json` has the vectors in base64, which the Worker's test compares with what the wasm gives.
#[test]
fn vectors_have_the_bits_that_they_have_on_all_targets() {
    let golden = golden();
    let found: Map<String, Value> = golden
        .models
        .iter()
        .map(|GoldenModel { file, .. }| {
            let model = golden_model(file);
            let mut scratch = Scratch::default();
            let bits = |text: &String| {
                let vector = embed(&model, text, &mut scratch);
                let bytes: Vec<u8> = vector
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                base64_simd::STANDARD.encode_to_string(bytes)
            };
            (
                file.clone(),
                golden.texts.iter().map(bits).collect::<Vec<_>>().into(),
            )
        })
        .collect();
    let found = Value::Object(found);
    assert!(found == read_json("bert-bits.json"), "found: {found}");
}

#[test]
fn vectors_do_not_depend_on_what_the_scratch_memory_was_used_for() {
    let golden = golden();
    let models: Vec<Model> = golden
        .models
        .iter()
        .map(|model| golden_model(&model.file))
        .collect();
    let mut used = Scratch::default();
    // Each text after each, and after each model.
    for round in 0..golden.texts.len() {
        for model in &models {
            for index in 0..golden.texts.len() {
                let text = &golden.texts[(index * 3 + round) % golden.texts.len()];
                let fresh = embed(model, text, &mut Scratch::default());
                assert_eq!(embed(model, text, &mut used), fresh, "{text:?}");
            }
        }
    }
}

/// What `embed_within` is given to go on.
fn half_way(scratch: &Scratch) -> Vec<u8> {
    let (layers_done, hidden) = scratch.half_way();
    let hidden = hidden.iter().flat_map(|value| value.to_le_bytes());
    layers_done
        .to_le_bytes()
        .into_iter()
        .chain(hidden)
        .collect()
}

#[test]
fn a_text_that_stops_after_each_layer_has_the_bits_that_it_has_in_one() {
    let golden = golden();
    let mut scratch = Scratch::default();
    let mut stops = 0;
    for model in golden.models.iter().map(|model| golden_model(&model.file)) {
        for text in &golden.texts {
            let mut vector = vec![f32::NAN; model.info().dimensions];
            let mut begun = Vec::new();
            while model
                .embed_within(text, &begun, 0.0, &mut scratch, &mut vector)
                .is_none()
            {
                begun = half_way(&scratch);
                stops += 1;
                // Others come in between.
                embed(&model, "another text", &mut scratch);
            }
            assert_eq!(
                vector,
                embed(&model, text, &mut Scratch::default()),
                "{text:?}"
            );
        }
    }
    assert!(stops >= golden.texts.len());
}

#[test]
#[should_panic(expected = "another text was begun")]
fn a_text_does_not_go_on_where_another_one_was_begun() {
    let model = golden_model("bert-mean-gelu.safetensors");
    let mut scratch = Scratch::default();
    let mut vector = vec![0.0; model.info().dimensions];
    model.embed_within("one text", &[], 0.0, &mut scratch, &mut vector);
    let begun = half_way(&scratch);
    model.embed_within(
        "a text that is longer",
        &begun,
        0.0,
        &mut scratch,
        &mut vector,
    );
}

#[test]
fn fewer_dimensions_are_the_first_ones_normalised_where_the_model_normalises() {
    let text = "the old house of stone";
    for (name, normalizes) in [
        ("bert-mean-gelu.safetensors", true),
        ("bert-cls-relu.safetensors", false),
    ] {
        let model = golden_model(name);
        let whole = embed(&model, text, &mut Scratch::default());
        let mut cut = vec![0.0; 5];
        model.embed(text, &mut Scratch::default(), &mut cut);
        let norm = if normalizes {
            whole[..5]
                .iter()
                .map(|value| value * value)
                .sum::<f32>()
                .sqrt()
        } else {
            1.0
        };
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!((cut - whole / norm).abs() < 1e-6);
        }
    }
}

// ------------------------------------------------------------------------------------------ refusals

/// A golden file with another header.
fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    edited_file("bert-mean-gelu.safetensors", edit)
}

fn edited_file(name: &str, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = std::fs::read(golden_path(name)).unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header = serde_json::from_slice(header).unwrap();
    edit(&mut header);
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

fn refusal(edit: impl FnOnce(&mut Value)) -> String {
    match load(edited(edit)) {
        Ok(_) => panic!("a file that must be refused was read"),
        Err(reason) => reason,
    }
}

fn refusal_of_field(field: &str, value: &str) -> String {
    refusal(|header| header["__metadata__"][field] = json!(value))
}

/// The tensor's bytes stay, under another name.
fn rename(header: &mut Value, name: &str) {
    let tensor = header.as_object_mut().unwrap().remove(name).unwrap();
    header["other"] = tensor;
}

#[test]
fn an_activation_that_is_not_supported_is_refused() {
    assert_eq!(
        refusal_of_field("hidden_act", "silu"),
        r#"header.__metadata__.hidden_act: expected one of gelu, gelu_new, relu, found "silu""#
    );
}

#[test]
fn heads_that_do_not_divide_the_hidden_size_are_refused() {
    for heads in ["5", "12"] {
        assert_eq!(
            refusal_of_field("num_attention_heads", heads),
            format!(
                "header.__metadata__.num_attention_heads: expected a divisor of the hidden size 32 that leaves each head at most 512 dimensions, found \"{heads}\""
            )
        );
    }
}

#[test]
fn more_layers_than_are_supported_are_refused() {
    assert_eq!(
        refusal_of_field("num_hidden_layers", "25"),
        r#"header.__metadata__.num_hidden_layers: expected an integer from 1 to 24, found "25""#
    );
}

#[test]
fn a_layer_that_is_missing_is_refused() {
    let reason = refusal_of_field("num_hidden_layers", "3");
    assert_eq!(
        reason,
        "tensor encoder.layer.2.attention.self.query.bias: missing"
    );
}

#[test]
fn a_pooling_that_is_not_supported_is_refused() {
    assert_eq!(
        refusal_of_field("pooling", "max"),
        r#"header.__metadata__.pooling: expected one of cls, mean, found "max""#
    );
}

#[test]
fn another_tokenizer_is_refused() {
    assert_eq!(
        refusal_of_field("tokenizer", "unigram"),
        r#"header.__metadata__.tokenizer: expected "wordpiece", found "unigram""#
    );
}

#[test]
fn more_tokens_than_there_are_positions_are_refused() {
    assert_eq!(
        refusal_of_field("max_seq_len", "41"),
        "tensor embeddings.position_embeddings.weight: expected F32 [41, 32], found F32 [40, 32]"
    );
}

#[test]
fn a_tensor_that_is_missing_is_refused() {
    let name = "encoder.layer.1.output.dense.weight.scales";
    let reason = refusal(|header| rename(header, name));
    assert_eq!(reason, format!("tensor {name}: missing"));
}

#[test]
fn a_matrix_that_is_not_laid_out_in_panels_is_refused() {
    let name = "encoder.layer.0.attention.self.key.weight";
    let reason = refusal(|header| header[name]["shape"] = json!([32, 32]));
    assert_eq!(
        reason,
        format!("tensor {name}: expected I8 [4, 16, 4, 2, 2], found I8 [32, 32]")
    );
}

#[test]
fn a_special_token_that_is_not_in_the_vocabulary_is_refused() {
    let reason = refusal_of_field("cls_token", "<s>");
    assert!(
        reason.contains("cls_token: \"<s>\" is no token of the vocabulary"),
        "{reason}"
    );
}

#[test]
fn weights_of_10_bits_that_are_too_large_are_refused() {
    let name = "bert-dense-gelu-new.safetensors";
    let mut bytes = std::fs::read(golden_path(name)).unwrap();
    let file = WeightsFile::from_bytes(bytes.clone()).unwrap();
    let tensor = "encoder.layer.0.attention.self.value.weight";
    let start = file.head.tensor(tensor).unwrap().range.start;
    bytes[start..start + 2].copy_from_slice(&(-512_i16).to_le_bytes());
    assert_eq!(
        load(bytes).err().unwrap(),
        format!("tensor {tensor}: expected magnitudes of at most 511, found 512")
    );
}

#[test]
fn exact_inputs_that_do_not_ascend_or_that_a_layer_does_not_have_are_refused() {
    let file_name = "bert-exact-columns.safetensors";
    let tensor = "encoder.layer.0.intermediate.dense.weight.exact_inputs";
    let original = std::fs::read(golden_path(file_name)).unwrap();
    let file = WeightsFile::from_bytes(original.clone()).unwrap();
    let start = file.head.tensor(tensor).unwrap().range.start;
    for inputs in [[23_i32, 0], [3, 3], [0, 24], [-1, 3]] {
        let mut bytes = original.clone();
        for (index, input) in inputs.iter().enumerate() {
            bytes[start + 4 * index..][..4].copy_from_slice(&input.to_le_bytes());
        }
        assert_eq!(
            load(bytes).err().unwrap(),
            format!(
                "tensor {tensor}: expected numbers below 24 in ascending order, found {inputs:?}"
            )
        );
    }
}

#[test]
fn exact_inputs_without_their_columns_and_where_layers_share_their_inputs_are_refused() {
    let file = "bert-exact-columns.safetensors";
    let name = "encoder.layer.1.attention.output.dense.weight";
    let columns = format!("{name}.exact_columns");
    let reason = load(edited_file(file, |header| rename(header, &columns)));
    let reason = reason.err().unwrap();
    assert!(reason.contains(&columns), "{reason}");

    let query = "encoder.layer.1.attention.self.query.weight";
    let moved = edited_file(file, |header| {
        for part in ["exact_inputs", "exact_columns"] {
            let tensors = header.as_object_mut().unwrap();
            let tensor = tensors.remove(&format!("{name}.{part}")).unwrap();
            tensors.insert(format!("{query}.{part}"), tensor);
        }
    });
    assert_eq!(
        load(moved).err().unwrap(),
        format!(
            "tensor {query}.exact_inputs: expected none, since other layers read the same vectors"
        )
    );
}

#[test]
fn a_scale_that_is_not_a_number_is_refused() {
    let mut bytes = std::fs::read(golden_path("bert-mean-gelu.safetensors")).unwrap();
    let file = WeightsFile::from_bytes(bytes.clone()).unwrap();
    let tensor = "embeddings.LayerNorm.weight";
    let start = file.head.tensor(tensor).unwrap().range.start;
    bytes[start + 4..start + 8].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        load(bytes).err().unwrap(),
        format!(
            "tensor {tensor}: row 0, column 1: expected a magnitude of at most 1e15, found NaN"
        )
    );
}
