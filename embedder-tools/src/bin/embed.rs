//! The native reference: texts on standard input, one a line, their embeddings on standard output.
//!
//! cargo run --release --bin embed -- <weights.bin> [--dimensions N] [--format json|f32]
//!
//! `json` writes one array a line; `f32` writes the little-endian values alone, `[lines, dimensions]`.

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;

use embedder_wasm::answer::{EncodingFormat, write_vector};
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::models::{Model, Scratch};

const USAGE: &str = "usage: embed <weights.bin> [--dimensions N] [--format json|f32] < texts";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut path = None;
    let mut dimensions = None;
    let mut json = true;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dimensions" => dimensions = Some(arguments.next().ok_or(USAGE)?.parse::<usize>()?),
            "--format" => {
                json = match arguments.next().as_deref() {
                    Some("json") => true,
                    Some("f32") => false,
                    _ => return Err(USAGE.into()),
                }
            }
            _ if path.is_none() && !argument.starts_with("--") => path = Some(argument),
            _ => return Err(USAGE.into()),
        }
    }
    let path = path.ok_or(USAGE)?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let model = WeightsFile::from_bytes(bytes)
        .and_then(Model::from_file)
        .map_err(|error| format!("{path}: {error}"))?;

    let most = model.info().dimensions;
    let dimensions = dimensions.unwrap_or(most);
    if !(1..=most).contains(&dimensions) {
        return Err(
            format!("--dimensions: expected 1 to {most} for this model, got {dimensions}").into(),
        );
    }
    let mut scratch = Scratch::default();
    let mut embedding = vec![0.0; dimensions];
    let mut line = Vec::new();
    let mut output = BufWriter::new(io::stdout().lock());
    for text in io::stdin().lock().lines() {
        model.embed(&text?, &mut scratch, &mut embedding);
        line.clear();
        if json {
            write_vector(&mut line, &embedding, EncodingFormat::Float);
            line.push(b'\n');
        } else {
            line.extend(embedding.iter().flat_map(|value| value.to_le_bytes()));
        }
        output.write_all(&line)?;
    }
    Ok(output.flush()?)
}
