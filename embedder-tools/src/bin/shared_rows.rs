//! Which words of a list have no row of their own in a model of text-as-written, and which share one.
//!
//! cargo run --release --bin shared_rows -- <weights.bin> < words
//!
//! Words are one a line. Writes `word<TAB>other word` for each two that share a row, the word alone for one that has rows of n-grams,
//! and how many of both there are; ends with 1 if there is any.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead};
use std::process::ExitCode;

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::tokenizers::hashed_rows::{WORD_KEY, hash};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("shared_rows: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: shared_rows <weights.bin> < words")?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let model = WeightsFile::from_bytes(bytes)
        .and_then(StaticTable::from_file)
        .map_err(|error| format!("{path}: {error}"))?;
    let own = model.table_rows().own;
    let words: Vec<String> = io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let mut words_of_rows: HashMap<u32, &str> = HashMap::new();
    let (mut sharing, mut without) = (0, 0);
    for word in &words {
        match own.row_of(hash(WORD_KEY, word.as_bytes())) {
            None => {
                println!("{word}");
                without += 1;
            }
            Some(row) => {
                if let Some(other) = words_of_rows
                    .insert(row, word)
                    .filter(|other| other != word)
                {
                    println!("{other}\t{word}");
                    sharing += 1;
                }
            }
        }
    }
    println!(
        "{} words, {sharing} share a row with another, {without} have none of their own",
        words.len()
    );
    Ok(sharing + without)
}
