//! The model-dir, as auto-g-embed writes it: `config.json` and `token_embeddings.f32`.

use std::fs;
use std::path::Path;

use embedder_wasm::weights::{Dtype, Header, Weights};
use serde_json::json;

pub fn write(
    folder: &Path,
    rows: &[f32],
    embedding_dim: usize,
    max_seq_len: usize,
) -> Result<(), String> {
    let config = json!({
        "vocab_size": rows.len() / embedding_dim,
        "embedding_dim": embedding_dim,
        "max_seq_len": max_seq_len,
        "normalize": true,
    });
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    write_file(
        &folder.join("config.json"),
        format!("{config:#}\n").as_bytes(),
    )?;
    write_file(&folder.join("token_embeddings.f32"), &bytes)
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

/// The rows of a weights file, as f32, and its header.
pub fn read_weights(path: &Path) -> Result<(Header, Vec<f32>), String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let weights = Weights::from_bytes(bytes).map_err(|error| format!("{shown}: {error}"))?;
    let dim = weights.header.embedding_dim;
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    };
    let rows = match weights.header.dtype {
        Dtype::F32 => floats(weights.embeddings()),
        Dtype::I8 => {
            let scales = floats(weights.scales());
            let rows = weights.embeddings().chunks(dim).zip(scales);
            rows.flat_map(|(row, scale)| {
                row.iter().map(move |&value| f32::from(value as i8) * scale)
            })
            .collect()
        }
    };
    Ok((weights.header, rows))
}
