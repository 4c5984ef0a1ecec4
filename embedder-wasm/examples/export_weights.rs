//! Turns a model-dir (`config.json` and `token_embeddings.f32`, as auto-g-embed and `train` write it)
//! into a weights file: format v1 for the tokenizer ascii-words in f32, else a safetensors container.

#[path = "train/model_reader.rs"]
mod model_reader;
#[path = "train/quantize.rs"]
mod quantize;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use embedder_wasm::weights::{MAX_FILE_BYTES, VALUES_IN_AN_I4_BYTE, Weights};
use model_reader::ModelDir;
use quantize::Dtype;
use serde_json::{Map, Value, json};

/// Turn a model-dir into a weights file for the Worker.
#[derive(Parser)]
struct Arguments {
    /// Folder with config.json and token_embeddings.f32.
    model_dir: PathBuf,
    /// The weights file to write.
    out: PathBuf,
    /// How the rows are stored: i8 takes a quarter of the room of f32, i4 an eighth.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    /// The model's name, for formats that carry one.
    #[arg(long, default_value = "embeddings-worker")]
    name: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let model = ModelDir::read(&arguments.model_dir)?;
    arguments.dtype.check_dim(model.table_dim)?;
    let bytes = match (arguments.dtype, &model.extension) {
        (Dtype::F32, None) => v1(&model),
        _ => safetensors(&model, arguments.dtype, &arguments.name),
    };
    let bytes_written = bytes.len();
    if bytes_written > MAX_FILE_BYTES {
        return Err(format!(
            "the weights file would have {bytes_written} bytes; one KV value holds {MAX_FILE_BYTES}. A smaller --dtype or table is needed"
        ));
    }
    // What the Worker would refuse is not written.
    let weights = Weights::from_bytes(bytes.clone())
        .map_err(|error| format!("the model is not usable: {error}"))?;
    write(&arguments.out, &bytes)?;
    let header = &weights.header;
    println!(
        "{}: {} rows of {} {}, {}, vectors of {}, {bytes_written} bytes",
        arguments.out.display(),
        header.vocab_size,
        header.table_dim,
        header.dtype.name(),
        header.tokenizer.name(),
        header.embedding_dim,
    );
    if arguments.dtype != Dtype::F32 {
        println!(
            "the rounding of the rows loses {:.3} % of their energy",
            100.0 * lost(&model, arguments.dtype)
        );
    }
    Ok(())
}

/// The share of the squared values that storing the rows loses.
fn lost(model: &ModelDir, dtype: Dtype) -> f64 {
    let energy = |value: f32| f64::from(value) * f64::from(value);
    let (mut lost, mut all) = (0.0, 0.0);
    let mut stored = vec![0.0; model.table_dim];
    for row in model.rows.chunks(model.table_dim) {
        dtype.round(row, &mut stored);
        lost += row
            .iter()
            .zip(&stored)
            .map(|(exact, stored)| energy(exact - stored))
            .sum::<f64>();
        all += row.iter().map(|&value| energy(value)).sum::<f64>();
    }
    lost / all
}

