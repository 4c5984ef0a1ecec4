//! The parts that a request is made of, on made-up tables and words: `cargo bench --bench parts`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use embedder_wasm::answer::{EncodingFormat, max_element_bytes, write_embeddings};
use embedder_wasm::rows::RowSum;
use embedder_wasm::tokenizer::Tokenizer;
use embedder_wasm::weights::Weights;

const WORDS: usize = 250;
const DIMENSIONS: usize = 384;
const VOCAB_SIZE: usize = 16_384;

fn tokenizer(criterion: &mut Criterion) {
    let text: Vec<String> = numbers(WORDS)
        .map(|number| {
            // Letters alone: these have stems.
            let letters = [number % 23, number / 23 % 23, number / 529 % 5]
                .map(|letter| char::from(b'a' + letter as u8));
            format!("{}ings,", String::from_iter(letters))
        })
        .collect();
    let text = text.join(" ");
    let mut group = criterion.benchmark_group("tokenizer, words");
    group.throughput(Throughput::Elements(WORDS as u64));
    for tokenizer in [Tokenizer::AsciiWords, Tokenizer::WordsAndStems] {
        group.bench_function(tokenizer.name(), |bencher| {
            bencher.iter(|| {
                let mut rows = 0;
                tokenizer.for_each_token(black_box(&text), VOCAB_SIZE, usize::MAX, |row| {
                    rows ^= row;
                });
                rows
            });
        });
    }
}

fn accumulate(criterion: &mut Criterion) {
    let rows: Vec<u32> = numbers(WORDS)
        .map(|number| number % VOCAB_SIZE as u32)
        .collect();
    let mut group = criterion.benchmark_group("accumulate, rows");
    group.throughput(Throughput::Elements(WORDS as u64));
    for (dtype, file) in [("F32", f32_table()), ("I8", i8_table())] {
        let weights = Weights::from_bytes(file).expect("a valid file");
        group.bench_function(dtype, |bencher| {
            bencher.iter_batched_ref(
                || vec![0.0; DIMENSIONS],
                |sum| {
                    let mut row_sum = RowSum::new(&weights, sum);
                    rows.iter().for_each(|row| row_sum.add(*row));
                    row_sum.finish()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn writer(criterion: &mut Criterion) {
    const COUNT: usize = 100;
    let vectors: Vec<f32> = numbers(COUNT * DIMENSIONS).map(small).collect();
    let mut group = criterion.benchmark_group("writer, numbers");
    group.throughput(Throughput::Elements(vectors.len() as u64));
    for (name, format) in [
        ("float", EncodingFormat::Float),
        ("base64", EncodingFormat::Base64),
    ] {
        let mut answer = vec![0; COUNT * max_element_bytes(DIMENSIONS, format)];
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| write_embeddings(&mut answer, black_box(&vectors), DIMENSIONS, 0, format));
        });
    }
}

fn f32_table() -> Vec<u8> {
    let header = format!(
        r#"{{"vocab_size":{VOCAB_SIZE},"embedding_dim":{DIMENSIONS},"max_seq_len":8192,"normalize":true}}"#
    );
    let mut file = (header.len() as u32).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend(numbers(VOCAB_SIZE * DIMENSIONS).flat_map(|number| small(number).to_le_bytes()));
    file
}

fn i8_table() -> Vec<u8> {
    let table = VOCAB_SIZE * DIMENSIONS;
    let end = table + VOCAB_SIZE * 4;
    let header = format!(
        r#"{{"__metadata__":{{"format":"embeddings-worker","name":"bench","tokenizer":"ascii-words","max_seq_len":"8192","normalize":"true"}},"embeddings":{{"dtype":"I8","shape":[{VOCAB_SIZE},{DIMENSIONS}],"data_offsets":[0,{table}]}},"scales":{{"dtype":"F32","shape":[{VOCAB_SIZE}],"data_offsets":[{table},{end}]}}}}"#
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend(numbers(table).map(|number| number as u8));
    file.extend((0..VOCAB_SIZE).flat_map(|_| 0.001_f32.to_le_bytes()));
    file
}

/// A value such as embeddings are made of, from -0.1 to 0.1.
fn small(number: u32) -> f32 {
    (number as f32 / u32::MAX as f32 - 0.5) * 0.2
}

/// xorshift64*
fn numbers(count: usize) -> impl Iterator<Item = u32> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    })
    .take(count)
}

criterion_group!(benches, tokenizer, accumulate, writer);
criterion_main!(benches);
