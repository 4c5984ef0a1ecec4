//! The architecture `static`: the mean of the rows of a text's tokens, L2-normalised, and the lexical part
//! behind it where the model has one.

use std::ops::Range;

use super::info::{ModelInfo, read_aliases, read_name, read_prompts};
use super::lexical::{LexicalPart, Sketch};
use super::table::Table;
use super::word_pieces;
use crate::format::container::{Head, WeightsFile};
use crate::format::row_format::RowFormat;
use crate::format::{Dtype, WeightsError, refused};
use crate::kernels::norm::{inverse, normalize, scale};
use crate::kernels::rows::{RowSum, Rows};
use crate::tokenizers::hashed_rows::RESERVED_ROWS;
use crate::tokenizers::own_rows::{OwnRowTables, OwnRows};
use crate::tokenizers::token_count::TokenCount;
use crate::tokenizers::{TableRows, Tokenizer};

/// As it stands in a weights file.
pub const ARCHITECTURE: &str = "static";
/// OpenAI's limit of one request. They take a second or so, most of which is for the answer.
pub const MAX_REQUEST_TOKENS: usize = 300_000;
/// A loaded model of this architecture.
pub struct StaticTable {
    file: WeightsFile,
    config: Config,
    info: ModelInfo,
}

/// What a file says about its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub tokenizer: Tokenizer,
    pub row_format: RowFormat,
    pub vocab_size: usize,
    /// Of a row of the table.
    pub table_dimensions: usize,
    pub max_seq_len: usize,
    pub normalize: bool,
    pub lexical: Option<LexicalPart>,
    table: Table,
    /// `OwnRowTables::NAMES`, ranges of the file's bytes; empty but with text-as-written.
    own_rows: [Range<usize>; 4],
}

/// Memory for one text after the other.
#[derive(Default)]
pub struct Scratch {
    /// `[table_dimensions]`, for rows in 4 bits.
    level_sums: Vec<i32>,
    sketch: Sketch,
}

impl StaticTable {
    /// Refuses a head that no static table can be made of.
    pub fn check_head(head: &Head) -> Result<(), WeightsError> {
        let config = Config::from_head(head)?;
        config.info(head).map(|_| ())
    }

    /// Reads the table in place, and checks that its values can be summed.
    pub fn from_file(file: WeightsFile) -> Result<Self, WeightsError> {
        let config = Config::from_head(&file.head)?;
        let info = config.info(&file.head)?;
        config.table.check_values(&file)?;
        let model = Self { file, config, info };
        let rows = model.table_rows();
        let found = rows.own.greatest_misspelt_row() as usize;
        if found >= rows.vocab_size {
            return refused(format!(
                "tensor misspelt_rows: expected rows below {}, found {found}",
                rows.vocab_size
            ));
        }
        Ok(model)
    }

    /// See `Model::info`.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// What the file says about the table.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The table as it lies in the file.
    pub fn rows(&self) -> Rows<'_> {
        self.config.table.rows_in(&self.file)
    }

    /// Where the table has which token.
    pub fn table_rows(&self) -> TableRows<'_> {
        let bytes = |range| self.file.bytes_at(range);
        TableRows {
            vocab_size: self.config.vocab_size,
            own: OwnRows::new(self.config.own_rows.each_ref().map(bytes)),
        }
    }

    /// Which tokens have rows of their own, as tables to write again.
    pub fn own_row_tables(&self) -> OwnRowTables {
        let bytes = |range| self.file.bytes_at(range).to_vec();
        OwnRowTables(self.config.own_rows.each_ref().map(bytes))
    }

    /// How rare stems are, by hash; empty where the model has no lexical part.
    pub fn idf(&self) -> &[u8] {
        match &self.config.lexical {
            Some(lexical) => self.file.bytes_at(&lexical.idf),
            None => &[],
        }
    }

    /// See `Model::count`.
    pub fn count(&self, text: &str) -> TokenCount {
        TokenCount::cut_at(
            self.config.max_seq_len,
            self.config.tokenizer.count_words(text),
        )
    }

    /// See `Model::work`: additions, in truth.
    pub fn work(&self, tokens_read: usize) -> u64 {
        tokens_read as u64 * self.info.multiply_adds_per_token
    }

    /// See `Model::most_work`: a word has one byte at least.
    pub fn most_work(&self, text: &str) -> u64 {
        self.work(text.len().min(self.config.max_seq_len))
    }

    /// See `Model::embed`.
    pub fn embed(&self, text: &str, scratch: &mut Scratch, embedding: &mut [f32]) -> TokenCount {
        let table_dimensions = self.config.table_dimensions;
        match &self.config.lexical {
            Some(lexical) if embedding.len() > table_dimensions => {
                self.embed_both(text, lexical, scratch, embedding)
            }
            _ => {
                let end = embedding.len().min(table_dimensions);
                self.embed_semantic(text, scratch, &mut embedding[..end])
            }
        }
    }

    fn embed_semantic(
        &self,
        text: &str,
        scratch: &mut Scratch,
        embedding: &mut [f32],
    ) -> TokenCount {
        let config = &self.config;
        let mut rows = RowSum::new(self.rows(), &mut scratch.level_sums, embedding);
        let count = config.tokenizer.for_each_token(
            text,
            self.table_rows(),
            config.max_seq_len,
            |token_id| rows.add(token_id),
            |_| {},
        );
        let row_count = rows.finish();
        if row_count > 0 {
            scale(embedding, 1.0 / row_count as f32);
            if config.normalize {
                normalize(embedding);
            }
        }
        count
    }

    /// The semantic part and, behind it, the lexical one, in one pass over the text: each of length 1,
    /// the lexical one then weighted, and all of it, as far as it is wanted, normalised.
    fn embed_both(
        &self,
        text: &str,
        part: &LexicalPart,
        scratch: &mut Scratch,
        embedding: &mut [f32],
    ) -> TokenCount {
        let Config {
            tokenizer,
            max_seq_len,
            table_dimensions,
            ..
        } = self.config;
        let Scratch { level_sums, sketch } = scratch;
        let semantic = &mut embedding[..table_dimensions];
        let mut rows = RowSum::new(self.rows(), level_sums, semantic);
        sketch.clear();
        let count = tokenizer.for_each_token(
            text,
            self.table_rows(),
            max_seq_len,
            |token_id| rows.add(token_id),
            |stem_hash| sketch.add(stem_hash),
        );
        // The mean, whose squares cannot overflow where those of the sum might.
        let row_count = rows.finish();
        scale(semantic, inverse(row_count as f32));
        part.put_behind(table_dimensions, embedding, self.idf(), sketch);
        count
    }
}

