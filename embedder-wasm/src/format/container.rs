//! The two containers, format v1 and safetensors, as named tensors and metadata. Which tensors and fields
//! there must be is for the model to say that reads itself from them.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use serde_json::{Map, Value};

use super::{Dtype, MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_MAGNITUDE, WeightsError, refused};

/// What `__metadata__.format` says.
pub const FORMAT_NAME: &str = "embeddings-worker";
/// Format v1 names no model.
const V1_NAME: &str = "embeddings-worker";
/// The one tokenizer of format v1.
const V1_TOKENIZER: &str = "ascii-words";
/// Two rows are reserved (padding, unknown), so hashing needs a third.
const V1_MIN_VOCAB_SIZE: usize = 3;

/// A weights file in memory, whole: its tensors are read in place.
pub struct WeightsFile {
    pub head: Head,
    bytes: Vec<u8>,
}

/// One tensor of a file, row-major and little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    pub dtype: Dtype,
    pub shape: &'a [usize],
    pub bytes: &'a [u8],
}

impl WeightsFile {
    /// Takes the file's bytes as they are, and refuses what is not one whole container.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let Some(head) = Head::parse(&bytes)? else {
            return refused(format!(
                "the file ends inside its header: {} bytes were found",
                bytes.len()
            ));
        };
        Self::with_head(head, bytes)
    }

    /// The same, where its head is known already.
    pub fn with_head(head: Head, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        if bytes.len() != head.file_bytes {
            return refused(format!(
                "the file has {} bytes; its header describes {}",
                bytes.len(),
                head.file_bytes
            ));
        }
        Ok(Self { head, bytes })
    }

    /// The tensor with this name, where there is one.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let tensor = self.head.tensor(name)?;
        Some(TensorView {
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes: self.bytes_at(&tensor.range),
        })
    }

    /// The bytes of a tensor that must be there with this dtype and shape; refuses the file otherwise.
    pub fn tensor_of(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<&[u8], WeightsError> {
        let range = self.head.tensor_of(name, dtype, shape)?;
        Ok(self.bytes_at(&range))
    }

    /// The bytes at a range that the head has given.
    pub fn bytes_at(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Refuses an F32 tensor that has a value which is not a number, infinite or larger than `MAX_MAGNITUDE`;
    /// `columns` is the length of a row, for the message. A tensor that is missing has no such value.
    pub fn check_magnitudes(&self, name: &str, columns: usize) -> Result<(), WeightsError> {
        match self.tensor(name) {
            Some(tensor) => check_magnitudes(name, tensor.bytes, columns),
            None => Ok(()),
        }
    }
}

/// Refuses NaN, infinities and what is too large to be summed. A comparison of the bits without the
/// sign is a comparison of magnitudes, with NaN above all: one pass that compilers turn into SIMD.
fn check_magnitudes(tensor: &str, values: &[u8], columns: usize) -> Result<(), WeightsError> {
    let (values, _) = values.as_chunks::<4>();
    let magnitude_bits = |value: &[u8; 4]| u32::from_le_bytes(*value) & 0x7FFF_FFFF;
    let largest = values
        .iter()
        .fold(0, |largest, value| magnitude_bits(value).max(largest));
    if largest <= MAX_MAGNITUDE.to_bits() {
        return Ok(());
    }
    let index = values
        .iter()
        .position(|value| magnitude_bits(value) > MAX_MAGNITUDE.to_bits())
        .unwrap_or_default();
    let value = f32::from_le_bytes(values[index]);
    refused(format!(
        "tensor {tensor}: row {}, column {}: expected a magnitude of at most {MAX_MAGNITUDE:e}, found {value}",
        index / columns,
        index % columns
    ))
}

/// Which of the two containers a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// auto-g-embed's own.
    V1,
    /// The extended one.
    Safetensors,
}

/// What the head of a file says: where its tensors lie, and what is told about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub kind: ContainerKind,
    /// A v1 header reads as the same fields that a safetensors file has.
    pub metadata: Metadata,
    /// In the order of their bytes.
    pub tensors: Vec<Tensor>,
    pub file_bytes: usize,
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Byte offsets in the file.
    pub range: Range<usize>,
}

