//! A batch of texts becomes what an answer is made of, a slice of work at a time: how much a slice does is bounded in
//! multiply-adds, never by the clock, which stands still while code runs on Cloudflare.

use crate::answer::{ANSWER_HEAD, EncodingFormat, max_element_bytes, write_embeddings};
use crate::area::Area;
use crate::models::{Model, Scratch, TokenCount};

/// Behind every output there is room for so many bytes: JavaScript writes the rest of the answer there.
pub const TAIL_ROOM: usize = 4096;
/// What is longer is streamed in several chunks (one of them may be one embedding longer). A hundred embeddings of 1,024 floats, which
/// clients often ask for, are one chunk: nothing has to be kept between two.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// An output that is longer than a chunk grows by steps of this size.
const GROWTH_BYTES: usize = 256 * 1024;

/// The length of the elements, u32, and that of what was begun, u32.
const OUTPUT_HEAD_BYTES: usize = 8;
/// Of each text three u32: tokens, tokens that were read, and 1 where the embedding is the zero vector, else 0.
const RECORD_BYTES: usize = 12;
/// Of each text two u32: tokens, tokens that would be read.
const COUNT_BYTES: usize = 8;

/// The texts of a request.
#[derive(Clone)]
pub struct Texts<'a> {
    /// In UTF-16 units, which is what JavaScript counts in; each a little-endian u32.
    lengths: std::slice::Iter<'a, [u8; 4]>,
    /// The texts that are left, one byte between two of them.
    rest: &'a str,
    is_ascii: bool,
}

impl<'a> Texts<'a> {
    /// `lengths` holds one u32 for each text; `texts` the texts in UTF-8.
    pub fn new(lengths: &'a [u8], texts: &'a [u8]) -> Result<Self, std::str::Utf8Error> {
        let rest = std::str::from_utf8(texts)?;
        Ok(Self {
            lengths: lengths.as_chunks().0.iter(),
            rest,
            is_ascii: rest.is_ascii(),
        })
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let utf16_length = u32::from_le_bytes(*self.lengths.next()?) as usize;
        let length = if self.is_ascii {
            utf16_length
        } else {
            utf8_length(self.rest, utf16_length)
        };
        let text = self.rest.get(..length).unwrap_or(self.rest);
        self.rest = self.rest.get(length + 1..).unwrap_or("");
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lengths.size_hint()
    }
}

impl ExactSizeIterator for Texts<'_> {}

/// The length in UTF-8 of the beginning of `text` that has `utf16_length` UTF-16 units.
fn utf8_length(text: &str, utf16_length: usize) -> usize {
    let mut units = 0;
    text.char_indices()
        .find(|(_, character)| {
            let is_end = units >= utf16_length;
            units += character.len_utf16();
            is_end
        })
        .map_or(text.len(), |(length, _)| length)
}

/// What becomes of the embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Elements of the answer's `data`.
    Json(EncodingFormat),
    /// Little-endian f32, one vector behind the other.
    Vectors,
}

/// Part of a request: its texts from the one with the index `first_index` on.
pub struct Slice<'a> {
    pub texts: Texts<'a>,
    /// Of the embeddings, at most the model's.
    pub dimensions: usize,
    pub format: Format,
    /// Of the first text, in the request. Where it is 0 the elements have `ANSWER_HEAD` before them.
    pub first_index: usize,
    /// Multiply-adds. The slice ends before the text that would exceed them; the first text is begun in any case.
    pub work_budget: f64,
    /// Where an earlier slice has left the first text; empty where none has begun it.
    pub begun: &'a [u8],
}

/// Memory that requests use one after the other; nothing in it outlives a call.
#[derive(Default)]
pub struct Workspace {
    scratch: Scratch,
    /// `[dimensions]`, one embedding.
    vector: Vec<f32>,
    pub output: Area,
}

