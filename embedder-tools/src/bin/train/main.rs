//! Trains an embedding table on pairs of texts that belong together: in-batch negatives, InfoNCE in
//! both directions, sparse Adam. `export_weights` turns the result into a weights file.

mod batches;
mod best_epoch;
mod evaluate;
mod grams;
mod idf;
mod matrix;
mod model_dir;
mod objective;
mod own_rows;
mod pairs;
mod refine;
mod table;
mod teacher;
mod text_set;
mod trainer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use embedder_wasm::format::row_format::RowFormat;
use embedder_wasm::models::lexical::{MAX_LEXICAL_DIMENSIONS, MAX_LEXICAL_WEIGHT, SKETCH_BLOCKS};
use embedder_wasm::tokenizers::own_rows::OwnRowTables;
use embedder_wasm::tokenizers::{TableRows, Tokenizer};

use best_epoch::BestEpoch;
use evaluate::HeldOut;
use idf::idf;
use own_rows::{Key, read_keys};
use pairs::{Source, read_source};
use refine::refine;
use table::Table;
use teacher::Teacher;
use text_set::{Reading, TextSet};
use trainer::{Guidance, LexicalGuidance, Ranking, Schedule, TeacherGuidance, train};

const DEFAULT_MAX_SEQ_LEN: usize = 8192;
const DEFAULT_LEXICAL_DIMENSIONS: usize = 640;
const DEFAULT_LEXICAL_WEIGHT: f32 = 0.85;

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
    #[arg(long, value_name = "WEIGHTS", conflicts_with_all = ["tokenizer", "vocab_size", "dimensions"])]
    init: Option<PathBuf>,
    /// How texts become rows of the table: ascii-words, words-and-stems or text-as-written.
    #[arg(long, default_value = "ascii-words")]
    tokenizer: String,
    /// The tokens that get rows of their own (text-as-written only): one a line, and perhaps a tab and a text whose rows the
    /// token's row starts as.
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    keys: Option<PathBuf>,
    /// Start values of the rows in --keys, out of a weights file of another tokenizer that was refined when it was made. What
    /// its refinement did is kept, and a share of the start values too.
    #[arg(long, value_name = "WEIGHTS", requires = "keys")]
    start_from: Option<PathBuf>,
    /// Rows of the table.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(3..))]
    vocab_size: u32,
    /// Values in a row.
    #[arg(long = "dim", value_name = "DIM", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    dimensions: u32,
    /// How often the pairs are gone through; 0 leaves the table as it is, but for --refine.
    #[arg(long, default_value_t = 2)]
    epochs: u32,
    /// Refine the table when it is trained (not with ascii-words): tell numbers apart, balance dimensions,
    /// and let the last one say how far the words of a text agree. Not for one that was refined before.
    #[arg(long, conflicts_with = "start_from")]
    refine: bool,
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
    /// Words of a text that the trained model reads; by default 8192, or what the weights of --init say.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_seq_len: Option<u32>,
    /// Folder with a teacher's vectors, as training/teacher.py writes it.
    #[arg(long, value_name = "DIR")]
    teacher: Option<PathBuf>,
    /// Weight of the teacher's loss, where the pairs' has 1.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    teacher_weight: f32,
    /// Weight of the loss of distillation, where the pairs' has 1: which of a batch's positives each anchor is like,
    /// and how much, is learned from the teacher. For batches whose texts are all among the teacher's.
    #[arg(long, default_value_t = 0.0, requires = "teacher", value_parser = not_negative)]
    distillation_weight: f32,
    /// Folder with another teacher's vectors, as --teacher's but for the axes: what is distilled in batches whose texts are all among
    /// these comes from them.
    #[arg(long, value_name = "DIR", requires = "distillation_weight")]
    ranking_teacher: Option<PathBuf>,
    /// What the similarities of --ranking-teacher are divided by.
    #[arg(long, default_value_t = 0.02, requires = "ranking_teacher", value_parser = positive)]
    ranking_temperature: f32,
    /// Texts of the teacher in a step.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    teacher_batch_size: u32,
    /// At most this many of the teacher's texts.
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    max_teacher_texts: u32,
    /// Length of the lexical part where the semantic one has 1 (not with ascii-words); by default 0.85,
    /// or what the weights of --init have.
    #[arg(long, value_parser = lexical_weight)]
    lexical_weight: Option<f32>,
    /// Values of the lexical part, a multiple of 4 (not with ascii-words); by default 640.
    #[arg(long = "lexical-dim", value_name = "LEXICAL_DIM", value_parser = lexical_dimensions, conflicts_with = "init")]
    lexical_dimensions: Option<usize>,
    /// How the rows will be stored (export_weights --dtype): the last fifth of the steps learns with
    /// rows rounded to that.
    #[arg(long, default_value = "f32", value_parser = row_format())]
    dtype: RowFormat,
    /// The same seed gives the same result, whatever the number of threads.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rated sentence pairs, `rating<TAB>sentence<TAB>sentence`: prints Spearman's correlation.
    #[arg(long, value_name = "FILE")]
    evaluate_sts: Vec<PathBuf>,
    /// Folders with corpus.jsonl, queries.jsonl and qrels.tsv: prints nDCG@10.
    #[arg(long, value_name = "DIR")]
    evaluate_retrieval: Vec<PathBuf>,
    /// Pairs held out: prints how often an anchor's nearest positive is its own, before and after, and keeps the epoch
    /// after which it is so most often (the mean over the semantic part and the whole vector).
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
    if arguments.refine && !start.tokenizer.has_lexical_part() {
        return Err(format!(
            "--refine: not for the tokenizer {}",
            start.tokenizer.name()
        ));
    }
    let mut table = start.table;
    arguments.dtype.check_dimensions(table.dimensions)?;
    let reading = Reading {
        tokenizer: start.tokenizer,
        rows: TableRows {
            vocab_size: table.rows.len() / table.dimensions,
            own: start.own_rows.view(),
        },
        max_words: arguments.max_words as usize,
    };
    let mut keys_without = Vec::new();
    if let Some(path) = &arguments.start_from {
        let (other, rows) = model_dir::read_weights(path)?;
        let found = other.config().table_dimensions;
        if found != table.dimensions {
            return Err(format!(
                "--start-from {}: expected rows of {} values (--dim), found {found}",
                path.display(),
                table.dimensions
            ));
        }
        keys_without = own_rows::start_values(&mut table, &reading, &start.keys, &other, rows);
        refine::remove_coherence(&mut table);
    }
    let held_out = HeldOut::read(
        &arguments.evaluate_sts,
        &arguments.evaluate_retrieval,
        arguments.evaluate_pairs.as_deref(),
        &reading,
    )?;
    let sources: Vec<Source> = arguments
        .pairs
        .iter()
        .map(|path| read_source(path, &reading))
        .collect::<Result<_, _>>()?;
    for source in &sources {
        eprintln!("{:>9} pairs of {}", source.pair_count(), source.name);
    }

    let sets: Vec<&TextSet> = sources.iter().map(|source| &source.texts).collect();
    let (mut lexical_idf, lexical_dimensions, lexical_weight) =
        start.lexical.unwrap_or_else(|| {
            let dimensions = arguments
                .lexical_dimensions
                .unwrap_or(DEFAULT_LEXICAL_DIMENSIONS);
            (idf(&sets), dimensions, DEFAULT_LEXICAL_WEIGHT)
        });
    let weight = arguments.lexical_weight.unwrap_or(lexical_weight);
    let lexical = lexical_guidance(&reading, &lexical_idf, lexical_dimensions, weight);
    let teacher = arguments
        .teacher
        .as_deref()
        .map(|folder| Teacher::open(folder, table.dimensions))
        .transpose()?;
    let lessons = teacher
        .as_ref()
        .map(|teacher| {
            if arguments.init.is_none() && arguments.start_from.is_none() {
                teacher.start_values(&reading, &mut table.rows)?;
            }
            teacher.lessons(&reading, arguments.max_teacher_texts as usize)
        })
        .transpose()?;
    if let Some(teacher) = &teacher
        && !keys_without.is_empty()
    {
        let words = teacher.words()?;
        let turned = own_rows::turn_to(&mut table, &reading, &start.keys, &keys_without, &words);
        eprintln!(
            "{turned:>9} tokens that had no row for themselves start half-way to the teacher's vectors"
        );
    }
    let start_rows = arguments.start_from.as_ref().map(|_| table.rows.clone());
    let ranking_vectors = arguments
        .ranking_teacher
        .as_deref()
        .map(teacher::similarities)
        .transpose()?;
    let guidance = Guidance {
        lexical,
        teacher: lessons.as_ref().map(|lessons| TeacherGuidance {
            lessons,
            weight: arguments.teacher_weight,
            distillation_weight: arguments.distillation_weight,
            rankings: ranking_vectors
                .iter()
                .map(|vectors| (vectors, arguments.ranking_temperature))
                .chain([(&lessons.targets, arguments.temperature)])
                .map(|(vectors, temperature)| Ranking {
                    vectors,
                    temperature,
                })
                .collect(),
            batch_size: arguments.teacher_batch_size as usize,
        }),
    };
    if let Some(teacher) = &guidance.teacher {
        show_what_is_taught(teacher, &sources)?;
    }

    held_out.print(&table, guidance.lexical.as_ref(), "before training");
    let begun = Instant::now();
    let mut best = BestEpoch::new(&held_out, guidance.lexical.as_ref(), arguments.dtype);
    if arguments.epochs > 0 {
        best.see(0, &mut table);
    }
    let losses = train(
        &mut table,
        &sources,
        &guidance,
        &Schedule {
            epochs: arguments.epochs as usize,
            batch_size: arguments.batch_size as usize,
            max_pairs_per_source: arguments.max_pairs_per_source as usize,
            learning_rate: arguments.learning_rate,
            temperature: arguments.temperature,
            dtype: arguments.dtype,
            seed: arguments.seed,
        },
        |epoch, table| best.see(epoch, table),
    );
    if arguments.epochs > 0 {
        print!("mean loss of the last epoch {:.4}, ", losses.pairs);
        if lessons.is_some() {
            print!("the teacher's {:.4}, ", losses.teacher);
            if arguments.distillation_weight > 0.0 {
                print!("of distillation {:.4}, ", losses.distillation);
            }
        }
        println!("{:.0} s", begun.elapsed().as_secs_f32());
        if let Some((epoch, score)) = best.restore(&mut table) {
            let epochs = arguments.epochs;
            println!("kept: epoch {epoch} of {epochs}, {score:.2} % of the pairs held out");
        }
        held_out.print(&table, guidance.lexical.as_ref(), "after training");
    }
    if let Some(rows) = &start_rows {
        let frequent: Vec<usize> = own_rows::frequent(&start.keys)
            .map(|key| own_rows::row_of(&key.token, &reading))
            .collect();
        refine::keep(&mut table, &reading, rows, &frequent, &mut lexical_idf);
    } else if arguments.refine {
        refine(&mut table, &reading, &sets, &mut lexical_idf);
    }
    if !start.keys.is_empty() {
        fit_grams(&mut table, &reading, &start.keys);
        refine::add_coherence(&mut table);
    }
    table.store_as(arguments.dtype);
    let lexical = lexical_guidance(&reading, &lexical_idf, lexical_dimensions, weight);
    if arguments.refine || start_rows.is_some() {
        held_out.print(&table, lexical.as_ref(), "refined");
    }
    model_dir::write(
        &arguments.out,
        &table,
        &reading,
        start.max_seq_len,
        lexical.as_ref(),
        &start.own_rows,
    )?;
    println!("written: {}", arguments.out.display());
    Ok(())
}

