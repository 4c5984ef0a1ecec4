//! Writes weights files: for the commands that make models, and for tests.

use serde_json::{Map, Value, json};

use super::Dtype;
use super::container::FORMAT_NAME;

/// Where the data of a file begins, and with it each tensor whose predecessors are multiples of it.
const ALIGNMENT: usize = 16;

/// A file of format v1: `rows` is `[vocab_size, dimensions]`.
pub fn v1(dimensions: usize, max_seq_len: usize, normalize: bool, rows: &[f32]) -> Vec<u8> {
    let vocab_size = rows.len() / dimensions;
    // In auto-g-embed's order.
    let header = format!(
        r#"{{"vocab_size":{vocab_size},"embedding_dim":{dimensions},"max_seq_len":{max_seq_len},"normalize":{normalize}}}"#
    );
    v1_container(&header, &f32_bytes(rows))
}

/// The container of format v1, around whatever is given.
pub fn v1_container(header: &str, table: &[u8]) -> Vec<u8> {
    let length = header.len() as u32;
    [&length.to_le_bytes(), header.as_bytes(), table].concat()
}

/// The safetensors container, around whatever is given.
pub fn safetensors_container(header: &str, data: &[u8]) -> Vec<u8> {
    let length = header.len() as u64;
    [&length.to_le_bytes(), header.as_bytes(), data].concat()
}

/// Values as they lie in a file.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// An extended weights file: metadata, and tensors of which those of wider values come first, so that all stay aligned.
pub struct Writer {
    metadata: Map<String, Value>,
    tensors: Vec<NamedTensor>,
}

struct NamedTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Writer {
    /// `name` is the model's.
    pub fn new(name: &str) -> Self {
        let writer = Self {
            metadata: Map::new(),
            tensors: Vec::new(),
        };
        writer
            .describe("format", FORMAT_NAME)
            .describe("name", name)
    }

    /// Sets a field of the metadata, which holds strings only.
    pub fn describe(mut self, field: &str, value: impl ToString) -> Self {
        self.metadata
            .insert(field.to_owned(), value.to_string().into());
        self
    }

    /// `bytes` are those of `shape` values of `dtype`, row-major, little-endian.
    pub fn add(mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        assert_eq!(
            bytes.len(),
            shape.iter().product::<usize>() * dtype.bytes(),
            "tensor {name}: {dtype} {shape:?}"
        );
        self.tensors.push(NamedTensor {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            bytes,
        });
        self
    }

    /// The file's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        // Stable: otherwise they lie in the order in which they were added.
        self.tensors
            .sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype.bytes()));
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), self.metadata.into());
        let mut data = Vec::with_capacity(self.tensors.iter().map(|it| it.bytes.len()).sum());
        for NamedTensor {
            name,
            dtype,
            shape,
            bytes,
        } in self.tensors
        {
            let start = data.len();
            data.extend(bytes);
            let offsets = [start, data.len()];
            let entry = json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": offsets });
            header.insert(name, entry);
        }
        let mut header = Value::Object(header).to_string();
        let data_start = (size_of::<u64>() + header.len()).next_multiple_of(ALIGNMENT);
        let spaces = data_start - size_of::<u64>() - header.len();
        header.extend(std::iter::repeat_n(' ', spaces));
        safetensors_container(&header, &data)
    }
}