/// Embeds texts of a slice, as many as its budget allows, and returns how many. The output is then: the length of the
/// elements in bytes, u32; the length of what was begun, u32; for each text that is done three u32, which are its tokens, how many of
/// them were read, and whether its embedding is the zero vector; then the elements. Behind them is, where an encoder has stopped between
/// two layers of the next text, where that stands: the next slice of the request goes on there.
pub fn embed(model: &Model, slice: Slice, workspace: &mut Workspace) -> usize {
    let Slice {
        texts,
        dimensions,
        format,
        first_index,
        work_budget,
        mut begun,
    } = slice;
    let Workspace {
        scratch,
        vector,
        output,
    } = workspace;
    let text_count = texts.len();
    let elements_start = OUTPUT_HEAD_BYTES + text_count * RECORD_BYTES;
    let element_bytes = match format {
        Format::Json(format) => max_element_bytes(dimensions, format),
        Format::Vectors => dimensions * size_of::<f32>(),
    };
    let expected_elements = match format {
        // What the elements have together is mostly far less than what they may have at most.
        Format::Json(format) => text_count.min(embeddings_per_chunk(dimensions, format)),
        Format::Vectors => text_count,
    };
    let most_behind = ANSWER_HEAD.len() + TAIL_ROOM;
    output.make_room(elements_start + expected_elements * element_bytes + most_behind);
    vector.resize(dimensions, 0.0);

    let mut end = elements_start + put_answer_head(output, elements_start, format, first_index);
    let mut done = 0;
    let mut work = 0.0;
    let mut is_half_way = false;
    for text in texts {
        if done > 0
            && work + model.most_work(text) as f64 > work_budget
            && work + model.work(model.count(text).tokens_read) as f64 > work_budget
        {
            break;
        }
        if output.byte_length() < end + element_bytes + TAIL_ROOM {
            output.make_room(end + element_bytes + TAIL_ROOM + GROWTH_BYTES);
        }
        let embedded = model.embed_within(text, begun, work_budget - work, scratch, vector);
        let Some(TokenCount {
            tokens,
            tokens_read,
        }) = embedded
        else {
            is_half_way = true;
            break;
        };
        begun = &[];
        work += model.work(tokens_read) as f64;
        let is_empty = vector.iter().all(|value| *value == 0.0);
        let bytes = output.bytes_mut();
        let record = [tokens as u32, tokens_read as u32, u32::from(is_empty)];
        put_numbers(
            &mut bytes[OUTPUT_HEAD_BYTES + done * RECORD_BYTES..],
            record,
        );
        // Written while the processor's caches hold it.
        end += match format {
            Format::Json(format) => write_embeddings(
                &mut bytes[end..],
                vector,
                dimensions,
                first_index + done,
                format,
            ),
            Format::Vectors => put_vector(&mut bytes[end..], vector),
        };
        done += 1;
    }

    if done == 0 {
        // The answer's head comes with the first element.
        end = elements_start;
    }
    let element_bytes = end - elements_start;
    // The elements follow the records of the texts that are done.
    if done < text_count {
        let start = OUTPUT_HEAD_BYTES + done * RECORD_BYTES;
        output.bytes_mut().copy_within(elements_start..end, start);
        end = start + element_bytes;
    }
    let begun_bytes = match is_half_way {
        true => put_half_way(output, end, scratch),
        false => 0,
    };
    put_numbers(
        output.bytes_mut(),
        [element_bytes as u32, begun_bytes as u32],
    );
    done
}

/// Counts the tokens of texts, and reads no weights. The output is then, for each text, two u32: its tokens, and how
/// many of them the model reads.
pub fn count(model: &Model, texts: Texts, output: &mut Area) {
    output.make_room(texts.len() * COUNT_BYTES + TAIL_ROOM);
    let (records, _) = output.bytes_mut().as_chunks_mut::<COUNT_BYTES>();
    for (record, text) in records.iter_mut().zip(texts) {
        let TokenCount {
            tokens,
            tokens_read,
        } = model.count(text);
        put_numbers(record, [tokens as u32, tokens_read as u32]);
    }
}

/// Writes vectors (`[n, dimensions]`) as elements of `data`, numbered from `first_index`, into the output and returns
/// their length in bytes. Where `first_index` is 0 they have `ANSWER_HEAD` before them.
pub fn encode(
    vectors: &[f32],
    dimensions: usize,
    format: EncodingFormat,
    first_index: usize,
    output: &mut Area,
) -> usize {
    let count = vectors.len() / dimensions;
    let element_bytes = max_element_bytes(dimensions, format);
    output.make_room(ANSWER_HEAD.len() + count * element_bytes + TAIL_ROOM);
    let start = put_answer_head(output, 0, Format::Json(format), first_index);
    let elements = &mut output.bytes_mut()[start..];
    start + write_embeddings(elements, vectors, dimensions, first_index, format)
}

/// How many embeddings of this size fit in one chunk of an answer.
pub fn embeddings_per_chunk(dimensions: usize, format: EncodingFormat) -> usize {
    (CHUNK_BYTES / max_element_bytes(dimensions, format)).max(1)
}

/// Writes what comes before the first element of all, and returns its length.
fn put_answer_head(output: &mut Area, start: usize, format: Format, first_index: usize) -> usize {
    if format == Format::Vectors || first_index > 0 {
        return 0;
    }
    output.bytes_mut()[start..start + ANSWER_HEAD.len()].copy_from_slice(ANSWER_HEAD);
    ANSWER_HEAD.len()
}

/// Writes where a text stands, and returns how long that is.
fn put_half_way(output: &mut Area, start: usize, scratch: &Scratch) -> usize {
    let (layers_done, hidden) = scratch.half_way();
    let byte_length = size_of_val(&layers_done) + size_of_val(hidden);
    output.make_room(start + byte_length + TAIL_ROOM);
    let bytes = &mut output.bytes_mut()[start..];
    put_numbers(bytes, [layers_done]);
    put_vector(&mut bytes[size_of_val(&layers_done)..], hidden);
    byte_length
}

fn put_vector(bytes: &mut [u8], vector: &[f32]) -> usize {
    for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(vector) {
        *bytes = value.to_le_bytes();
    }
    size_of_val(vector)
}

fn put_numbers<const N: usize>(bytes: &mut [u8], numbers: [u32; N]) {
    for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        *bytes = number.to_le_bytes();
    }
}
