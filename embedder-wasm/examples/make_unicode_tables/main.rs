//! cargo run --example make_unicode_tables
//!
//! Writes the tables of `tokenizers`: what its text_cleaning.rs and text_folding.rs know of Unicode.

mod bert;
mod folding;

use std::fmt::Write as _;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let tokenizers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tokenizers");
    std::fs::write(tokenizers.join("unicode_tables.rs"), bert::tables())?;
    std::fs::write(tokenizers.join("folding_tables.rs"), folding::tables())
}

fn array(out: &mut String, comment: &str, name: &str, item: &str, items: &[String]) {
    let length = items.len();
    write!(
        out,
        "/// {comment}\n#[rustfmt::skip]\npub static {name}: [{item}; {length}] = ["
    )
    .unwrap();
    let mut column = 100;
    for item in items {
        if column + item.len() + 2 > 100 {
            out.push_str("\n   ");
            column = 3;
        }
        write!(out, " {item},").unwrap();
        column += item.len() + 2;
    }
    out.push_str("\n];\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_tables_are_what_this_makes() {
        assert!(bert::tables() == include_str!("../../src/tokenizers/unicode_tables.rs"));
        assert!(folding::tables() == include_str!("../../src/tokenizers/folding_tables.rs"));
    }
}
