//! Turns a model-dir (`config.json` and `token_embeddings.f32`, as auto-g-embed and `train` write it)
//! into a weights file: format v1 for the tokenizer ascii-words in f32, else a safetensors container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::model_dir::{ModelDir, read_tables};
use embedder_wasm::format::row_format::{RowFormat, StoredRows};
use embedder_wasm::format::writer::{self, Writer};
use embedder_wasm::format::{Dtype, MAX_FILE_BYTES};
use embedder_wasm::models::Model;
use embedder_wasm::tokenizers::Tokenizer;
use embedder_wasm::tokenizers::own_rows::OwnRowTables;

const USAGE: &str = "Turn a model-dir into a weights file for the Worker.

Usage: export_weights [OPTIONS] <MODEL_DIR> <OUT>

Arguments:
  <MODEL_DIR>  Folder with config.json and token_embeddings.f32
  <OUT>        The weights file to write

Options:
      --dtype <DTYPE>  How the rows are stored: i8 takes a quarter of the room of f32, i4 an eighth [default: f32]
                       [possible values: f32, i8, i4]
      --name <NAME>    The model's name, for formats that carry one [default: embeddings-worker]
  -h, --help           Print help";

struct Arguments {
    model_dir: PathBuf,
    out: PathBuf,
    row_format: RowFormat,
    name: String,
}

impl Arguments {
    /// `None`: help is asked for.
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut paths = Vec::new();
        let mut row_format = RowFormat::F32;
        let mut name = "embeddings-worker".to_owned();
        let mut arguments = arguments.flat_map(|argument| match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => {
                vec![option.to_owned(), value.to_owned()]
            }
            _ => vec![argument],
        });
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument}: expected a value, found none"))
            };
            match argument.as_str() {
                "-h" | "--help" => return Ok(None),
                "--name" => name = value()?,
                "--dtype" => {
                    let found = value()?;
                    row_format = RowFormat::ALL
                        .into_iter()
                        .find(|format| format.name().to_ascii_lowercase() == found)
                        .ok_or_else(|| {
                            format!("--dtype: expected f32, i8 or i4, found {found:?}")
                        })?;
                }
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}; see --help"));
                }
                _ => paths.push(PathBuf::from(argument)),
            }
        }
        let found = paths.len();
        let Ok([model_dir, out]) = <[PathBuf; 2]>::try_from(paths) else {
            return Err(format!(
                "expected two arguments, <MODEL_DIR> and <OUT>, found {found}; see --help"
            ));
        };
        Ok(Some(Self {
            model_dir,
            out,
            row_format,
            name,
        }))
    }
}

