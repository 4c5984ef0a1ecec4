//! The JavaScript boundary, and nothing else. Wasm owns models, JavaScript owns requests: every export is a complete call
//! that reads the input area and writes the output area, and of a request nothing stays behind. Models and loads
//! are numbers. The address of an area is good until the next call, that of a load's weights until the load ends.
//! No class crosses the boundary, so no finaliser can free into an instance that was replaced.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

use crate::answer::EncodingFormat;
use crate::area::Area;
use crate::batch::{self, Format, Slice, Texts, Workspace};
use crate::format::container::{Head, WeightsFile};
use crate::models::Model;

#[derive(Default)]
struct Instance {
    /// What JavaScript hands in: the head of a weights file, texts, or vectors.
    input: Area,
    workspace: Workspace,
    loads: Registry<Load>,
    models: Registry<Model>,
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
}

/// Every export enters here. A call that trapped, or whose request Cloudflare killed, never gave the instance back: its
/// memory is as that call left it half-way, and whoever comes next must not use it. The trap tells JavaScript
/// to replace the instance.
fn enter<T>(work: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with(|instance| match instance.try_borrow_mut() {
        Ok(mut instance) => work(&mut instance),
        Err(_) => trap(),
    })
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    panic!("a call before this one never ended")
}

/// Things by their handles, of which none is used twice. There are few of them.
struct Registry<T> {
    entries: Vec<(u32, T)>,
    last_handle: u32,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            last_handle: 0,
        }
    }
}

impl<T> Registry<T> {
    fn add(&mut self, value: T) -> u32 {
        self.last_handle += 1;
        self.entries.push((self.last_handle, value));
        self.last_handle
    }

    fn place(&self, handle: u32) -> Option<usize> {
        self.entries.iter().position(|entry| entry.0 == handle)
    }

    fn get(&self, handle: u32) -> Option<&T> {
        self.place(handle).map(|place| &self.entries[place].1)
    }

    fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        self.place(handle).map(|place| &mut self.entries[place].1)
    }

    fn remove(&mut self, handle: u32) -> Option<T> {
        self.place(handle)
            .map(|place| self.entries.swap_remove(place).1)
    }
}

fn model_with(models: &Registry<Model>, handle: u32) -> Result<&Model, JsError> {
    models
        .get(handle)
        .ok_or_else(|| JsError::new("no model with this handle"))
}

fn no_load() -> JsError {
    JsError::new("no load with this handle")
}

fn no_head() -> JsError {
    JsError::new("the head of this load is not read yet")
}

// ------------------------------------------------------------------------------------------------- areas

/// Makes room for so many bytes in the input area, keeps what is there, and returns the area's address.
#[wasm_bindgen(js_name = inputAddress)]
pub fn input_address(byte_length: usize) -> *mut u8 {
    enter(|instance| {
        instance.input.make_room(byte_length);
        instance.input.address()
    })
}

/// The address of the output area. Behind every output there is room for 4 KiB more.
#[wasm_bindgen(js_name = outputAddress)]
pub fn output_address() -> *mut u8 {
    enter(|instance| instance.workspace.output.address())
}

// ------------------------------------------------------------------------------------------------- loads

/// A weights file while it arrives.
#[derive(Default)]
struct Load {
    head: Option<Head>,
    /// Of length 0 and, once it has an address, of a capacity of the head's `file_bytes`.
    bytes: Vec<u8>,
}

/// Begins to load a weights file; any number of loads may go on side by side.
#[wasm_bindgen(js_name = beginLoad)]
pub fn begin_load() -> u32 {
    enter(|instance| instance.loads.add(Load::default()))
}