impl Head {
    /// Reads the head from the first bytes of a file. `Ok(None)`: more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, WeightsError> {
        let Some((kind, header_bytes)) = container_of(bytes)? else {
            return Ok(None);
        };
        let start = match kind {
            ContainerKind::V1 => 4,
            ContainerKind::Safetensors => 8,
        };
        let end = start + header_bytes;
        let Some(json) = bytes.get(start..end) else {
            return Ok(None);
        };
        let fields = parse_json_object(json)?;
        let head = match kind {
            ContainerKind::V1 => v1_head(&fields, end)?,
            ContainerKind::Safetensors => safetensors_head(fields, end)?,
        };
        if head.file_bytes > MAX_FILE_BYTES {
            return refused(format!(
                "the header describes a file of {} bytes; expected at most {MAX_FILE_BYTES}",
                head.file_bytes
            ));
        }
        Ok(Some(head))
    }

    /// Where the tensor with this name lies, where there is one.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Where a tensor lies that must be there; refuses the file otherwise.
    pub fn needed_tensor(&self, name: &str) -> Result<&Tensor, WeightsError> {
        match self.tensor(name) {
            Some(tensor) => Ok(tensor),
            None => refused(format!("tensor {name}: missing")),
        }
    }

    /// Where a tensor lies that must be there with this dtype and shape; refuses the file otherwise.
    pub fn tensor_of(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Range<usize>, WeightsError> {
        let tensor = self.needed_tensor(name)?;
        if tensor.dtype != dtype || tensor.shape != shape {
            return refused(format!(
                "tensor {name}: expected {dtype} {shape:?}, found {} {:?}",
                tensor.dtype, tensor.shape
            ));
        }
        Ok(tensor.range.clone())
    }
}

/// The fields of `__metadata__`. A field is checked when it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    fields: Map<String, Value>,
}

impl Metadata {
    /// A string that must be there.
    pub fn text(&self, field: &str) -> Result<&str, WeightsError> {
        match self.fields.get(field) {
            Some(Value::String(value)) => Ok(value),
            found => refused_field(field, "a string", found),
        }
    }

    /// A string that may be left out.
    pub fn optional_text(&self, field: &str) -> Result<Option<&str>, WeightsError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(_) => self.text(field).map(Some),
        }
    }

    /// A whole number, in decimal.
    pub fn number(
        &self,
        field: &str,
        allowed: RangeInclusive<usize>,
    ) -> Result<usize, WeightsError> {
        let text = self.text(field)?;
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => {
                let expected = format!("an integer from {} to {}", allowed.start(), allowed.end());
                self.wrong(field, &expected)
            }
        }
    }

    /// A number, in decimal; `expected` says in words what is allowed, and is written out where it is needed: the code that writes
    /// a float is long, and a new isolate would have to compile it.
    pub fn real(
        &self,
        field: &str,
        allowed: RangeInclusive<f32>,
        expected: fmt::Arguments,
    ) -> Result<f32, WeightsError> {
        match self.text(field)?.parse() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => self.wrong(field, &expected.to_string()),
        }
    }

    /// A truth, as `true` or `false`.
    pub fn flag(&self, field: &str) -> Result<bool, WeightsError> {
        match self.text(field)? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => self.wrong(field, "\"true\" or \"false\""),
        }
    }

    /// Refuses what stands in a field.
    pub fn wrong<T>(&self, field: &str, expected: &str) -> Result<T, WeightsError> {
        refused_field(field, expected, self.fields.get(field))
    }
}

fn refused_field<T>(field: &str, expected: &str, found: Option<&Value>) -> Result<T, WeightsError> {
    refused(format!(
        "header.__metadata__.{field}: expected {expected}, found {}",
        shown(found)
    ))
}

/// Which container it is, and how long its header: v1 has the header's `{` at byte 4, safetensors at byte 8.
fn container_of(head: &[u8]) -> Result<Option<(ContainerKind, usize)>, WeightsError> {
    Ok(Some(match (head.get(4), head.get(8)) {
        (Some(b'{'), _) => (ContainerKind::V1, header_bytes(little_endian(&head[..4]))?),
        (Some(_), Some(b'{')) => (
            ContainerKind::Safetensors,
            header_bytes(little_endian(&head[..8]))?,
        ),
        (Some(_), Some(_)) => {
            return refused(format!(
                "not a weights file: expected '{{' at byte 4 (format v1) or byte 8 (safetensors), found the bytes {:02x?}",
                &head[..9]
            ));
        }
        _ => return Ok(None),
    }))
}

fn header_bytes(found: u64) -> Result<usize, WeightsError> {
    match usize::try_from(found) {
        Ok(bytes) if (2..=MAX_HEADER_BYTES).contains(&bytes) => Ok(bytes),
        _ => refused(format!(
            "header length: expected 2 to {MAX_HEADER_BYTES} bytes, found {found}"
        )),
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn parse_json_object(json: &[u8]) -> Result<Map<String, Value>, WeightsError> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => refused(format!("header: expected a JSON object, found {other}")),
        Err(error) => refused(format!("header: not valid JSON: {error}")),
    }
}

