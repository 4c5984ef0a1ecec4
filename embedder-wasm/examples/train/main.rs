//! Trains an embedding table on pairs of texts that belong together: in-batch negatives, InfoNCE in
//! both directions, sparse Adam. `export_weights` turns the result into a weights file.

mod batches;
mod evaluate;
mod matrix;
mod model_dir;
mod objective;
mod pairs;
mod random;
mod table;
mod text_set;
mod trainer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use embedder_wasm::tokenizer::Tokenizer;

use evaluate::{Ratings, read_ratings, retrieval_accuracy, sts_score, tf_idf_score};
use pairs::{Source, read_source};
use table::Table;
use text_set::TextSet;
use trainer::{Schedule, train};

/// Train an embedding table on pairs of texts that belong together.
#[derive(Parser)]
struct Arguments {
    /// Pairs to learn from, `anchor<TAB>positive` in each line; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    pairs: Vec<PathBuf>,
    /// Folder for the result: config.json and token_embeddings.f32.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from this weights file; its tokenizer and size are kept.
    #[arg(long, value_name = "WEIGHTS", conflicts_with_all = ["tokenizer", "vocab_size", "dim"])]
    init: Option<PathBuf>,
    /// How texts become rows of the table.
    #[arg(long, default_value = "ascii-words")]
    tokenizer: String,
    /// Rows of the table.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(3..))]
    vocab_size: u32,
    /// Values in a row.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    dim: u32,
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Pairs in a batch; the other pairs of the batch are the negatives.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(2..=16384))]
    batch_size: u32,
    /// At most this many pairs of one file in one epoch, a new sample each time.
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(2..))]
    max_pairs_per_source: u32,
    /// Step size of Adam at the start; it falls linearly to 0.
    #[arg(long, default_value_t = 0.01, value_parser = positive)]
    learning_rate: f32,
    /// What the similarities are divided by.
    #[arg(long, default_value_t = 0.05, value_parser = positive)]
    temperature: f32,
    /// Words of a text that are read while training.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    max_words: u32,
    /// Words of a text that the trained model reads.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    max_seq_len: u32,
    /// The same seed gives the same result, whatever the number of threads.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rated sentence pairs, `rating<TAB>sentence<TAB>sentence`: prints Spearman's correlation.
    #[arg(long, value_name = "FILE")]
    evaluate_sts: Option<PathBuf>,
    /// Pairs held out: prints how often an anchor's nearest positive is its own, before and after.
    #[arg(long, value_name = "FILE")]
    evaluate_pairs: Option<PathBuf>,
    /// Threads to use; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global()
            .map_err(|error| format!("--threads {threads}: {error}"))?;
    }
    model_dir::prepare(&arguments.out)?;
    let start = Start::of(&arguments)?;
    let (tokenizer, vocab_size) = (start.tokenizer, start.table.rows.len() / start.table.dim);
    let max_words = arguments.max_words as usize;
    let tokenize = |text: &str| {
        let mut ids = Vec::new();
        tokenizer.for_each_token(text, vocab_size, max_words, |id| ids.push(id));
        ids
    };

    let sources: Vec<Source> = arguments
        .pairs
        .iter()
        .map(|path| read_source(path, &tokenize))
        .collect::<Result<_, _>>()?;
    let held_out = HeldOut {
        ratings: arguments
            .evaluate_sts
            .as_deref()
            .map(read_ratings)
            .transpose()?,
        pairs: arguments
            .evaluate_pairs
            .as_deref()
            .map(|path| read_source(path, &tokenize))
            .transpose()?,
    };
    for source in &sources {
        eprintln!("{:>9} pairs of {}", source.pair_count(), source.name);
    }

    let mut table = start.table;
    held_out.print(&table, &tokenize, "before training");
    let begun = Instant::now();
    let loss = train(
        &mut table,
        &sources,
        &Schedule {
            epochs: arguments.epochs as usize,
            batch_size: arguments.batch_size as usize,
            max_pairs_per_source: arguments.max_pairs_per_source as usize,
            learning_rate: arguments.learning_rate,
            temperature: arguments.temperature,
            seed: arguments.seed,
        },
    );
    println!(
        "mean loss of the last epoch {loss:.4}, {:.0} s",
        begun.elapsed().as_secs_f32()
    );
    held_out.print(&table, &tokenize, "after training");
    model_dir::write(&arguments.out, &table.rows, table.dim, start.max_seq_len)?;
    println!("written: {}", arguments.out.display());
    Ok(())
}

/// What the training begins with.
struct Start {
    tokenizer: Tokenizer,
    table: Table,
    max_seq_len: usize,
}

impl Start {
    fn of(arguments: &Arguments) -> Result<Self, String> {
        if let Some(path) = &arguments.init {
            let (header, rows) = model_dir::read_weights(path)?;
            return Ok(Self {
                tokenizer: header.tokenizer,
                table: Table::from_rows(rows, header.embedding_dim),
                max_seq_len: header.max_seq_len,
            });
        }
        let name = &arguments.tokenizer;
        let tokenizer = Tokenizer::from_name(name).ok_or_else(|| {
            format!(
                "--tokenizer: expected one of {}, found {name:?}",
                Tokenizer::NAMES
            )
        })?;
        Ok(Self {
            tokenizer,
            table: Table::random(
                arguments.vocab_size as usize,
                arguments.dim as usize,
                arguments.seed,
            ),
            max_seq_len: arguments.max_seq_len as usize,
        })
    }
}

/// What the model is measured on and never trained on.
struct HeldOut {
    ratings: Option<Ratings>,
    pairs: Option<Source>,
}

impl HeldOut {
    fn print(&self, table: &Table, tokenize: &(dyn Fn(&str) -> Vec<u32> + Sync), when: &str) {
        if let Some(set) = &self.ratings {
            let texts: Vec<&str> = set.texts.iter().map(String::as_str).collect();
            let texts = TextSet::of(&texts, tokenize);
            let ids: Vec<&[u32]> = (0..texts.len()).map(|text| texts.ids(text)).collect();
            let score = sts_score(&set.ratings, &table.pool(&ids).vectors, table.dim);
            let baseline = tf_idf_score(&set.ratings, &ids);
            println!(
                "{when}: rated pairs, Spearman x 100: {score:.2} (TF-IDF on the same tokens: {baseline:.2})"
            );
        }
        if let Some(source) = &self.pairs {
            let ids: Vec<&[u32]> = (0..source.texts.len())
                .map(|text| source.texts.ids(text))
                .collect();
            let accuracy = retrieval_accuracy(&table.pool(&ids).vectors, table.dim, &source.keys);
            println!(
                "{when}: held-out pairs whose own positive is the nearest of {}: {accuracy:.2} %",
                source.pair_count()
            );
        }
    }
}

fn positive(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("expected a number above 0, found {text:?}")),
    }
}
