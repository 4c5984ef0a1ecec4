//! Counts what the tokenizer text-as-written reads in texts on standard input, one a line.
//!
//! cargo run --release --bin count_tokens < texts > counts
//!
//! One token a line, the most frequent first: count, kind, token, with tabs between them. A whole and its parts all count.

use std::collections::HashMap;
use std::io::{self, BufRead, BufWriter, Write};

use embedder_wasm::tokenizers::text_as_written::{Kind, for_each_token};

fn main() -> io::Result<()> {
    let mut counts: HashMap<(Kind, String), u64> = HashMap::new();
    for text in io::stdin().lock().lines() {
        for_each_token(&text?, usize::MAX, |kind, token| {
            *counts.entry((kind, token.to_owned())).or_default() += 1;
            true
        });
    }
    let mut counts: Vec<((Kind, String), u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut output = BufWriter::new(io::stdout().lock());
    for ((kind, token), count) in counts {
        writeln!(output, "{count}\t{kind:?}\t{token}")?;
    }
    output.flush()
}
