//! The embedder without criterion, for comparisons that alternate with another program: reads
//! `<work> <rounds>` on standard input, does it, answers with an empty line. `bench/embedder.ts` uses it.
//!
//! `embed`: the texts' embeddings. `sum`: the sums of the same rows and nothing else, the least that an
//! embedder can do. `float` and `base64`: the texts' embeddings as bytes of an answer.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, BufRead, Write};

use embedder_wasm::answer::{EncodingFormat, max_element_bytes, write_embeddings};
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::kernels::rows::RowSum;
use embedder_wasm::models::static_table::StaticTable;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights_path, texts_path, ..] = &arguments[..] else {
        // `cargo bench` and `cargo test` start every bench, with flags of their own.
        return Ok(());
    };
    let file = WeightsFile::from_bytes(std::fs::read(weights_path)?)?;
    let model = StaticTable::from_file(file)?;
    let mut scratch = Default::default();
    let texts = std::fs::read_to_string(texts_path)?;
    let texts: Vec<&str> = texts.lines().collect();
    let config = model.config();
    let rows = texts.iter().map(|text| {
        let mut rows = Vec::new();
        config.tokenizer.for_each_token(
            text,
            model.table_rows(),
            config.max_seq_len,
            |row| rows.push(row),
            |_| {},
        );
        rows
    });
    let rows: Vec<Vec<u32>> = rows.collect();
    let dimensions = model.info().dimensions;
    let mut vectors = vec![0.0; texts.len() * dimensions];
    let mut sum = vec![0.0; config.table_dimensions];
    let mut level_sums = Vec::new();
    let mut answer = vec![0; texts.len() * max_element_bytes(dimensions, EncodingFormat::Float)];

    for command in io::stdin().lock().lines() {
        let command = command?;
        let (work, rounds) = command.split_once(' ').ok_or("expected: <work> <rounds>")?;
        for _ in 0..rounds.parse()? {
            match work {
                "embed" => {
                    for (text, vector) in texts.iter().zip(vectors.chunks_exact_mut(dimensions)) {
                        model.embed(text, &mut scratch, vector);
                    }
                }
                "sum" => {
                    for rows in &rows {
                        let mut row_sum = RowSum::new(model.rows(), &mut level_sums, &mut sum);
                        rows.iter().for_each(|row| row_sum.add(*row));
                        row_sum.finish();
                    }
                }
                "float" | "base64" => {
                    let format = if work == "float" {
                        EncodingFormat::Float
                    } else {
                        EncodingFormat::Base64
                    };
                    write_embeddings(&mut answer, &vectors, dimensions, 0, format);
                }
                _ => return Err(format!("unknown work: {work}").into()),
            }
            black_box((&vectors, &sum, &answer));
        }
        println!();
        io::stdout().flush()?;
    }
    Ok(())
}