fn show_what_is_taught(teacher: &TeacherGuidance, sources: &[Source]) -> Result<(), String> {
    eprintln!("{:>9} texts of the teacher", teacher.lessons.texts.len());
    if teacher.distillation_weight > 0.0 {
        let known = |source: &&Source| {
            let mut rankings = teacher.rankings.iter();
            rankings.any(|ranking| ranking.vectors.have_all(&source.keys))
        };
        let count = sources.iter().filter(known).count();
        eprintln!(
            "{count:>9} of {} files of pairs read whole by the teacher",
            sources.len()
        );
        if count == 0 {
            let wanted = "a file of pairs whose texts are all among the teacher's";
            return Err(format!(
                "--distillation-weight: expected {wanted}, found none"
            ));
        }
    }
    Ok(())
}

fn fit_grams(table: &mut Table, reading: &Reading, keys: &[Key]) {
    let begun = Instant::now();
    let held_out = grams::fit(table, reading, keys);
    println!(
        "n-grams: mean cosine with the rows of held-out tokens {held_out:.3}, {:.0} s",
        begun.elapsed().as_secs_f32()
    );
}

fn lexical_guidance<'a>(
    reading: &Reading,
    idf: &'a [u8],
    dimensions: usize,
    weight: f32,
) -> Option<LexicalGuidance<'a>> {
    reading
        .tokenizer
        .has_lexical_part()
        .then_some(LexicalGuidance {
            idf,
            dimensions,
            weight,
        })
}

