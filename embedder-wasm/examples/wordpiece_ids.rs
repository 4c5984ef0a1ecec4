//! cargo run --release --example wordpiece_ids -- <tokenizer.json> < texts > ids
//!
//! Reads a text as a JSON string from each line, and writes its token ids as a JSON array. For the check
//! against Hugging Face's `tokenizers`, training/check_wordpiece.py.

use std::io::{BufRead, Write};

use embedder_wasm::tokenizers::text_cleaning::CleaningOptions;
use embedder_wasm::tokenizers::wordpiece::{WordPiece, WordPieceOptions};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("expected the path of a tokenizer.json")?;
    let tokenizer: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let word_piece = word_piece(&tokenizer)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut ids = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        word_piece.encode(&text, usize::MAX, &mut ids);
        serde_json::to_writer(&mut out, &ids)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

fn word_piece(tokenizer: &Value) -> Result<WordPiece, String> {
    let (normalizer, model) = (&tokenizer["normalizer"], &tokenizer["model"]);
    let flag = |name: &str| {
        normalizer[name]
            .as_bool()
            .ok_or(format!("normalizer.{name} is no boolean"))
    };
    let text = |name: &str| {
        model[name]
            .as_str()
            .ok_or(format!("model.{name} is no string"))
    };
    let vocabulary = model["vocab"]
        .as_object()
        .ok_or("model.vocab is no object")?;
    let mut tokens = vec![""; vocabulary.len()];
    for (token, id) in vocabulary {
        let id = id
            .as_u64()
            .and_then(|id| usize::try_from(id).ok())
            .ok_or("an id is no number")?;
        *tokens
            .get_mut(id)
            .ok_or(format!("id {id}: ids have gaps"))? = token;
    }
    WordPiece::new(
        tokens.join("\n").as_bytes(),
        WordPieceOptions {
            cleaning: CleaningOptions {
                clean_text: flag("clean_text")?,
                chinese_chars: flag("handle_chinese_chars")?,
                strip_accents: flag("strip_accents").or_else(|_| flag("lowercase"))?,
                lower_case: flag("lowercase")?,
            },
            unknown_token: text("unk_token")?,
            continuing_prefix: text("continuing_subword_prefix")?,
            max_word_characters: model["max_input_chars_per_word"].as_u64().unwrap_or(100) as usize,
            cls_token: "[CLS]",
            sep_token: "[SEP]",
        },
    )
}