fn v1_head(fields: &Map<String, Value>, header_end: usize) -> Result<Head, WeightsError> {
    let number = |field: &str, least: usize| {
        let found = fields.get(field);
        match found.and_then(Value::as_u64).map(u32::try_from) {
            Some(Ok(number)) if number as usize >= least => Ok(number as usize),
            _ => refused(format!(
                "header.{field}: expected an integer from {least} to {}, found {}",
                u32::MAX,
                shown(found)
            )),
        }
    };
    let vocab_size = number("vocab_size", V1_MIN_VOCAB_SIZE)?;
    let dimensions = number("embedding_dim", 1)?;
    let max_seq_len = number("max_seq_len", 1)?;
    let normalize = match fields.get("normalize") {
        Some(Value::Bool(normalize)) => *normalize,
        found => {
            return refused(format!(
                "header.normalize: expected true or false, found {}",
                shown(found)
            ));
        }
    };
    let table_bytes = vocab_size
        .checked_mul(dimensions)
        .and_then(|values| values.checked_mul(Dtype::F32.bytes()));
    let Some(file_bytes) = table_bytes.and_then(|bytes| bytes.checked_add(header_end)) else {
        return refused(format!(
            "header: a table of {vocab_size} x {dimensions} f32 is larger than any file"
        ));
    };
    let mut metadata = Metadata::default();
    for (field, value) in [
        ("format", FORMAT_NAME.to_owned()),
        ("name", V1_NAME.to_owned()),
        ("tokenizer", V1_TOKENIZER.to_owned()),
        ("max_seq_len", max_seq_len.to_string()),
        ("normalize", normalize.to_string()),
    ] {
        metadata.fields.insert(field.to_owned(), value.into());
    }
    Ok(Head {
        kind: ContainerKind::V1,
        metadata,
        tensors: vec![Tensor {
            name: "embeddings".to_owned(),
            dtype: Dtype::F32,
            shape: vec![vocab_size, dimensions],
            range: header_end..file_bytes,
        }],
        file_bytes,
    })
}

/// Reads every entry but `__metadata__`, and checks what safetensors promises: lengths that match
/// dtype and shape, no overlap, no hole.
fn safetensors_head(fields: Map<String, Value>, header_end: usize) -> Result<Head, WeightsError> {
    let mut metadata = Metadata::default();
    let mut tensors = Vec::with_capacity(fields.len());
    for (name, entry) in fields {
        if name != "__metadata__" {
            tensors.push(Tensor::parse(name, &entry, header_end)?);
        } else if let Value::Object(fields) = entry {
            metadata.fields = fields;
        }
    }
    tensors.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut end = header_end;
    for tensor in &tensors {
        if tensor.range.start != end {
            return refused(format!(
                "tensor {}: begins at offset {}, expected {}: tensors must neither overlap nor leave a hole",
                tensor.name,
                tensor.range.start - header_end,
                end - header_end
            ));
        }
        end = tensor.range.end;
    }
    if metadata.text("format")? != FORMAT_NAME {
        return metadata.wrong("format", &format!("{FORMAT_NAME:?}"));
    }
    Ok(Head {
        kind: ContainerKind::Safetensors,
        metadata,
        tensors,
        file_bytes: end,
    })
}

impl Tensor {
    fn parse(name: String, entry: &Value, header_end: usize) -> Result<Self, WeightsError> {
        let wrong = |what: &str, found: Option<&Value>| {
            refused(format!(
                "tensor {name}: expected {what}, found {}",
                shown(found)
            ))
        };
        let Some(Value::String(dtype_name)) = entry.get("dtype") else {
            return wrong("a string as dtype", entry.get("dtype"));
        };
        let Some(shape) = entry.get("shape").and_then(sizes) else {
            return wrong("an array of sizes as shape", entry.get("shape"));
        };
        let Some(Ok([start, end])) = entry
            .get("data_offsets")
            .and_then(sizes)
            .map(<[usize; 2]>::try_from)
        else {
            return wrong("[begin, end] as data_offsets", entry.get("data_offsets"));
        };
        let Some(dtype) = Dtype::from_name(dtype_name) else {
            return wrong("a dtype of known size", entry.get("dtype"));
        };
        let expected_bytes = shape
            .iter()
            .try_fold(dtype.bytes(), |bytes, size| bytes.checked_mul(*size));
        if end.checked_sub(start) != expected_bytes || expected_bytes.is_none() {
            return refused(format!(
                "tensor {name}: data_offsets [{start}, {end}] do not hold {dtype} {shape:?}"
            ));
        }
        let (Some(start), Some(end)) = (start.checked_add(header_end), end.checked_add(header_end))
        else {
            return wrong("offsets inside a file", entry.get("data_offsets"));
        };
        Ok(Self {
            name,
            dtype,
            shape,
            range: start..end,
        })
    }
}

fn sizes(value: &Value) -> Option<Vec<usize>> {
    value
        .as_array()?
        .iter()
        .map(|size| size.as_u64().and_then(|size| usize::try_from(size).ok()))
        .collect()
}

fn shown(found: Option<&Value>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