fn main() -> ExitCode {
    let result = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| {
        let Some(arguments) = arguments else {
            println!("{USAGE}");
            return Ok(());
        };
        run(&arguments)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let row_format = arguments.row_format;
    let model_dir = ModelDir::read(&arguments.model_dir)?;
    row_format.check_dimensions(model_dir.table_dimensions)?;
    let bytes = match (row_format, &model_dir.extension) {
        (RowFormat::F32, None) => v1(&model_dir),
        _ => {
            let own_rows = own_row_tables(&arguments.model_dir, &model_dir)?;
            extended(&model_dir, &own_rows, row_format, &arguments.name)
        }
    };
    let byte_length = bytes.len();
    if byte_length > MAX_FILE_BYTES {
        return Err(format!(
            "the weights file would have {byte_length} bytes; expected at most {MAX_FILE_BYTES}. A smaller --dtype or table is needed"
        ));
    }
    // What the Worker would refuse is not written.
    let model = WeightsFile::from_bytes(bytes.clone())
        .and_then(Model::from_file)
        .map_err(|error| format!("the model is not usable: {error}"))?;
    write(&arguments.out, &bytes)?;
    let info = model.info();
    println!(
        "{}: {} rows of {} {}, {}, vectors of {}, {byte_length} bytes",
        arguments.out.display(),
        model_dir.vocab_size,
        model_dir.table_dimensions,
        info.dtype,
        info.tokenizer,
        info.dimensions,
    );
    if row_format != RowFormat::F32 {
        println!(
            "the rounding of the rows loses {:.3} % of their energy",
            100.0 * lost(&model_dir, row_format)
        );
    }
    Ok(())
}

/// The share of the squared values that storing the rows loses.
fn lost(model: &ModelDir, row_format: RowFormat) -> f64 {
    let energy = |value: f32| f64::from(value) * f64::from(value);
    let (mut lost, mut all) = (0.0, 0.0);
    let mut stored = vec![0.0; model.table_dimensions];
    for row in model.rows.chunks(model.table_dimensions) {
        row_format.round(row, &mut stored);
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
    let dimensions = model.table_dimensions;
    writer::v1(dimensions, model.max_seq_len, model.normalize, &model.rows)
}

/// Empty but with the tokenizer text-as-written.
fn own_row_tables(folder: &Path, model: &ModelDir) -> Result<OwnRowTables, String> {
    match &model.extension {
        Some(extension) if extension.tokenizer == Tokenizer::TextAsWritten.name() => {
            Ok(OwnRowTables(read_tables(folder, OwnRowTables::NAMES)?))
        }
        _ => Ok(OwnRowTables::default()),
    }
}

fn extended(
    model: &ModelDir,
    own_rows: &OwnRowTables,
    row_format: RowFormat,
    name: &str,
) -> Vec<u8> {
    let mut writer = Writer::new(name)
        .describe("max_seq_len", model.max_seq_len)
        .describe("normalize", model.normalize);
    let StoredRows {
        values,
        scales,
        scale_unit,
    } = row_format.store(&model.rows, model.table_dimensions);
    if let Some(dtype) = row_format.scale_dtype() {
        writer = writer.add("scales", dtype, &[model.vocab_size], scales);
    }
    if let Some(scale_unit) = scale_unit {
        writer = writer.describe("scale_unit", scale_unit);
    }
    if let Some(extension) = &model.extension {
        let idf = &extension.idf;
        writer = writer
            .describe("tokenizer", &extension.tokenizer)
            .describe("lexical_dim", extension.lexical_dimensions)
            .describe("lexical_weight", extension.lexical_weight)
            .add("idf", Dtype::U8, &[idf.len()], idf.clone());
        if extension.tokenizer == Tokenizer::TextAsWritten.name() {
            let dtypes = [Dtype::U16, Dtype::U16, Dtype::U16, Dtype::U32];
            let tables = own_rows.0.iter().zip(OwnRowTables::NAMES);
            for ((table, name), dtype) in tables.zip(dtypes) {
                writer = writer.add(name, dtype, &[table.len() / dtype.bytes()], table.clone());
            }
        }
    } else {
        writer = writer.describe("tokenizer", "ascii-words");
    }
    let columns = model.table_dimensions / row_format.values_in_one();
    writer
        .add(
            "embeddings",
            row_format.tensor_dtype(),
            &[model.vocab_size, columns],
            values,
        )
        .finish()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedder_wasm::format::model_dir::Extension;
    use embedder_wasm::kernels::norm::normalize;
    use embedder_wasm::models::static_table::StaticTable;

    const DIMENSIONS: usize = 4;

    fn model(extension: Option<Extension>) -> ModelDir {
        let mut rows = vec![0.0; DIMENSIONS];
        rows.extend([
            1.0, -0.5, 0.25, 0.1, -2.0, 0.013, 1.0, 0.3, 1e-3, 2e-3, -3e-3, 1e-3,
        ]);
        ModelDir {
            vocab_size: 4,
            table_dimensions: DIMENSIONS,
            max_seq_len: 9,
            normalize: true,
            rows,
            extension,
        }
    }

    fn extension() -> Extension {
        Extension {
            tokenizer: "words-and-stems".to_owned(),
            lexical_dimensions: 8,
            lexical_weight: 0.5,
            idf: vec![1, 2, 3],
        }
    }

    fn loaded(file: Vec<u8>) -> StaticTable {
        StaticTable::from_file(WeightsFile::from_bytes(file).unwrap()).unwrap()
    }

    #[test]
    fn the_command_line_is_read_or_refused() {
        let read = |line: &str| {
            let arguments = Arguments::parse(line.split_whitespace().map(str::to_owned))?;
            Ok(arguments.map(|it| (it.model_dir, it.out, it.row_format.name(), it.name)))
        };
        let expected =
            |format, name: &str| Ok(Some(("DIR".into(), "OUT".into(), format, name.to_owned())));
        assert_eq!(read("DIR OUT"), expected("F32", "embeddings-worker"));
        assert_eq!(
            read("--dtype i4 DIR --name=tiny OUT"),
            expected("I4", "tiny")
        );
        assert_eq!(read("DIR --help"), Ok(None));
        let cases = [
            (
                "DIR",
                "expected two arguments, <MODEL_DIR> and <OUT>, found 1; see --help",
            ),
            (
                "DIR OUT MORE",
                "expected two arguments, <MODEL_DIR> and <OUT>, found 3; see --help",
            ),
            ("DIR OUT --dtype", "--dtype: expected a value, found none"),
            (
                "DIR OUT --dtype i2",
                "--dtype: expected f32, i8 or i4, found \"i2\"",
            ),
            ("DIR OUT --type i4", "there is no option --type; see --help"),
        ];
        for (line, message) in cases {
            assert_eq!(read(line), Err(message.to_owned()));
        }
    }

    #[test]
    fn format_v1_holds_the_rows_bit_for_bit() {
        let model = model(None);
        let table = loaded(v1(&model));
        assert_eq!(table.rows().values, writer::f32_bytes(&model.rows));
        let config = table.config();
        assert_eq!(
            (config.vocab_size, config.max_seq_len, config.normalize),
            (4, 9, true)
        );
    }

    #[test]
    fn quantised_rows_read_as_the_trainer_saw_them() {
        let model = model(None);
        for format in [RowFormat::I8, RowFormat::I4] {
            let table = loaded(extended(&model, &OwnRowTables::default(), format, "tiny"));
            assert_eq!(table.info().name, "tiny");
            // "a" and "b" have rows 2 and 3 or 3 and 2; each vector is a stored row, normalised.
            for word in ["a", "b"] {
                let mut embedding = [0.0; DIMENSIONS];
                table.embed(word, &mut Default::default(), &mut embedding);
                let expected = model.rows.chunks(DIMENSIONS).map(|row| {
                    let mut stored = [0.0; DIMENSIONS];
                    format.round(row, &mut stored);
                    normalize(&mut stored);
                    stored
                });
                let near = |row: [f32; DIMENSIONS]| {
                    row.iter()
                        .zip(&embedding)
                        .all(|(a, b)| (a - b).abs() < 1e-6)
                };
                assert!(
                    expected.into_iter().any(near),
                    "{format:?} {word}: {embedding:?}"
                );
            }
        }
    }

    #[test]
    fn an_extended_model_keeps_its_lexical_part() {
        for format in RowFormat::ALL {
            let model = model(Some(extension()));
            let table = loaded(extended(&model, &OwnRowTables::default(), format, "tiny"));
            let lexical = table.config().lexical.as_ref().unwrap();
            assert_eq!(
                (lexical.dimensions, lexical.weight, table.info().dimensions),
                (8, 0.5, DIMENSIONS + 8)
            );
            assert_eq!(table.idf(), [1, 2, 3]);
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
