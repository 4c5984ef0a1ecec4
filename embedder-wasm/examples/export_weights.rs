//! Turns a model-dir (`config.json` and `token_embeddings.f32`, as auto-g-embed and `train` write it)
//! into a weights file: format v1 for f32, a safetensors container for i8.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use embedder_wasm::weights::{MAX_FILE_BYTES, Weights};
use serde_json::{Value, json};

/// Turn a model-dir into a weights file for the Worker.
#[derive(Parser)]
struct Arguments {
    /// Folder with config.json and token_embeddings.f32.
    model_dir: PathBuf,
    /// The weights file to write.
    out: PathBuf,
    /// f32 gives format v1; i8 a quarter of the size, in a safetensors container.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    /// The model's name, for formats that carry one.
    #[arg(long, default_value = "embeddings-worker")]
    name: String,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Dtype {
    F32,
    I8,
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
    let (config, rows) = read_model_dir(&arguments.model_dir)?;
    let bytes = match arguments.dtype {
        Dtype::F32 => v1(&config, &rows),
        Dtype::I8 => safetensors(&config, &rows, &arguments.name),
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
        "{}: {} x {} {}, {}, {bytes_written} bytes",
        arguments.out.display(),
        header.vocab_size,
        header.embedding_dim,
        header.dtype.name(),
        header.tokenizer.name(),
    );
    Ok(())
}

/// config.json.
struct Config {
    vocab_size: usize,
    embedding_dim: usize,
    max_seq_len: usize,
    normalize: bool,
}

fn read_model_dir(folder: &Path) -> Result<(Config, Vec<f32>), String> {
    let path = folder.join("config.json");
    let shown = path.display();
    let fields: Value = serde_json::from_slice(&read(&path)?)
        .map_err(|error| format!("{shown}: not valid JSON: {error}"))?;
    let number = |field: &str, least: u64| match fields[field].as_u64() {
        Some(number) if (least..=u64::from(u32::MAX)).contains(&number) => Ok(number as usize),
        _ => Err(format!(
            "{shown}: {field}: expected an integer of at least {least}, found {}",
            fields[field]
        )),
    };
    let config = Config {
        vocab_size: number("vocab_size", 3)?,
        embedding_dim: number("embedding_dim", 1)?,
        max_seq_len: number("max_seq_len", 1)?,
        normalize: fields["normalize"].as_bool().ok_or_else(|| {
            format!(
                "{shown}: normalize: expected true or false, found {}",
                fields["normalize"]
            )
        })?,
    };
    let path = folder.join("token_embeddings.f32");
    let bytes = read(&path)?;
    let expected = config.vocab_size as u128 * config.embedding_dim as u128 * 4;
    if bytes.len() as u128 != expected {
        return Err(format!(
            "{}: expected {} x {} f32, {expected} bytes, found {}",
            path.display(),
            config.vocab_size,
            config.embedding_dim,
            bytes.len()
        ));
    }
    let rows = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect();
    Ok((config, rows))
}

fn v1(config: &Config, rows: &[f32]) -> Vec<u8> {
    let header = json!({
        "vocab_size": config.vocab_size,
        "embedding_dim": config.embedding_dim,
        "max_seq_len": config.max_seq_len,
        "normalize": config.normalize,
    })
    .to_string();
    let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn safetensors(config: &Config, rows: &[f32], name: &str) -> Vec<u8> {
    let (values, scales) = quantized(rows, config.embedding_dim);
    let (scales_end, file_end) = (scales.len() * 4, scales.len() * 4 + values.len());
    // Scales first: they stay aligned.
    let mut header = json!({
        "__metadata__": {
            "format": "embeddings-worker",
            "name": name,
            "tokenizer": "ascii-words",
            "max_seq_len": config.max_seq_len.to_string(),
            "normalize": config.normalize.to_string(),
        },
        "scales": { "dtype": "F32", "shape": [config.vocab_size], "data_offsets": [0, scales_end] },
        "embeddings": {
            "dtype": "I8",
            "shape": [config.vocab_size, config.embedding_dim],
            "data_offsets": [scales_end, file_end],
        },
    })
    .to_string();
    // Spaces up to a multiple of 8, as safetensors has it.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
    bytes.extend(values.iter().map(|&value| value as u8));
    bytes
}

/// Each row as whole numbers from -127 to 127 times a scale of its own.
fn quantized(rows: &[f32], dim: usize) -> (Vec<i8>, Vec<f32>) {
    let mut values = Vec::with_capacity(rows.len());
    let mut scales = Vec::with_capacity(rows.len() / dim);
    for row in rows.chunks(dim) {
        let largest = row
            .iter()
            .fold(0.0f32, |largest, value| largest.max(value.abs()));
        let scale = largest / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        values.extend(row.iter().map(|value| (value * inverse).round() as i8));
        scales.push(scale);
    }
    (values, scales)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 3;

    fn config() -> Config {
        Config {
            vocab_size: 4,
            embedding_dim: DIM,
            max_seq_len: 9,
            normalize: true,
        }
    }

    fn rows() -> Vec<f32> {
        vec![
            0.0, 0.0, 0.0, 1.0, -0.5, 0.25, -2.0, 0.013, 1.0, 1e-3, 2e-3, -3e-3,
        ]
    }

    #[test]
    fn format_v1_holds_the_rows_bit_for_bit() {
        let weights = Weights::from_bytes(v1(&config(), &rows())).unwrap();
        let bytes: Vec<u8> = rows()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(weights.embeddings(), bytes);
        assert_eq!(
            (
                weights.header.vocab_size,
                weights.header.max_seq_len,
                weights.header.normalize
            ),
            (4, 9, true)
        );
    }

    #[test]
    fn quantised_rows_are_within_half_a_step_of_the_real_ones() {
        let weights = Weights::from_bytes(safetensors(&config(), &rows(), "tiny")).unwrap();
        assert_eq!(weights.header.name, "tiny");
        let scales = weights
            .scales()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|scale| f32::from_le_bytes(*scale));
        for ((row, stored), scale) in rows()
            .chunks(DIM)
            .zip(weights.embeddings().chunks(DIM))
            .zip(scales)
        {
            for (value, stored) in row.iter().zip(stored) {
                assert!((value - f32::from(*stored as i8) * scale).abs() <= scale * 0.5001);
            }
        }
    }

    #[test]
    fn refuses_a_model_dir_that_does_not_fit_together() {
        let folder = std::env::temp_dir().join(format!("export-weights-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let read = |config: &str, table: &[u8]| {
            fs::write(folder.join("config.json"), config).unwrap();
            fs::write(folder.join("token_embeddings.f32"), table).unwrap();
            read_model_dir(&folder)
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
