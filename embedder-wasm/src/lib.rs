//! The JavaScript boundary, and nothing else: texts go in and bytes come out through buffers in
//! wasm memory, whose addresses these functions hand out. An address is good until the next call.
//! No class crosses the boundary, so no finaliser can free into an instance that was replaced.

pub mod answer;
pub mod decimal;
pub mod lexical;
pub mod model;
pub mod rows;
pub mod tokenizer;
pub mod weights;
pub mod words_and_stems;

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

use answer::{EncodingFormat, max_element_bytes, write_embeddings};
use model::Model;
use weights::{Header, Weights};

/// An answer leaves in chunks of about this size (one embedding more than it at most).
const CHUNK_BYTES: usize = 1024 * 1024;

#[derive(Default)]
struct State {
    /// What JavaScript hands in: the head of a weights file, then texts in UTF-8.
    input: Vec<u8>,
    /// A weights file while it is read; empty before and after.
    loading: Vec<u8>,
    model: Option<Model>,
    /// `[n, dimensions]`, the embeddings of one request.
    vectors: Vec<f32>,
    dimensions: usize,
    /// A chunk of the answer; as long as the longest one so far.
    output: Vec<u8>,
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
        state.input.resize(byte_length, 0);
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
        state.loading = vec![0; byte_length];
        state.loading.as_mut_ptr()
    })
}

/// Checks the weights that were written and makes them the model.
#[wasm_bindgen(js_name = loadModel)]
pub fn load_model() -> Result<(), JsError> {
    with_state(|state| {
        let weights = Weights::from_bytes(std::mem::take(&mut state.loading))?;
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

/// Begins a request: forgets the vectors of the one before.
#[wasm_bindgen]
pub fn begin(dimensions: usize) {
    with_state(|state| {
        state.vectors.clear();
        state.dimensions = dimensions;
    });
}

/// Embeds the text in the first `byte_length` bytes of the input buffer and returns how many
/// words it has; the model reads the first `maxInputTokens` of them.
#[wasm_bindgen(js_name = embedText)]
pub fn embed_text(byte_length: usize) -> Result<usize, JsError> {
    with_state(|state| {
        let model = state
            .model
            .as_ref()
            .ok_or_else(|| JsError::new("no model is loaded"))?;
        let text = String::from_utf8_lossy(&state.input[..byte_length]);
        let start = state.vectors.len();
        state.vectors.resize(start + state.dimensions, 0.0);
        Ok(model.embed(&text, &mut state.vectors[start..]).words)
    })
}

/// Counts the words of the text in the first `byte_length` bytes of the input buffer.
#[wasm_bindgen(js_name = countTokens)]
pub fn count_tokens(byte_length: usize) -> Result<usize, JsError> {
    with_state(|state| {
        let model = state
            .model
            .as_ref()
            .ok_or_else(|| JsError::new("no model is loaded"))?;
        Ok(model.count(&String::from_utf8_lossy(&state.input[..byte_length])))
    })
}

/// Makes room for `count` vectors in place of those of the request before, and returns its address:
/// where JavaScript finds the vectors that it keeps while a large answer is sent, and puts them back.
#[wasm_bindgen(js_name = vectorsAddress)]
pub fn vectors_address(count: usize, dimensions: usize) -> *mut f32 {
    with_state(|state| {
        state.dimensions = dimensions;
        state.vectors.resize(count * dimensions, 0.0);
        state.vectors.as_mut_ptr()
    })
}

/// How many embeddings of this size fit in one chunk of an answer.
#[wasm_bindgen(js_name = embeddingsPerChunk)]
pub fn embeddings_per_chunk(dimensions: usize, base64: bool) -> usize {
    (CHUNK_BYTES / max_element_bytes(dimensions, encoding_format(base64))).max(1)
}

/// Writes the elements of the answer's `data` for the vectors at hand, numbered from `first_index`,
/// into the output buffer and returns their length in bytes.
#[wasm_bindgen(js_name = writeEmbeddings)]
pub fn write_answer(first_index: usize, base64: bool) -> usize {
    with_state(|state| {
        let format = encoding_format(base64);
        let count = state.vectors.len() / state.dimensions;
        let room = count * max_element_bytes(state.dimensions, format);
        if state.output.len() < room {
            state.output.resize(room, 0);
        }
        write_embeddings(
            &mut state.output,
            &state.vectors,
            state.dimensions,
            first_index,
            format,
        )
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
