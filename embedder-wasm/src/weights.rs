//! The weights file: format v1, which auto-g-embed writes, and the extended one in a safetensors
//! container. `model/FORMAT.md` specifies both. Everything is checked before it is used, and what is
//! refused says what was found, what was expected and where.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use serde_json::{Map, Value};

use crate::lexical::SKETCH_BLOCKS;
use crate::tokenizer::Tokenizer;

/// Workers KV holds at most 25 MiB in one value.
pub const MAX_FILE_BYTES: usize = 25 * 1024 * 1024;
/// A header is JSON of some hundred bytes; more than this is not a weights file.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;
/// Two rows are reserved (padding, unknown), so hashing needs a third.
pub const MIN_VOCAB_SIZE: usize = 3;
/// The low four bits of byte k are value k of the row; the high ones lie half a row behind it.
pub const VALUES_IN_AN_I4_BYTE: usize = 2;
/// Level n stands for n - 7.5.
pub const I4_OFFSET: f32 = 7.5;
/// What a scale of 1 may stand for at most, so that no value is larger than `MAX_MAGNITUDE`.
pub const MAX_SCALE_UNIT: f32 = 1e9;
/// Larger values could overflow in the sum of squares; a trained table is nowhere near it.
pub const MAX_MAGNITUDE: f32 = 1e15;

/// More is no use in a vector that is sent around.
pub const MAX_LEXICAL_DIM: usize = 8192;
pub const MAX_LEXICAL_WEIGHT: f32 = 100.0;

/// Format v1 names no model.
const V1_NAME: &str = "embeddings-worker";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsError(String);

impl fmt::Display for WeightsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WeightsError {}

fn refused<T>(message: String) -> Result<T, WeightsError> {
    Err(WeightsError(message))
}

/// How the values of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    F32,
    /// One signed byte a value, times the row's scale.
    I8,
    /// Two values a byte, in 16 levels that lie symmetrically about 0, times the row's scale.
    I4,
}

impl Dtype {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::I8 => "I8",
            Self::I4 => "I4",
        }
    }
}

/// The part of an embedding that is made of the words themselves, without the table.
#[derive(Clone, Debug, PartialEq)]
pub struct LexicalPart {
    pub dim: usize,
    /// Its length, where the semantic part has 1.
    pub weight: f32,
    /// U8 `[n]`: how rare a stem is.
    pub idf: Range<usize>,
}

/// What the head of a weights file says. Ranges are byte offsets in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub name: String,
    pub tokenizer: Tokenizer,
    pub dtype: Dtype,
    pub vocab_size: usize,
    /// Values in a row of the table.
    pub table_dim: usize,
    /// Values in an embedding: those of a row, and those of the lexical part behind them.
    pub embedding_dim: usize,
    pub max_seq_len: usize,
    pub normalize: bool,
    pub lexical: Option<LexicalPart>,
    /// `[vocab_size, table_dim]`, row-major, little-endian.
    pub embeddings: Range<usize>,
    /// For quantised rows, `[vocab_size]`: F32 for I8, I16 for I4.
    pub scales: Option<Range<usize>>,
    /// What an I4 scale of 1 stands for; 1 for other rows.
    pub scale_unit: f32,
    pub file_bytes: usize,
}

impl Header {
    /// Reads the header from the first bytes of a file. `Ok(None)`: more bytes are needed.
    pub fn parse(head: &[u8]) -> Result<Option<Self>, WeightsError> {
        let header = match Container::of(head)? {
            None => return Ok(None),
            Some(container) => {
                let end = container.header_start() + container.header_bytes;
                match head.get(container.header_start()..end) {
                    None => return Ok(None),
                    Some(json) => {
                        let fields = parse_json_object(json)?;
                        match container.kind {
                            ContainerKind::V1 => v1_header(&fields, end)?,
                            ContainerKind::Safetensors => safetensors_header(&fields, end)?,
                        }
                    }
                }
            }
        };
        if header.file_bytes > MAX_FILE_BYTES {
            return refused(format!(
                "the header describes a file of {} bytes; at most {MAX_FILE_BYTES} fit in one KV value",
                header.file_bytes
            ));
        }
        Ok(Some(header))
    }
}

