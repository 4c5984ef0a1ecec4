//! Reads a model-dir, as auto-g-embed and `train` write it: `config.json`, `token_embeddings.f32` and, where
//! the tokenizer has a lexical part, `idf.u8`, and where it has tables of its own, `<name>.own`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What a model-dir holds.
pub struct ModelDir {
    pub vocab_size: usize,
    pub table_dimensions: usize,
    pub max_seq_len: usize,
    pub normalize: bool,
    /// vocab_size x table_dimensions, row-major.
    pub rows: Vec<f32>,
    pub extension: Option<Extension>,
}

/// What a model with a lexical part has besides.
pub struct Extension {
    pub tokenizer: String,
    pub lexical_dimensions: usize,
    pub lexical_weight: f64,
    pub idf: Vec<u8>,
}

impl ModelDir {
    /// Reads the files of a folder; the error says which of them is wrong, and how.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join("config.json");
        let shown = path.display();
        let fields: Value = serde_json::from_slice(&read(&path)?)
            .map_err(|error| format!("{shown}: not valid JSON: {error}"))?;
        let wrong = |field: &str, expected: &str| {
            format!(
                "{shown}: {field}: expected {expected}, found {}",
                fields[field]
            )
        };
        let number = |field: &str, least: u64| match fields[field].as_u64() {
            Some(number) if (least..=u64::from(u32::MAX)).contains(&number) => Ok(number as usize),
            _ => Err(wrong(field, &format!("an integer of at least {least}"))),
        };
        let (vocab_size, table_dimensions) =
            (number("vocab_size", 3)?, number("embedding_dim", 1)?);
        let max_seq_len = number("max_seq_len", 1)?;
        let normalize = fields["normalize"]
            .as_bool()
            .ok_or_else(|| wrong("normalize", "true or false"))?;
        let extension = match &fields["tokenizer"] {
            Value::Null => None,
            Value::String(tokenizer) => Some(Extension {
                tokenizer: tokenizer.clone(),
                lexical_dimensions: number("lexical_dim", 1)?,
                lexical_weight: fields["lexical_weight"]
                    .as_f64()
                    .ok_or_else(|| wrong("lexical_weight", "a number"))?,
                idf: read(&folder.join("idf.u8"))?,
            }),
            _ => return Err(wrong("tokenizer", "a name")),
        };
        let path = folder.join("token_embeddings.f32");
        let bytes = read(&path)?;
        let expected = vocab_size as u128 * table_dimensions as u128 * 4;
        if bytes.len() as u128 != expected {
            return Err(format!(
                "{}: expected {vocab_size} x {table_dimensions} f32, {expected} bytes, found {}",
                path.display(),
                bytes.len()
            ));
        }
        let rows = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        Ok(Self {
            vocab_size,
            table_dimensions,
            max_seq_len,
            normalize,
            rows,
            extension,
        })
    }
}

/// The tables of a model-dir whose tokenizer has some of its own.
pub fn read_tables<const N: usize>(
    folder: &Path,
    names: [&str; N],
) -> Result<[Vec<u8>; N], String> {
    let mut tables = [const { Vec::new() }; N];
    for (table, name) in tables.iter_mut().zip(names) {
        *table = read(&folder.join(format!("{name}.own")))?;
    }
    Ok(tables)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))
}