fn v1(model: &ModelDir) -> Vec<u8> {
    let header = json!({
        "vocab_size": model.vocab_size,
        "embedding_dim": model.table_dim,
        "max_seq_len": model.max_seq_len,
        "normalize": model.normalize,
    })
    .to_string();
    let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(model.rows.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn safetensors(model: &ModelDir, dtype: Dtype, name: &str) -> Vec<u8> {
    let mut metadata = Map::new();
    let mut describe = |field: &str, value: String| metadata.insert(field.to_owned(), value.into());
    describe("format", "embeddings-worker".to_owned());
    describe("name", name.to_owned());
    describe("max_seq_len", model.max_seq_len.to_string());
    describe("normalize", model.normalize.to_string());
    // Tensors of wider values first: so all stay aligned.
    let mut tensors = Tensors::default();
    let (scales, values) = stored(&model.rows, model.table_dim, dtype);
    match dtype {
        Dtype::F32 => {}
        Dtype::I8 => {
            let scales = scales.iter().flat_map(|scale| scale.to_le_bytes());
            tensors.add("scales", "F32", &[model.vocab_size], scales.collect());
        }
        Dtype::I4 => {
            let (scale_unit, scales) = whole_scales(&scales);
            describe("scale_unit", scale_unit.to_string());
            let scales = scales.flat_map(|scale| scale.to_le_bytes());
            tensors.add("scales", "I16", &[model.vocab_size], scales.collect());
        }
    }
    if let Some(extension) = &model.extension {
        describe("tokenizer", extension.tokenizer.clone());
        describe("lexical_dim", extension.lexical_dim.to_string());
        describe("lexical_weight", extension.lexical_weight.to_string());
        tensors.add("idf", "U8", &[extension.idf.len()], extension.idf.clone());
    } else {
        describe("tokenizer", "ascii-words".to_owned());
    }
    let (name, columns) = match dtype {
        Dtype::F32 => ("F32", model.table_dim),
        Dtype::I8 => ("I8", model.table_dim),
        Dtype::I4 => ("U8", model.table_dim / VALUES_IN_AN_I4_BYTE),
    };
    tensors.add("embeddings", name, &[model.vocab_size, columns], values);
    tensors.file(metadata)
}

/// The tensors of a safetensors file, in order.
#[derive(Default)]
struct Tensors {
    entries: Map<String, Value>,
    bytes: Vec<u8>,
}

impl Tensors {
    fn add(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>) {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let entry =
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, self.bytes.len()] });
        self.entries.insert(name.to_owned(), entry);
    }

    fn file(mut self, metadata: Map<String, Value>) -> Vec<u8> {
        self.entries
            .insert("__metadata__".to_owned(), metadata.into());
        let mut header = Value::Object(self.entries).to_string();
        // Spaces up to a multiple of 8, as safetensors has it.
        header.extend(std::iter::repeat_n(
            ' ',
            header.len().next_multiple_of(8) - header.len(),
        ));
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(self.bytes);
        file
    }
}

/// Scales as whole multiples of a unit, which makes sums of rows exact.
fn whole_scales(scales: &[f32]) -> (f32, impl Iterator<Item = i16>) {
    let largest = scales.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let unit = (largest / f32::from(i16::MAX)).max(f32::MIN_POSITIVE);
    let whole = move |scale: &f32| (scale / unit).round() as i16;
    (unit, scales.iter().map(whole))
}