/// The length in bytes that a file must have, read from its first `byte_length` bytes, which are in the input
/// area; 0 when these do not hold the whole header yet. Throws the reason why a file is refused.
#[wasm_bindgen(js_name = readHead)]
pub fn read_head(load: u32, byte_length: usize) -> Result<usize, JsError> {
    enter(|instance| {
        let load = instance.loads.get_mut(load).ok_or_else(no_load)?;
        let bytes = instance.input.bytes();
        let bytes = &bytes[..byte_length.min(bytes.len())];
        let Some(head) = Head::parse(bytes)? else {
            return Ok(0);
        };
        Model::check_head(&head)?;
        Ok(load.head.insert(head).file_bytes)
    })
}

/// Where the whole file is to be written, from its first byte on; the same address until the load ends.
#[wasm_bindgen(js_name = weightsAddress)]
pub fn weights_address(load: u32) -> Result<*mut u8, JsError> {
    enter(|instance| {
        let load = instance.loads.get_mut(load).ok_or_else(no_load)?;
        let Some(head) = &load.head else {
            return Err(no_head());
        };
        if load.bytes.capacity() == 0 {
            load.bytes = Vec::with_capacity(head.file_bytes);
        }
        Ok(load.bytes.as_mut_ptr())
    })
}

/// Checks the weights that were written and makes a model of them. Throws the reason why they are refused; the load
/// is gone either way.
#[wasm_bindgen(js_name = finishLoad)]
pub fn finish_load(load: u32) -> Result<u32, JsError> {
    enter(|instance| {
        let Load { head, mut bytes } = instance.loads.remove(load).ok_or_else(no_load)?;
        let head = head.ok_or_else(no_head)?;
        if bytes.capacity() < head.file_bytes {
            return Err(JsError::new("the weights of this load were not written"));
        }
        // SAFETY: so much capacity was made for `bytes`, and JavaScript has written all of it: it counts what it
        // copies. Zeroing 25 MB first would cost more than copying them.
        unsafe { bytes.set_len(head.file_bytes) };
        let model = Model::from_file(WeightsFile::with_head(head, bytes)?)?;
        Ok(instance.models.add(model))
    })
}

/// Gives a load up, with its memory. A load that is gone already is no error.
#[wasm_bindgen(js_name = dropLoad)]
pub fn drop_load(load: u32) {
    enter(|instance| drop(instance.loads.remove(load)));
}

// ------------------------------------------------------------------------------------------------ models

/// Gives a model's memory back. A model that is gone already is no error.
#[wasm_bindgen(js_name = dropModel)]
pub fn drop_model(model: u32) {
    enter(|instance| drop(instance.models.remove(model)));
}

/// What is to be known about a model, as JSON.
#[wasm_bindgen(js_name = modelInfo)]
pub fn model_info(model: u32) -> Result<String, JsError> {
    enter(|instance| Ok(model_with(&instance.models, model)?.info().to_json()))
}

/// Counts the tokens of `count` texts, which are in the input area: their lengths in UTF-16 units, `[u32; count]`, and
/// then the texts in UTF-8, `byte_length` bytes with one byte between two of them. The output area has
/// then for each text two u32, its tokens and how many of them the model reads.
#[wasm_bindgen(js_name = countTokens)]
pub fn count_tokens(model: u32, count: usize, byte_length: usize) -> Result<(), JsError> {
    enter(|instance| {
        let texts = texts_in(&instance.input, count, byte_length)?;
        let model = model_with(&instance.models, model)?;
        batch::count(model, texts, &mut instance.workspace.output);
        Ok(())
    })
}