/// A weights file in memory, whole and checked.
pub struct Weights {
    pub header: Header,
    bytes: Vec<u8>,
}

impl Weights {
    /// Takes the file's bytes as they are: the rows are read in place.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let Some(header) = Header::parse(&bytes)? else {
            return refused(format!(
                "the file ends inside its header: {} bytes were found",
                bytes.len()
            ));
        };
        if bytes.len() != header.file_bytes {
            return refused(format!(
                "the file has {} bytes; its header describes {}",
                bytes.len(),
                header.file_bytes
            ));
        }
        let floats = match header.dtype {
            Dtype::F32 => Some(("embeddings", &header.embeddings, header.table_dim)),
            Dtype::I8 => header.scales.as_ref().map(|range| ("scales", range, 1)),
            // Whole numbers all.
            Dtype::I4 => None,
        };
        if let Some((tensor, range, columns)) = floats {
            check_magnitudes(tensor, &bytes[range.clone()], columns)?;
        }
        Ok(Self { header, bytes })
    }

    /// The bytes of the embedding table, row-major.
    pub fn embeddings(&self) -> &[u8] {
        &self.bytes[self.header.embeddings.clone()]
    }

    /// How rare stems are, by hash; empty where the model has no lexical part.
    pub fn idf(&self) -> &[u8] {
        match &self.header.lexical {
            Some(lexical) => &self.bytes[lexical.idf.clone()],
            None => &[],
        }
    }

    /// The bytes of the scales of quantised rows, little-endian; empty where rows are F32.
    pub fn scales(&self) -> &[u8] {
        match &self.header.scales {
            Some(range) => &self.bytes[range.clone()],
            None => &[],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ContainerKind {
    V1,
    Safetensors,
}

struct Container {
    kind: ContainerKind,
    header_bytes: usize,
}

impl Container {
    /// Which container it is: v1 has the header's `{` at byte 4, safetensors at byte 8.
    fn of(head: &[u8]) -> Result<Option<Self>, WeightsError> {
        let container = match (head.get(4), head.get(8)) {
            (Some(b'{'), _) => Self {
                kind: ContainerKind::V1,
                header_bytes: header_bytes(little_endian(&head[..4]))?,
            },
            (Some(_), Some(b'{')) => Self {
                kind: ContainerKind::Safetensors,
                header_bytes: header_bytes(little_endian(&head[..8]))?,
            },
            (Some(_), Some(_)) => {
                return refused(format!(
                    "not a weights file: expected '{{' at byte 4 (format v1) or byte 8 (safetensors), found the bytes {:02x?}",
                    &head[..9]
                ));
            }
            _ => return Ok(None),
        };
        Ok(Some(container))
    }

    fn header_start(&self) -> usize {
        match self.kind {
            ContainerKind::V1 => 4,
            ContainerKind::Safetensors => 8,
        }
    }
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

fn v1_header(fields: &Map<String, Value>, header_end: usize) -> Result<Header, WeightsError> {
    let number = |field: &str, least: usize| {
        let found = fields.get(field);
        checked_number(field, found.and_then(Value::as_u64), found, least)
    };
    let vocab_size = number("vocab_size", MIN_VOCAB_SIZE)?;
    let embedding_dim = number("embedding_dim", 1)?;
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
    let Some(file_bytes) =
        f32_table_bytes(vocab_size, embedding_dim).and_then(|bytes| bytes.checked_add(header_end))
    else {
        return refused(format!(
            "header: a table of {vocab_size} x {embedding_dim} f32 is larger than any file"
        ));
    };
    Ok(Header {
        name: V1_NAME.to_owned(),
        tokenizer: Tokenizer::AsciiWords,
        dtype: Dtype::F32,
        vocab_size,
        table_dim: embedding_dim,
        embedding_dim,
        max_seq_len,
        normalize,
        lexical: None,
        embeddings: header_end..file_bytes,
        scales: None,
        scale_unit: 1.0,
        file_bytes,
    })
}

fn safetensors_header(
    fields: &Map<String, Value>,
    header_end: usize,
) -> Result<Header, WeightsError> {
    let tensors = Tensors::parse(fields, header_end)?;
    let metadata = fields.get("__metadata__").and_then(Value::as_object);
    let text = |field: &str| {
        let found = metadata.and_then(|metadata| metadata.get(field));
        match found {
            Some(Value::String(value)) => Ok(value.as_str()),
            _ => refused(format!(
                "header.__metadata__.{field}: expected a string, found {}",
                shown(found)
            )),
        }
    };
    let format = text("format")?;
    if format != "embeddings-worker" {
        return refused(format!(
            "header.__metadata__.format: expected \"embeddings-worker\", found {format:?}"
        ));
    }
    let name = text("name")?;
    if name.is_empty() {
        return refused(
            "header.__metadata__.name: expected the model's name, found \"\"".to_owned(),
        );
    }
    let tokenizer_name = text("tokenizer")?;
    let Some(tokenizer) = Tokenizer::from_name(tokenizer_name) else {
        return refused(format!(
            "header.__metadata__.tokenizer: expected one of {}, found {tokenizer_name:?}",
            Tokenizer::NAMES
        ));
    };
    let max_seq_len_text = text("max_seq_len")?;
    let max_seq_len = checked_number(
        "__metadata__.max_seq_len",
        max_seq_len_text.parse().ok(),
        metadata.and_then(|metadata| metadata.get("max_seq_len")),
        1,
    )?;
    let normalize = match text("normalize")? {
        "true" => true,
        "false" => false,
        found => {
            return refused(format!(
                "header.__metadata__.normalize: expected \"true\" or \"false\", found {found:?}"
            ));
        }
    };

    let embeddings = tensors.named("embeddings")?;
    let [vocab_size, row_values] = embeddings.shape[..] else {
        return refused(format!(
            "tensor embeddings: expected the shape [vocab_size, embedding_dim], found {:?}",
            embeddings.shape
        ));
    };
    if vocab_size < MIN_VOCAB_SIZE || row_values == 0 {
        return refused(format!(
            "tensor embeddings: expected at least {MIN_VOCAB_SIZE} rows and 1 column, found {:?}",
            embeddings.shape
        ));
    }
    let (dtype, table_dim) = match embeddings.dtype.as_str() {
        "F32" => (Dtype::F32, row_values),
        "I8" => (Dtype::I8, row_values),
        "U8" => (Dtype::I4, row_values * VALUES_IN_AN_I4_BYTE),
        found => {
            return refused(format!(
                "tensor embeddings: expected the dtype F32, I8 or, for 4 bits a value, U8, found {found:?}"
            ));
        }
    };
    let scales = match dtype {
        Dtype::F32 => None,
        Dtype::I8 | Dtype::I4 => {
            let scales = tensors.named("scales")?;
            let expected = if dtype == Dtype::I4 { "I16" } else { "F32" };
            if scales.dtype != expected || scales.shape != [vocab_size] {
                return refused(format!(
                    "tensor scales: expected {expected} [{vocab_size}], one for each row of embeddings, found {} {:?}",
                    scales.dtype, scales.shape
                ));
            }
            Some(scales.range.clone())
        }
    };
    let scale_unit = match dtype {
        Dtype::F32 | Dtype::I8 => 1.0,
        Dtype::I4 => checked_f32(
            "scale_unit",
            text("scale_unit")?,
            f32::MIN_POSITIVE..=MAX_SCALE_UNIT,
            &format!("a number above 0, at most {MAX_SCALE_UNIT:e}"),
        )?,
    };
    let lexical = match tokenizer {
        Tokenizer::AsciiWords => None,
        Tokenizer::WordsAndStems => {
            if !normalize {
                return refused(
                    "header.__metadata__.normalize: expected \"true\", which the tokenizer words-and-stems needs, found \"false\"".to_owned(),
                );
            }
            Some(lexical_part(&tensors, &text)?)
        }
    };
    Ok(Header {
        name: name.to_owned(),
        tokenizer,
        dtype,
        vocab_size,
        table_dim,
        embedding_dim: table_dim + lexical.as_ref().map_or(0, |part| part.dim),
        max_seq_len,
        normalize,
        lexical,
        embeddings: embeddings.range.clone(),
        scales,
        scale_unit,
        file_bytes: tensors.file_bytes,
    })
}

fn lexical_part<'a>(
    tensors: &Tensors,
    text: &impl Fn(&str) -> Result<&'a str, WeightsError>,
) -> Result<LexicalPart, WeightsError> {
    let dim_text = text("lexical_dim")?;
    let dim = match dim_text.parse::<usize>() {
        Ok(dim) if (1..=MAX_LEXICAL_DIM).contains(&dim) && dim.is_multiple_of(SKETCH_BLOCKS) => dim,
        _ => {
            return refused(format!(
                "header.__metadata__.lexical_dim: expected a multiple of {SKETCH_BLOCKS} up to {MAX_LEXICAL_DIM}, found {dim_text:?}"
            ));
        }
    };
    let weight = checked_f32(
        "lexical_weight",
        text("lexical_weight")?,
        0.0..=MAX_LEXICAL_WEIGHT,
        &format!("a number from 0 to {MAX_LEXICAL_WEIGHT}"),
    )?;
    let idf = tensors.named("idf")?;
    if idf.dtype != "U8" || idf.shape.len() != 1 || idf.shape[0] == 0 {
        return refused(format!(
            "tensor idf: expected U8 of the shape [n], found {} {:?}",
            idf.dtype, idf.shape
        ));
    }
    Ok(LexicalPart {
        dim,
        weight,
        idf: idf.range.clone(),
    })
}

fn checked_f32(
    field: &str,
    text: &str,
    allowed: RangeInclusive<f32>,
    expected: &str,
) -> Result<f32, WeightsError> {
    match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => refused(format!(
            "header.__metadata__.{field}: expected {expected}, found {text:?}"
        )),
    }
}

struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    /// Byte offsets in the file.
    range: Range<usize>,
}

