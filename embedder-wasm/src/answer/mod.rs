//! The bytes of the answer's `data` array.

pub mod decimal;

use base64_simd::{AsOut, STANDARD};
use decimal::{MAX_DECIMAL_BYTES, write_decimal};

/// OpenAI's `encoding_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingFormat {
    /// An array of numbers, each the shortest decimal that reads back to the same f32.
    Float,
    /// A string: base64 of the little-endian f32 values.
    Base64,
}

/// What an answer begins with; the elements of `data` follow.
pub const ANSWER_HEAD: &[u8] = b"{\"object\":\"list\",\"data\":[";

/// What one element of `data` needs at most while it is written, in bytes.
pub fn max_element_bytes(dimensions: usize, format: EncodingFormat) -> usize {
    /// Keys, a comma and an index of at most 20 digits.
    const FRAME_BYTES: usize = 80;
    FRAME_BYTES + max_vector_bytes(dimensions, format)
}

fn max_vector_bytes(dimensions: usize, format: EncodingFormat) -> usize {
    2 + match format {
        EncodingFormat::Float => dimensions * MAX_NUMBER_BYTES + MAX_DECIMAL_BYTES,
        EncodingFormat::Base64 => (dimensions * 4).div_ceil(3) * 4,
    }
}

/// The longest f32 and its comma: -0.0000104224455,
const MAX_NUMBER_BYTES: usize = 17;

/// Writes the elements of `data` for `vectors` (`[n, dimensions]`), separated by commas, the first
/// of them with the index `first_index` and preceded by a comma unless that is 0. Returns how many
/// bytes that are. `answer` must have room for `n` times `max_element_bytes`.
pub fn write_embeddings(
    answer: &mut [u8],
    vectors: &[f32],
    dimensions: usize,
    first_index: usize,
    format: EncodingFormat,
) -> usize {
    let mut end = 0;
    for (offset, vector) in vectors.chunks_exact(dimensions).enumerate() {
        let index = first_index + offset;
        if index > 0 {
            end += put(&mut answer[end..], b",");
        }
        end += put(
            &mut answer[end..],
            b"{\"object\":\"embedding\",\"embedding\":",
        );
        end += write_vector_into(&mut answer[end..], vector, format);
        end += put(&mut answer[end..], b",\"index\":");
        end += write_index(&mut answer[end..], index);
        end += put(&mut answer[end..], b"}");
    }
    end
}

/// Appends one vector as a JSON value.
pub fn write_vector(answer: &mut Vec<u8>, vector: &[f32], format: EncodingFormat) {
    let start = answer.len();
    answer.resize(start + max_vector_bytes(vector.len(), format), 0);
    let length = write_vector_into(&mut answer[start..], vector, format);
    answer.truncate(start + length);
}

fn write_vector_into(answer: &mut [u8], vector: &[f32], format: EncodingFormat) -> usize {
    match format {
        EncodingFormat::Float => write_floats(answer, vector),
        EncodingFormat::Base64 => write_base64(answer, vector),
    }
}

fn write_floats(answer: &mut [u8], vector: &[f32]) -> usize {
    let mut end = put(answer, b"[");
    for value in vector {
        // Every value is finite: the weights are checked, and so is what sums of them can reach.
        end += write_decimal(&mut answer[end..], *value);
        answer[end] = b',';
        end += 1;
    }
    // In the place of the last comma.
    end -= usize::from(!vector.is_empty());
    end + put(&mut answer[end..], b"]")
}

fn write_base64(answer: &mut [u8], vector: &[f32]) -> usize {
    /// A multiple of three bytes leaves no padding inside.
    const VALUES: usize = 384;
    let mut end = put(answer, b"\"");
    let mut bytes = [0; 4 * VALUES];
    for values in vector.chunks(VALUES) {
        let bytes = &mut bytes[..values.len() * 4];
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        end += STANDARD.encode(bytes, answer[end..].as_out()).len();
    }
    end + put(&mut answer[end..], b"\"")
}

fn write_index(answer: &mut [u8], index: usize) -> usize {
    let digits = index.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = index;
    for digit in answer[..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

fn put(answer: &mut [u8], bytes: &[u8]) -> usize {
    answer[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_longest_numbers_fit() {
        for value in [-1.042_244_5e-5, -9.630_934e12, -1.175_494_4e-38] {
            let vector = [value; 1000];
            let mut answer = vec![0; max_element_bytes(vector.len(), EncodingFormat::Float)];
            let length =
                write_embeddings(&mut answer, &vector, vector.len(), 0, EncodingFormat::Float);
            let element: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
            let read = element["embedding"].as_array().unwrap();
            assert_eq!(read.len(), vector.len());
            assert!(
                read.iter()
                    .all(|read| read.as_f64().unwrap() as f32 == value)
            );
        }
    }
}
