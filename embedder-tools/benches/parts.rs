//! The parts that a request is made of, on made-up tables and words: `cargo bench --bench parts`.

use std::collections::HashSet;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use embedder_wasm::answer::{EncodingFormat, max_element_bytes, write_embeddings};
use embedder_wasm::format::row_format::RowFormat;
use embedder_wasm::kernels::rows::{RowSum, Rows};
use embedder_wasm::random::Random;
use embedder_wasm::tokenizers::own_rows::OwnRowTables;
use embedder_wasm::tokenizers::{TableRows, Tokenizer};

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
    // All words of the text have rows of their own, as nearly all have in English.
    let words = text.to_lowercase().replace(',', "");
    let words: HashSet<&str> = words.split(' ').collect();
    let words: Vec<&str> = words.into_iter().collect();
    let own_rows = OwnRowTables::build(&words, &[]).expect("words that differ");
    let table_rows = TableRows {
        vocab_size: VOCAB_SIZE,
        own: own_rows.view(),
    };
    for tokenizer in [
        Tokenizer::AsciiWords,
        Tokenizer::WordsAndStems,
        Tokenizer::TextAsWritten,
    ] {
        group.bench_function(tokenizer.name(), |bencher| {
            bencher.iter(|| {
                let mut rows = 0;
                let mut stems = 0;
                tokenizer.for_each_token(
                    black_box(&text),
                    table_rows,
                    usize::MAX,
                    |row| rows ^= row,
                    |stem| stems ^= stem,
                );
                (rows, stems)
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
    let mut random = Random::new(1);
    let table = random.start_values(VOCAB_SIZE * DIMENSIONS);
    for format in RowFormat::ALL {
        let stored = format.store(&table, DIMENSIONS);
        let table = Rows {
            format,
            values: &stored.values,
            scales: &stored.scales,
            scale_unit: stored.scale_unit.unwrap_or(1.0),
            dimensions: DIMENSIONS,
        };
        let mut level_sums = Vec::new();
        group.bench_function(format.name(), |bencher| {
            bencher.iter_batched_ref(
                || vec![0.0; DIMENSIONS],
                |sum| {
                    let mut row_sum = RowSum::new(table, &mut level_sums, sum);
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
    let vectors: Vec<f32> = Random::new(1).start_values(COUNT * DIMENSIONS);
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

fn numbers(count: usize) -> impl Iterator<Item = u32> {
    let mut random = Random::new(1);
    std::iter::repeat_with(move || (random.next_u64() >> 32) as u32).take(count)
}

criterion_group!(benches, tokenizer, accumulate, writer);
criterion_main!(benches);