impl Config {
    fn from_head(head: &Head) -> Result<Self, WeightsError> {
        let metadata = &head.metadata;
        // The file's reader needs no name, but nobody could ask for a model without one.
        read_name(metadata)?;
        let Some(tokenizer) = Tokenizer::from_name(metadata.text("tokenizer")?) else {
            return metadata.wrong(
                "tokenizer",
                &format!("one of {}, {}", Tokenizer::NAMES, word_pieces::TOKENIZER),
            );
        };
        let max_seq_len = metadata.number("max_seq_len", 1..=u32::MAX as usize)?;
        let normalize = metadata.flag("normalize")?;

        let table = Table::from_head(head)?;
        let lexical = if tokenizer.has_lexical_part() {
            if !normalize {
                let expected = format!("\"true\", which the tokenizer {} needs", tokenizer.name());
                return metadata.wrong("normalize", &expected);
            }
            Some(LexicalPart::from_head(head)?)
        } else {
            None
        };
        let own_rows = match tokenizer {
            Tokenizer::TextAsWritten => own_rows(head, table.rows)?,
            Tokenizer::AsciiWords | Tokenizer::WordsAndStems => Default::default(),
        };
        Ok(Self {
            tokenizer,
            row_format: table.row_format,
            vocab_size: table.rows,
            table_dimensions: table.dimensions,
            max_seq_len,
            normalize,
            lexical,
            table,
            own_rows,
        })
    }

    fn info(&self, head: &Head) -> Result<ModelInfo, WeightsError> {
        let lexical_dimensions = self.lexical.as_ref().map_or(0, |part| part.dimensions);
        let dimensions = self.table_dimensions + lexical_dimensions;
        let row_values = self.tokenizer.rows_in_a_word() * self.table_dimensions;
        Ok(ModelInfo {
            name: read_name(&head.metadata)?,
            architecture: ARCHITECTURE,
            tokenizer: self.tokenizer.name(),
            dtype: self.row_format.name(),
            dimensions,
            semantic_dimensions: self.table_dimensions,
            max_input_tokens: self.max_seq_len,
            max_request_tokens: MAX_REQUEST_TOKENS,
            normalize: self.normalize,
            multiply_adds_per_token: row_values as u64,
            aliases: read_aliases(&head.metadata, dimensions)?,
            prompts: read_prompts(&head.metadata)?,
        })
    }
}

/// Where the tables of own rows lie. There are fewer such rows than rows, so that one is left for all other tokens.
fn own_rows(head: &Head, rows: usize) -> Result<[Range<usize>; 4], WeightsError> {
    let any = 0..=u32::MAX as usize;
    let expected = [
        (Dtype::U16, 1..=*any.end()),
        (Dtype::U16, 1..=rows - RESERVED_ROWS - 1),
        (Dtype::U16, any.clone()),
        (Dtype::U32, any),
    ];
    let mut ranges: [Range<usize>; 4] = Default::default();
    for ((range, name), (dtype, allowed)) in
        ranges.iter_mut().zip(OwnRowTables::NAMES).zip(expected)
    {
        let tensor = head.needed_tensor(name)?;
        match tensor.shape[..] {
            [entries] if tensor.dtype == dtype && allowed.contains(&entries) => {
                *range = tensor.range.clone();
            }
            _ => {
                return refused(format!(
                    "tensor {name}: expected {dtype} of the shape [n], n from {} to {}, found {} {:?}",
                    allowed.start(),
                    allowed.end(),
                    tensor.dtype,
                    tensor.shape
                ));
            }
        }
    }
    if ranges[2].is_empty() != ranges[3].is_empty() {
        return refused(
            "tensors misspelt_displacements and misspelt_rows: expected entries in both or in neither, found them in one",
        );
    }
    Ok(ranges)
}