/// Scales, and the values of the rows as they lie in the file; F32 has no scales.
fn stored(rows: &[f32], dim: usize, dtype: Dtype) -> (Vec<f32>, Vec<u8>) {
    let (mut scales, mut values) = (Vec::new(), Vec::new());
    for row in rows.chunks(dim) {
        if dtype == Dtype::F32 {
            values.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            continue;
        }
        let (scale, numbers) = dtype.quantized(row);
        scales.push(scale);
        match dtype {
            Dtype::I4 => {
                let levels: Vec<u8> = numbers.map(|number| (number + 8) as u8).collect();
                let (low, high) = levels.split_at(dim / VALUES_IN_AN_I4_BYTE);
                values.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
            }
            _ => values.extend(numbers.map(|number| number as u8)),
        }
    }
    (scales, values)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_reader::Extension;

    const DIM: usize = 4;

    fn model(extension: Option<Extension>) -> ModelDir {
        let mut rows = vec![0.0; DIM];
        rows.extend([
            1.0, -0.5, 0.25, 0.1, -2.0, 0.013, 1.0, 0.3, 1e-3, 2e-3, -3e-3, 1e-3,
        ]);
        ModelDir {
            vocab_size: 4,
            table_dim: DIM,
            max_seq_len: 9,
            normalize: true,
            rows,
            extension,
        }
    }

    fn extension() -> Extension {
        Extension {
            tokenizer: "words-and-stems".to_owned(),
            lexical_dim: 8,
            lexical_weight: 0.5,
            idf: vec![1, 2, 3],
        }
    }

    #[test]
    fn format_v1_holds_the_rows_bit_for_bit() {
        let model = model(None);
        let weights = Weights::from_bytes(v1(&model)).unwrap();
        let bytes: Vec<u8> = model
            .rows
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(weights.embeddings(), bytes);
        let header = &weights.header;
        assert_eq!(
            (header.vocab_size, header.max_seq_len, header.normalize),
            (4, 9, true)
        );
    }

    #[test]
    fn quantised_rows_read_as_the_trainer_saw_them() {
        let model = model(None);
        for dtype in [Dtype::I8, Dtype::I4] {
            let file = safetensors(&model, dtype, "tiny");
            let loaded = embedder_wasm::model::Model::new(Weights::from_bytes(file).unwrap());
            assert_eq!(loaded.header().name, "tiny");
            // "a" and "b" have rows 2 and 3 or 3 and 2; each vector is a stored row, normalised.
            for word in ["a", "b"] {
                let mut embedding = [0.0; DIM];
                loaded.embed(word, &mut embedding);
                let expected = model.rows.chunks(DIM).map(|row| {
                    let mut stored = [0.0; DIM];
                    dtype.round(row, &mut stored);
                    embedder_wasm::model::normalize(&mut stored);
                    stored
                });
                let near = |row: [f32; DIM]| {
                    row.iter()
                        .zip(&embedding)
                        .all(|(a, b)| (a - b).abs() < 1e-6)
                };
                assert!(
                    expected.into_iter().any(near),
                    "{dtype:?} {word}: {embedding:?}"
                );
            }
        }
    }

    #[test]
    fn an_extended_model_keeps_its_lexical_part() {
        for dtype in [Dtype::F32, Dtype::I8, Dtype::I4] {
            let weights =
                Weights::from_bytes(safetensors(&model(Some(extension())), dtype, "tiny")).unwrap();
            let lexical = weights.header.lexical.as_ref().unwrap();
            assert_eq!(
                (lexical.dim, lexical.weight, weights.header.embedding_dim),
                (8, 0.5, DIM + 8)
            );
            assert_eq!(weights.idf(), [1, 2, 3]);
        }
    }

    #[test]
    fn refuses_a_model_dir_that_does_not_fit_together() {
        let folder = std::env::temp_dir().join(format!("export-weights-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let read = |config: &str, table: &[u8]| {
            fs::write(folder.join("config.json"), config).unwrap();
            fs::write(folder.join("token_embeddings.f32"), table).unwrap();
            ModelDir::read(&folder)
                .err()
                .map(|message| message.replace(&*folder.to_string_lossy(), "DIR"))
        };
        let good = r#"{"vocab_size":3,"embedding_dim":1,"max_seq_len":5,"normalize":true}"#;
        assert_eq!(read(good, &[0; 12]), None);
        let cases: [(&str, &[u8], &str); 4] = [
            (
                good,
                &[0; 11],
                "DIR/token_embeddings.f32: expected 3 x 1 f32, 12 bytes, found 11",
            ),
            (
                "[1",
                &[],
                "DIR/config.json: not valid JSON: EOF while parsing a list at line 1 column 2",
            ),
            (
                r#"{"vocab_size":2}"#,
                &[],
                "DIR/config.json: vocab_size: expected an integer of at least 3, found 2",
            ),
            (
                r#"{"vocab_size":3,"embedding_dim":1,"max_seq_len":5}"#,
                &[],
                "DIR/config.json: normalize: expected true or false, found null",
            ),
        ];
        for (config, table, message) in cases {
            assert_eq!(read(config, table).as_deref(), Some(message));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
