//! The model-dir, as auto-g-embed writes it: `config.json` and `token_embeddings.f32`.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::row_format::{I4_OFFSET, RowFormat, VALUES_IN_AN_I4_BYTE};
use embedder_wasm::format::writer::f32_bytes;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::tokenizers::Tokenizer;
use embedder_wasm::tokenizers::own_rows::OwnRowTables;
use serde_json::json;

use crate::table::Table;
use crate::text_set::Reading;
use crate::trainer::LexicalGuidance;

pub fn write(
    folder: &Path,
    table: &Table,
    reading: &Reading,
    max_seq_len: usize,
    lexical: Option<&LexicalGuidance>,
    own_rows: &OwnRowTables,
) -> Result<(), String> {
    let mut config = json!({
        "vocab_size": reading.rows.vocab_size,
        "embedding_dim": table.dimensions,
        "max_seq_len": max_seq_len,
        "normalize": true,
    });
    if let Some(lexical) = lexical {
        config["tokenizer"] = json!(reading.tokenizer.name());
        config["lexical_dim"] = json!(lexical.dimensions);
        // By its shortest decimal: 0.9 and not 0.8999999761581421.
        config["lexical_weight"] =
            json!(f64::from_str(&lexical.weight.to_string()).unwrap_or_default());
        write_file(&folder.join("idf.u8"), lexical.idf)?;
        if reading.tokenizer == Tokenizer::TextAsWritten {
            for (table, name) in own_rows.0.iter().zip(OwnRowTables::NAMES) {
                write_file(&folder.join(format!("{name}.own")), table)?;
            }
        }
    }
    write_file(
        &folder.join("config.json"),
        format!("{config:#}\n").as_bytes(),
    )?;
    write_file(
        &folder.join("token_embeddings.f32"),
        &f32_bytes(&table.rows),
    )
}

/// Makes the folder, and finds out before the training that it cannot be written to.
pub fn prepare(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    fs::create_dir_all(folder).map_err(|error| format!("{shown}: cannot be made: {error}"))?;
    let probe = folder.join("config.json.partial");
    write_file(&probe, b"")?;
    fs::remove_file(&probe)
        .map_err(|error| format!("{}: cannot be removed: {error}", probe.display()))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes)
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

/// The model of a weights file, and its rows as f32.
pub fn read_weights(path: &Path) -> Result<(StaticTable, Vec<f32>), String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let model = WeightsFile::from_bytes(bytes)
        .and_then(StaticTable::from_file)
        .map_err(|error| format!("{shown}: {error}"))?;
    let rows = model.rows();
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let (values, _) = bytes.as_chunks::<4>();
        values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    };
    let values = match rows.format {
        RowFormat::F32 => floats(rows.values),
        RowFormat::I8 => rows
            .values
            .chunks(rows.dimensions)
            .zip(floats(rows.scales))
            .flat_map(|(row, scale)| row.iter().map(move |&byte| f32::from(byte as i8) * scale))
            .collect(),
        RowFormat::I4 => rows
            .values
            .chunks(rows.dimensions / VALUES_IN_AN_I4_BYTE)
            .zip(rows.scales.as_chunks().0)
            .flat_map(|(row, scale)| {
                let scale = f32::from(i16::from_le_bytes(*scale)) * rows.scale_unit;
                let levels = row
                    .iter()
                    .map(|byte| byte & 0x0F)
                    .chain(row.iter().map(|byte| byte >> 4));
                levels.map(move |level| (f32::from(level) - I4_OFFSET) * scale)
            })
            .collect(),
    };
    Ok((model, values))
}