/// What the training begins with.
struct Start {
    tokenizer: Tokenizer,
    table: Table,
    max_seq_len: usize,
    /// idf, dimensions and weight of the lexical part.
    lexical: Option<(Vec<u8>, usize, f32)>,
    /// With text-as-written; not those of a weights file, which does not have them.
    keys: Vec<Key>,
    own_rows: OwnRowTables,
}

impl Start {
    fn of(arguments: &Arguments) -> Result<Self, String> {
        let max_seq_len = arguments.max_seq_len.map(|words| words as usize);
        if let Some(path) = &arguments.init {
            let (model, rows) = model_dir::read_weights(path)?;
            let config = model.config();
            if !config.normalize {
                return Err(format!(
                    "--init {}: expected a model that normalises its vectors, as every trained one does",
                    path.display()
                ));
            }
            return Ok(Self {
                tokenizer: config.tokenizer,
                table: Table::from_rows(rows, config.table_dimensions),
                max_seq_len: max_seq_len.unwrap_or(config.max_seq_len),
                lexical: config
                    .lexical
                    .as_ref()
                    .map(|part| (model.idf().to_vec(), part.dimensions, part.weight)),
                keys: Vec::new(),
                own_rows: model.own_row_tables(),
            });
        }
        let name = &arguments.tokenizer;
        let tokenizer = Tokenizer::from_name(name).ok_or_else(|| {
            format!(
                "--tokenizer: expected one of {}, found {name:?}",
                Tokenizer::NAMES
            )
        })?;
        let keys = match (&arguments.keys, tokenizer) {
            (Some(path), Tokenizer::TextAsWritten) => read_keys(path)?,
            (None, Tokenizer::TextAsWritten) => {
                return Err("--tokenizer text-as-written: expected --keys, found none".to_owned());
            }
            (Some(_), _) => {
                return Err(format!(
                    "--keys: only for the tokenizer text-as-written, found {name}"
                ));
            }
            (None, _) => Vec::new(),
        };
        let own_rows =
            own_rows::tables_of(&keys).map_err(|message| format!("--keys: {message}"))?;
        let most = own_rows.view().first_shared_row();
        if arguments.vocab_size as usize <= most {
            return Err(format!(
                "--vocab-size: expected more than {most}, for {} tokens with rows of their own and one row that others share, found {}",
                keys.len(),
                arguments.vocab_size
            ));
        }
        Ok(Self {
            keys,
            own_rows,
            tokenizer,
            table: Table::random(
                arguments.vocab_size as usize,
                arguments.dimensions as usize,
                arguments.seed,
            ),
            max_seq_len: max_seq_len.unwrap_or(DEFAULT_MAX_SEQ_LEN),
            lexical: None,
        })
    }
}

/// `RowFormat` by its names in lower case.
fn row_format() -> impl TypedValueParser<Value = RowFormat> {
    PossibleValuesParser::new(["f32", "i8", "i4"]).map(|name| match name.as_str() {
        "i8" => RowFormat::I8,
        "i4" => RowFormat::I4,
        _ => RowFormat::F32,
    })
}

fn lexical_dimensions(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(dimensions)
            if (1..=MAX_LEXICAL_DIMENSIONS).contains(&dimensions)
                && dimensions.is_multiple_of(SKETCH_BLOCKS) =>
        {
            Ok(dimensions)
        }
        _ => Err(format!(
            "expected a multiple of {SKETCH_BLOCKS} up to {MAX_LEXICAL_DIMENSIONS}"
        )),
    }
}

fn lexical_weight(text: &str) -> Result<f32, String> {
    match positive(text)? {
        weight if weight <= MAX_LEXICAL_WEIGHT => Ok(weight),
        _ => Err(format!("expected at most {MAX_LEXICAL_WEIGHT}")),
    }
}

fn not_negative(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("expected 0 or a number above it, found {text:?}")),
    }
}

fn positive(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("expected a number above 0, found {text:?}")),
    }
}
