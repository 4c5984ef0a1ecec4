//! The exports, called natively as JavaScript calls them: loads side by side, and what they keep in memory. WebAssembly
//! memory never shrinks, so that what is allocated once too often is lost to an isolate for good.

mod counting_allocator;

use counting_allocator::peak_allocation;
use embedder_wasm::boundary::{
    begin_load, count_tokens, drop_load, drop_model, embed, finish_load, input_address, model_info,
    output_address, read_head, weights_address,
};
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer::v1;
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::random::Random;
use serde_json::Value;

const TEXT: &str = "one two three, four!";

fn file(seed: u64, dimensions: usize, rows: usize) -> Vec<u8> {
    let values = Random::new(seed).start_values(rows * dimensions);
    v1(dimensions, 100, true, &values)
}

/// Writes bytes into the input area.
fn put_input(bytes: &[u8]) {
    let address = input_address(bytes.len());
    // SAFETY: there is room for so many bytes, and nothing else writes to this thread's instance.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address, bytes.len()) };
}

fn output(byte_length: usize) -> Vec<u8> {
    // SAFETY: the call before has written so many bytes, and nothing else writes meanwhile.
    unsafe { std::slice::from_raw_parts(output_address(), byte_length) }.to_vec()
}

fn read_head_of(load: u32, file: &[u8]) -> usize {
    put_input(file);
    ok(read_head(load, file.len()))
}

/// Writes a piece of a file to its place.
fn write(load: u32, offset: usize, bytes: &[u8]) {
    let address = ok(weights_address(load));
    // SAFETY: the load has room for its whole file, of which this is a piece.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address.add(offset), bytes.len()) };
}

/// An error of the boundary cannot be shown outside of JavaScript.
fn ok<T>(result: Result<T, wasm_bindgen::JsError>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => panic!("the call failed"),
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|it| u32::from_le_bytes(*it)).collect()
}

/// One text's vector, by the export.
fn vector_of(model: u32, text: &str, dimensions: usize) -> Vec<u32> {
    let length = text.encode_utf16().count() as u32;
    put_input(&[&length.to_le_bytes(), text.as_bytes()].concat());
    let done = ok(embed(model, 1, text.len(), dimensions, 2, 0, 1e9, 0));
    assert_eq!(done, 1);
    let values = numbers(&output(8 + 12 + dimensions * 4));
    assert_eq!(values[..5], [dimensions as u32 * 4, 0, 4, 4, 0]);
    values[5..].to_vec()
}

/// The same without the boundary.
fn expected_vector(file: &[u8], text: &str, dimensions: usize) -> Vec<u32> {
    let model = Model::from_file(WeightsFile::from_bytes(file.to_vec()).unwrap()).unwrap();
    let mut vector = vec![0.0; dimensions];
    model.embed(text, &mut Scratch::default(), &mut vector);
    vector.into_iter().map(f32::to_bits).collect()
}

#[test]
fn two_loads_at_once_give_two_right_models() {
    let files = [file(1, 5, 40), file(2, 8, 30)];
    let loads = files.each_ref().map(|file| {
        let load = begin_load();
        assert_eq!(read_head_of(load, &file[..20]), 0);
        assert_eq!(read_head_of(load, &file[..200]), file.len());
        load
    });
    for piece in 0..2 {
        for (load, file) in loads.iter().zip(&files) {
            let half = file.len() / 2;
            let bytes = if piece == 0 {
                &file[..half]
            } else {
                &file[half..]
            };
            write(*load, piece * half, bytes);
        }
    }
    let models = loads.map(|load| ok(finish_load(load)));
    for ((model, file), dimensions) in models.iter().zip(&files).zip([5, 8]) {
        let info: Value = serde_json::from_str(&ok(model_info(*model))).unwrap();
        assert_eq!(info["dimensions"], dimensions);
        let expected = expected_vector(file, TEXT, dimensions);
        assert_eq!(vector_of(*model, TEXT, dimensions), expected);
    }
    // What is gone leaves the other as it was.
    drop_model(models[0]);
    assert_eq!(
        vector_of(models[1], TEXT, 8),
        expected_vector(&files[1], TEXT, 8)
    );
}

#[test]
fn tokens_are_counted_without_reading_them_all() {
    let file = file(3, 2, 10);
    let load = begin_load();
    read_head_of(load, &file);
    write(load, 0, &file);
    let model = ok(finish_load(load));
    let long = "word ".repeat(101);
    let texts = format!("zwei Wörter\n\n{long}");
    let lengths = [11_u32, 0, long.len() as u32].map(u32::to_le_bytes);
    put_input(&[&lengths.concat(), texts.as_bytes()].concat());
    ok(count_tokens(model, 3, texts.len()));
    assert_eq!(numbers(&output(24)), [2, 2, 0, 0, 101, 100]);
}

#[test]
fn a_load_that_is_given_up_makes_room_for_the_next() {
    const DIMENSIONS: usize = 1024;
    const ROWS: usize = 6000;
    const WEIGHTS_BYTES: usize = DIMENSIONS * ROWS * 4;
    let header = br#"{"vocab_size":6000,"embedding_dim":1024,"max_seq_len":8,"normalize":true}"#;
    let head = [&(header.len() as u32).to_le_bytes(), &header[..]].concat();
    let (_, peak) = peak_allocation(|| {
        for _ in 0..3 {
            let load = begin_load();
            assert!(read_head_of(load, &head) > WEIGHTS_BYTES);
            let address = ok(weights_address(load));
            assert_eq!(ok(weights_address(load)), address);
            drop_load(load);
            drop_load(load);
        }
    });
    assert!(peak > WEIGHTS_BYTES, "{peak} bytes at once");
    assert!(peak < WEIGHTS_BYTES + 1_000_000, "{peak} bytes at once");
}
