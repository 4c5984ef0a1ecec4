//! The tokenizer `wordpiece` as a weights file describes it.

use crate::format::container::{Head, WeightsFile};
use crate::format::{Dtype, WeightsError, refused};
use crate::tokenizers::text_cleaning::CleaningOptions;
use crate::tokenizers::wordpiece::{WordPiece, WordPieceOptions};

/// As it stands in a weights file.
pub const TOKENIZER: &str = "wordpiece";

/// What stands around the pieces of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `cls_token` and `sep_token`.
    SpecialTokens,
    None,
}

/// Refuses a head that describes no such tokenizer.
pub fn check_head(head: &Head, framing: Framing) -> Result<(), WeightsError> {
    options(head, framing)?;
    let vocabulary = head.needed_tensor("vocabulary")?;
    if vocabulary.dtype != Dtype::U8 || vocabulary.shape.len() != 1 {
        return refused(format!(
            "tensor vocabulary: expected U8 of the shape [bytes], found {} {:?}",
            vocabulary.dtype, vocabulary.shape
        ));
    }
    Ok(())
}

/// The tokenizer, for a table of so many rows.
pub fn read(
    file: &WeightsFile,
    framing: Framing,
    table: &str,
    rows: usize,
) -> Result<WordPiece, WeightsError> {
    check_head(&file.head, framing)?;
    let vocabulary = file.bytes_at(&file.head.needed_tensor("vocabulary")?.range);
    let tokenizer = match WordPiece::new(vocabulary, options(&file.head, framing)?) {
        Ok(tokenizer) => tokenizer,
        Err(reason) => return refused(format!("tokenizer {TOKENIZER}: {reason}")),
    };
    let tokens = tokenizer.vocabulary_size();
    if tokens > rows {
        return refused(format!(
            "tensor vocabulary: expected at most {rows} tokens, one for each row of {table}, found {tokens}"
        ));
    }
    Ok(tokenizer)
}

fn options(head: &Head, framing: Framing) -> Result<WordPieceOptions<'_>, WeightsError> {
    let metadata = &head.metadata;
    if metadata.text("tokenizer")? != TOKENIZER {
        return metadata.wrong("tokenizer", &format!("{TOKENIZER:?}"));
    }
    let unknown_token = metadata.text("unknown_token")?;
    let special = |field| match framing {
        Framing::SpecialTokens => metadata.text(field),
        // A token that is there; none is put anywhere.
        Framing::None => Ok(unknown_token),
    };
    Ok(WordPieceOptions {
        cleaning: CleaningOptions {
            clean_text: metadata.flag("clean_text")?,
            chinese_chars: metadata.flag("chinese_chars")?,
            strip_accents: metadata.flag("strip_accents")?,
            lower_case: metadata.flag("lower_case")?,
        },
        unknown_token,
        continuing_prefix: metadata.text("continuing_prefix")?,
        max_word_characters: metadata.number("max_word_characters", 1..=usize::MAX)?,
        cls_token: special("cls_token")?,
        sep_token: special("sep_token")?,
    })
}
