//! The JavaScript boundary, and nothing else: texts go in and bytes come out through buffers in
//! wasm memory, whose addresses these functions hand out. An address is good until the next call; that of the
//! weights until they are loaded.
//! No class crosses the boundary, so no finaliser can free into an instance that was replaced.

pub mod answer;
pub mod decimal;
pub mod lexical;
pub mod model;
pub mod rows;
pub mod tokenizer;
pub mod tokenizers;
pub mod weights;
pub mod words_and_stems;

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

use answer::{ANSWER_HEAD, EncodingFormat, max_element_bytes, write_embeddings};
use model::Model;
use tokenizer::WordCount;
use weights::{Header, Weights};

/// An answer leaves in chunks of about this size (one embedding more than it at most).
const CHUNK_BYTES: usize = 1024 * 1024;

#[derive(Default)]
struct State {
    /// What JavaScript hands in: the head of a weights file, then texts in UTF-8.
    input: Vec<u8>,
    /// Of the texts in `input`, in UTF-16 units, which is what JavaScript counts in.
    text_lengths: Vec<u32>,
    /// A weights file while it is read; empty before and after.
    loading: Vec<u8>,
    loading_bytes: usize,
    model: Option<Model>,
    /// `[count, dimensions]`, the embeddings of one request; what lies behind them is of earlier ones.
    vectors: Vec<f32>,
    count: usize,
    dimensions: usize,
    /// Where vectors do not wait for the last one: each is written into `output` as soon as it is made,
    /// while the processor's caches hold it, and its place in `vectors` is the next one's.
    written_at_once: Option<EncodingFormat>,
    /// Of the texts of one request.
    word_counts: Vec<u32>,
    tokens_read: usize,
    /// A chunk of the answer; as long as the longest one so far.
    output: Vec<u8>,
    output_bytes: usize,
}

impl State {
    /// Grows by what is needed and no more: wasm memory never shrinks.
    fn make_room(&mut self, values: usize) {
        if self.vectors.len() < values {
            self.vectors.reserve_exact(values - self.vectors.len());
            self.vectors.resize(values, 0.0);
        }
    }

    fn make_output_room(&mut self, bytes: usize) {
        if self.output.len() < bytes {
            self.output.reserve_exact(bytes - self.output.len());
            self.output.resize(bytes, 0);
        }
    }

    fn begin_output(
        &mut self,
        count: usize,
        dimensions: usize,
        format: EncodingFormat,
        first_index: usize,
    ) {
        let head = if first_index == 0 { ANSWER_HEAD } else { b"" };
        self.make_output_room(head.len() + count * max_element_bytes(dimensions, format));
        self.output[..head.len()].copy_from_slice(head);
        self.output_bytes = head.len();
    }
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn with_state<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(work)
}

/// Makes room for `byte_length` bytes of input and returns its address.
#[wasm_bindgen(js_name = inputAddress)]
pub fn input_address(byte_length: usize) -> *mut u8 {
    with_state(|state| {
        if state.input.len() < byte_length {
            state.input.resize(byte_length, 0);
        }
        state.input.as_mut_ptr()
    })
}

/// The length in bytes that the weights file must have, read from its first `byte_length` bytes,
/// which are in the input buffer; 0 when these do not hold the whole header yet.
#[wasm_bindgen(js_name = weightsLength)]
pub fn weights_length(byte_length: usize) -> Result<usize, JsError> {
    with_state(|state| {
        let head = &state.input[..byte_length.min(state.input.len())];
        Ok(Header::parse(head)?.map_or(0, |header| header.file_bytes))
    })
}

/// Makes room for a weights file of `byte_length` bytes and returns its address.
#[wasm_bindgen(js_name = weightsAddress)]
pub fn weights_address(byte_length: usize) -> *mut u8 {
    with_state(|state| {
        // First, so that what a load that broke off has left never lies beside the next one.
        state.loading = Vec::new();
        state.loading = Vec::with_capacity(byte_length);
        state.loading_bytes = byte_length;
        state.loading.as_mut_ptr()
    })
}

/// Checks the weights that were written and makes them the model.
#[wasm_bindgen(js_name = loadModel)]
pub fn load_model() -> Result<(), JsError> {
    with_state(|state| {
        let mut bytes = std::mem::take(&mut state.loading);
        // SAFETY: so much capacity was made together with `loading`, and JavaScript has written all of it: it counts what it copies.
        // Zeroing 25 MB first would cost more than copying them.
        unsafe { bytes.set_len(std::mem::take(&mut state.loading_bytes)) };
        let weights = Weights::from_bytes(bytes)?;
        state.model = Some(Model::new(weights));
        Ok(())
    })
}

/// The loaded model's header, as JSON; an empty string when none is loaded.
#[wasm_bindgen(js_name = modelHeader)]
pub fn model_header() -> String {
    with_state(|state| {
        state.model.as_ref().map_or_else(String::new, |model| {
            let header = model.header();
            serde_json::json!({
                "name": header.name,
                "tokenizer": header.tokenizer.name(),
                "dtype": header.dtype.name(),
                "vocabSize": header.vocab_size,
                "dimensions": header.embedding_dim,
                "maxInputTokens": header.max_seq_len,
                "normalize": header.normalize,
            })
            .to_string()
        })
    })
}

