//! The bytes of the answer's `data` array.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// OpenAI's `encoding_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingFormat {
    /// An array of numbers, each the shortest decimal that reads back to the same f32.
    Float,
    /// A string: base64 of the little-endian f32 values.
    Base64,
}

/// Appends the elements of `data` for `vectors` (`[n, dimensions]`), separated by commas, the first
/// of them with the index `first_index` and preceded by a comma unless that is 0.
pub fn write_embeddings(
    answer: &mut Vec<u8>,
    vectors: &[f32],
    dimensions: usize,
    first_index: usize,
    format: EncodingFormat,
) {
    for (offset, vector) in vectors.chunks_exact(dimensions).enumerate() {
        let index = first_index + offset;
        if index > 0 {
            answer.push(b',');
        }
        answer.extend_from_slice(b"{\"object\":\"embedding\",\"embedding\":");
        write_vector(answer, vector, format);
        answer.extend_from_slice(b",\"index\":");
        answer.extend_from_slice(index.to_string().as_bytes());
        answer.push(b'}');
    }
}

/// Appends one vector as a JSON value.
pub fn write_vector(answer: &mut Vec<u8>, vector: &[f32], format: EncodingFormat) {
    match format {
        EncodingFormat::Float => write_floats(answer, vector),
        EncodingFormat::Base64 => write_base64(answer, vector),
    }
}

/// The longest that one element of `data` can get, in bytes.
pub fn max_element_bytes(dimensions: usize, format: EncodingFormat) -> usize {
    /// Keys, quotes, brackets and an index of at most ten digits.
    const FRAME_BYTES: usize = 80;
    /// The longest f32 and its comma: -1.1754944e-38,
    const FLOAT_BYTES: usize = 16;
    FRAME_BYTES
        + match format {
            EncodingFormat::Float => dimensions * FLOAT_BYTES,
            EncodingFormat::Base64 => (dimensions * 4).div_ceil(3) * 4,
        }
}

fn write_floats(answer: &mut Vec<u8>, vector: &[f32]) {
    let mut decimal = zmij::Buffer::new();
    answer.push(b'[');
    for (position, value) in vector.iter().enumerate() {
        if position > 0 {
            answer.push(b',');
        }
        // Every value is finite: the weights are checked, and so is what sums of them can reach.
        answer.extend_from_slice(decimal.format_finite(*value).as_bytes());
    }
    answer.push(b']');
}

fn write_base64(answer: &mut Vec<u8>, vector: &[f32]) {
    answer.push(b'"');
    let start = answer.len();
    // A multiple of three bytes at a time leaves no padding inside.
    let mut bytes = [0; 4 * 192];
    for values in vector.chunks(192) {
        let bytes = &mut bytes[..values.len() * 4];
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        let end = answer.len();
        answer.resize(end + bytes.len().div_ceil(3) * 4, b'=');
        let written = STANDARD.encode_slice(&*bytes, &mut answer[end..]);
        debug_assert!(written.is_ok());
    }
    debug_assert_eq!((answer.len() - start) % 4, 0);
    answer.push(b'"');
}