/// Embeds texts, which are in the input area as `countTokens` has them, and returns how many were done: those that
/// the budget of multiply-adds allows. `format` is 0 for elements of `data` with numbers, 1 for such
/// with base64, 2 for little-endian f32. `first_index` is the place of the first text in its request. Behind the texts are
/// `begun_bytes` bytes, of the call before for the same request, which left the first text half-way. What
/// the output area has then, `batch::embed` says.
#[expect(
    clippy::too_many_arguments,
    reason = "numbers are what crosses the boundary at no cost"
)]
#[wasm_bindgen]
pub fn embed(
    model: u32,
    count: usize,
    byte_length: usize,
    dimensions: usize,
    format: u32,
    first_index: usize,
    work_budget: f64,
    begun_bytes: usize,
) -> Result<usize, JsError> {
    enter(|instance| {
        let model = model_with(&instance.models, model)?;
        check_dimensions(dimensions, model.info().dimensions)?;
        let begun_start = count * size_of::<u32>() + byte_length;
        let begun = instance.input.bytes().get(begun_start..);
        let Some(begun) = begun.and_then(|begun| begun.get(..begun_bytes)) else {
            return Err(JsError::new(
                "what was begun does not lie in the input area",
            ));
        };
        let slice = Slice {
            texts: texts_in(&instance.input, count, byte_length)?,
            dimensions,
            format: match format {
                2 => Format::Vectors,
                _ => Format::Json(encoding_format(format)?),
            },
            first_index,
            work_budget,
            begun,
        };
        Ok(batch::embed(model, slice, &mut instance.workspace))
    })
}

/// Writes `count` vectors, f32 in the input area, as elements of `data` into the output area and returns their length
/// in bytes. `format` is 0 or 1, as in `embed`.
#[wasm_bindgen]
pub fn encode(
    count: usize,
    dimensions: usize,
    format: u32,
    first_index: usize,
) -> Result<usize, JsError> {
    enter(|instance| {
        let format = encoding_format(format)?;
        let values = count.checked_mul(dimensions);
        let vectors = values.and_then(|values| instance.input.floats().get(..values));
        let Some(vectors) = vectors.filter(|_| dimensions > 0) else {
            return Err(JsError::new("the vectors do not lie in the input area"));
        };
        let output = &mut instance.workspace.output;
        Ok(batch::encode(
            vectors,
            dimensions,
            format,
            first_index,
            output,
        ))
    })
}

/// How many embeddings of this size fit in one chunk, of 2 MiB, of an answer.
#[wasm_bindgen(js_name = embeddingsPerChunk)]
pub fn embeddings_per_chunk(dimensions: usize, base64: bool) -> usize {
    enter(|_| {
        let format = if base64 {
            EncodingFormat::Base64
        } else {
            EncodingFormat::Float
        };
        batch::embeddings_per_chunk(dimensions, format)
    })
}

fn texts_in(input: &Area, count: usize, byte_length: usize) -> Result<Texts<'_>, JsError> {
    let bytes = input.bytes();
    let texts_start = count.saturating_mul(size_of::<u32>());
    let texts_end = texts_start.saturating_add(byte_length);
    match (bytes.get(..texts_start), bytes.get(texts_start..texts_end)) {
        (Some(lengths), Some(texts)) => Ok(Texts::new(lengths, texts)?),
        _ => Err(JsError::new("the texts do not lie in the input area")),
    }
}

fn encoding_format(format: u32) -> Result<EncodingFormat, JsError> {
    match format {
        0 => Ok(EncodingFormat::Float),
        1 => Ok(EncodingFormat::Base64),
        _ => Err(JsError::new(&format!("there is no format {format}"))),
    }
}

fn check_dimensions(dimensions: usize, most: usize) -> Result<(), JsError> {
    if (1..=most).contains(&dimensions) {
        return Ok(());
    }
    Err(JsError::new(&format!(
        "dimensions: expected 1 to {most}, got {dimensions}"
    )))
}

// ---------------------------------------------------------------------------------------------- instance

/// After a trap: the next call from JavaScript finds a new instance, with nothing loaded. This alone may be called
/// when the call before never ended.
#[wasm_bindgen(js_name = replaceInstance)]
pub fn replace_instance() {
    wasm_bindgen::handler::schedule_reinit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a call before this one never ended")]
    fn a_call_that_finds_another_one_half_way_traps() {
        enter(|_| begin_load());
    }

    #[test]
    fn a_handle_is_never_used_twice() {
        let first = begin_load();
        drop_load(first);
        let second = begin_load();
        assert_ne!(first, second);
        drop_load(first);
        enter(|instance| assert!(instance.loads.get(second).is_some()));
    }
}