struct Tensors {
    tensors: Vec<Tensor>,
    file_bytes: usize,
}

impl Tensors {
    /// Reads every entry but `__metadata__`, and checks what safetensors promises: lengths that match
    /// dtype and shape, no overlap, no hole.
    fn parse(fields: &Map<String, Value>, header_end: usize) -> Result<Self, WeightsError> {
        let mut tensors = fields
            .iter()
            .filter(|(name, _)| *name != "__metadata__")
            .map(|(name, entry)| Tensor::parse(name, entry, header_end))
            .collect::<Result<Vec<_>, _>>()?;
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
        Ok(Self {
            tensors,
            file_bytes: end,
        })
    }

    fn named(&self, name: &str) -> Result<&Tensor, WeightsError> {
        match self.tensors.iter().find(|tensor| tensor.name == name) {
            Some(tensor) => Ok(tensor),
            None => refused(format!("tensor {name}: missing")),
        }
    }
}

impl Tensor {
    fn parse(name: &str, entry: &Value, header_end: usize) -> Result<Self, WeightsError> {
        let wrong = |what: &str, found: Option<&Value>| {
            refused(format!(
                "tensor {name}: expected {what}, found {}",
                shown(found)
            ))
        };
        let Some(Value::String(dtype)) = entry.get("dtype") else {
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
        let Some(value_bytes) = safetensors_bytes(dtype) else {
            return wrong("a dtype of known size", entry.get("dtype"));
        };
        let expected_bytes = shape
            .iter()
            .try_fold(value_bytes, |bytes, size| bytes.checked_mul(*size));
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
            name: name.to_owned(),
            dtype: dtype.clone(),
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

fn safetensors_bytes(dtype: &str) -> Option<usize> {
    match dtype {
        "BOOL" | "U8" | "I8" => Some(1),
        "U16" | "I16" | "F16" | "BF16" => Some(2),
        "U32" | "I32" | "F32" => Some(4),
        "U64" | "I64" | "F64" => Some(8),
        _ => None,
    }
}

fn f32_table_bytes(rows: usize, columns: usize) -> Option<usize> {
    rows.checked_mul(columns)?.checked_mul(size_of::<f32>())
}

fn checked_number(
    field: &str,
    number: Option<u64>,
    found: Option<&Value>,
    least: usize,
) -> Result<usize, WeightsError> {
    match number.and_then(|number| u32::try_from(number).ok()) {
        Some(number) if number as usize >= least => Ok(number as usize),
        _ => refused(format!(
            "header.{field}: expected an integer from {least} to {}, found {}",
            u32::MAX,
            shown(found)
        )),
    }
}

fn shown(found: Option<&Value>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Value::to_string)
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