/// Begins a request of `count` texts: makes room for their vectors, and forgets those of the one before.
/// With a format, base64 or float, the vectors are written as they are made, and `writeEmbeddings` need
/// only be asked for all of them at once; without, they are kept.
#[wasm_bindgen]
pub fn begin(count: usize, dimensions: usize, base64: Option<bool>) {
    with_state(|state| {
        state.written_at_once = base64.map(encoding_format);
        match state.written_at_once {
            Some(format) => {
                state.make_room(dimensions);
                state.begin_output(count, dimensions, format, 0);
            }
            None => state.make_room(count * dimensions),
        }
        state.count = 0;
        state.dimensions = dimensions;
        state.word_counts.clear();
        state.tokens_read = 0;
    });
}

/// Makes room for the lengths of `count` texts and returns its address.
#[wasm_bindgen(js_name = textLengthsAddress)]
pub fn text_lengths_address(count: usize) -> *mut u32 {
    with_state(|state| {
        state.text_lengths.resize(count, 0);
        state.text_lengths.as_mut_ptr()
    })
}

/// Embeds texts and returns how many words they have together; the model reads the first
/// `maxInputTokens` of each. The texts are in the first `byte_length` bytes of the input buffer, one
/// byte between two of them, and their lengths, as JavaScript counts, where `textLengthsAddress` says.
/// With `only_count` no word is read.
#[wasm_bindgen(js_name = embedTexts)]
pub fn embed_texts(byte_length: usize, only_count: bool) -> Result<usize, JsError> {
    with_state(|state| {
        let model = state
            .model
            .as_ref()
            .ok_or_else(|| JsError::new("no model is loaded"))?;
        let mut rest = std::str::from_utf8(&state.input[..byte_length])?;
        let is_ascii = rest.is_ascii();
        let mut words = 0;
        for utf16_length in &state.text_lengths {
            let length = if is_ascii {
                *utf16_length as usize
            } else {
                utf8_length(rest, *utf16_length as usize)
            };
            let text = rest.get(..length).unwrap_or(rest);
            rest = rest.get(length + 1..).unwrap_or("");
            let count = if only_count {
                WordCount {
                    words: model.count(text),
                    words_read: 0,
                }
            } else {
                let (index, dimensions) = (state.count, state.dimensions);
                state.count += 1;
                let start = if state.written_at_once.is_some() {
                    0
                } else {
                    index * dimensions
                };
                let vector = &mut state.vectors[start..start + dimensions];
                let count = model.embed(text, vector);
                if let Some(format) = state.written_at_once {
                    let output = &mut state.output[state.output_bytes..];
                    state.output_bytes +=
                        write_embeddings(output, vector, dimensions, index, format);
                }
                count
            };
            words += count.words;
            state.tokens_read += count.words_read;
            state.word_counts.push(count.words as u32);
        }
        Ok(words)
    })
}

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

/// How many words the model read of the texts since `begin`.
#[wasm_bindgen(js_name = tokensRead)]
pub fn tokens_read() -> usize {
    with_state(|state| state.tokens_read)
}

/// The address of the numbers of words, u32, of the texts since `begin`.
#[wasm_bindgen(js_name = wordCountsAddress)]
pub fn word_counts_address() -> *const u32 {
    with_state(|state| state.word_counts.as_ptr())
}

/// Makes room for `count` vectors in place of those of the request before, and returns its address:
/// where JavaScript finds the vectors that it keeps while a large answer is sent, and puts them back.
#[wasm_bindgen(js_name = vectorsAddress)]
pub fn vectors_address(count: usize, dimensions: usize) -> *mut f32 {
    with_state(|state| {
        state.make_room(count * dimensions);
        state.written_at_once = None;
        state.count = count;
        state.dimensions = dimensions;
        state.vectors.as_mut_ptr()
    })
}

/// How many embeddings of this size fit in one chunk of an answer.
#[wasm_bindgen(js_name = embeddingsPerChunk)]
pub fn embeddings_per_chunk(dimensions: usize, base64: bool) -> usize {
    (CHUNK_BYTES / max_element_bytes(dimensions, encoding_format(base64))).max(1)
}

/// Writes a piece of the answer into the output buffer and returns its length in bytes: the elements of
/// `data` for the vectors at hand, numbered from `first_index`, with what comes before the first of
/// all. After the piece the buffer has `tail_room` bytes more. Where the vectors were written as they were
/// made, that is the piece, and only the room is made.
#[wasm_bindgen(js_name = writeEmbeddings)]
pub fn write_answer(first_index: usize, base64: bool, tail_room: usize) -> usize {
    with_state(|state| {
        if state.written_at_once.is_none() {
            let (format, dimensions) = (encoding_format(base64), state.dimensions);
            state.begin_output(state.count, dimensions, format, first_index);
            let output = &mut state.output[state.output_bytes..];
            let vectors = &state.vectors[..state.count * dimensions];
            state.output_bytes +=
                write_embeddings(output, vectors, dimensions, first_index, format);
        }
        state.make_output_room(state.output_bytes + tail_room);
        state.output_bytes
    })
}

#[wasm_bindgen(js_name = outputAddress)]
pub fn output_address() -> *const u8 {
    with_state(|state| state.output.as_ptr())
}

/// After a trap: the next call from JavaScript finds a new instance, with nothing loaded.
#[wasm_bindgen(js_name = replaceInstance)]
pub fn replace_instance() {
    wasm_bindgen::handler::schedule_reinit();
}

fn encoding_format(base64: bool) -> EncodingFormat {
    if base64 {
        EncodingFormat::Base64
    } else {
        EncodingFormat::Float
    }
}
