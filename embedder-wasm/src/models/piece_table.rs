//! The architecture `static` with the tokenizer `wordpiece`: the mean of the rows of a text's word pieces, as model2vec
//! and sentence-transformers' StaticEmbedding compute it, and the lexical part behind it where the model has one.

use super::info::{ModelInfo, read_aliases, read_name, read_prompts};
use super::lexical::{LexicalPart, Sketch};
use super::static_table::{ARCHITECTURE, MAX_REQUEST_TOKENS};
use super::table::Table;
use super::word_pieces::{self, Framing};
use crate::format::WeightsError;
use crate::format::container::{Head, WeightsFile};
use crate::kernels::norm::{inverse, normalize, scale};
use crate::kernels::rows::RowSum;
use crate::tokenizers::token_count::TokenCount;
use crate::tokenizers::wordpiece::WordPiece;

/// A loaded model of this kind.
pub struct PieceTable {
    file: WeightsFile,
    config: Config,
    tokenizer: WordPiece,
    info: ModelInfo,
}

/// What a file says about its model.
#[derive(Clone, Debug, PartialEq)]
struct Config {
    table: Table,
    /// Word pieces.
    max_seq_len: usize,
    /// Of a text, where not all of it is read.
    max_characters: Option<usize>,
    /// Unknown words count as read, and have no part in the mean.
    drop_unknown: bool,
    normalize: bool,
    lexical: Option<LexicalPart>,
}

/// Memory for one text after the other.
#[derive(Default)]
pub struct Scratch {
    /// `[dimensions]` of a row, for rows in 4 bits.
    level_sums: Vec<i32>,
    sketch: Sketch,
}

impl PieceTable {
    /// Refuses a head that no such model can be made of.
    #[inline(never)]
    pub fn check_head(head: &Head) -> Result<(), WeightsError> {
        let config = Config::from_head(head)?;
        config.info(head).map(|_| ())
    }

    /// Reads the table in place.
    #[inline(never)]
    pub fn from_file(file: WeightsFile) -> Result<Self, WeightsError> {
        let config = Config::from_head(&file.head)?;
        let info = config.info(&file.head)?;
        config.table.check_values(&file)?;
        let tokenizer = word_pieces::read(&file, Framing::None, "embeddings", config.table.rows)?;
        Ok(Self {
            file,
            config,
            tokenizer,
            info,
        })
    }

    /// See `Model::info`.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// See `Model::count`.
    pub fn count(&self, text: &str) -> TokenCount {
        let read = self.part_read(text);
        let mut pieces = 0;
        self.tokenizer.for_each_piece(read, |_| pieces += 1);
        self.counted(text, read, pieces)
    }

    /// See `Model::work`: additions, in truth.
    pub fn work(&self, tokens_read: usize) -> u64 {
        tokens_read as u64 * self.info.multiply_adds_per_token
    }

    /// See `Model::most_work`: a word piece has one byte at least, or is one character that decomposes into several.
    pub fn most_work(&self, text: &str) -> u64 {
        self.work(text.len().min(self.config.max_seq_len))
    }

    /// See `Model::embed`.
    #[inline(never)]
    pub fn embed(&self, text: &str, scratch: &mut Scratch, embedding: &mut [f32]) -> TokenCount {
        let Config {
            table,
            max_seq_len,
            drop_unknown,
            normalize: is_normalized,
            lexical,
            ..
        } = &self.config;
        let Scratch { level_sums, sketch } = scratch;
        let read = self.part_read(text);
        let semantic_dimensions = embedding.len().min(table.dimensions);
        let semantic = &mut embedding[..semantic_dimensions];
        let mut rows = RowSum::new(table.rows_in(&self.file), level_sums, semantic);
        let dropped = drop_unknown.then(|| self.tokenizer.unknown());
        let mut pieces = 0;
        self.tokenizer.for_each_piece(read, |id| {
            if pieces < *max_seq_len && Some(id) != dropped {
                rows.add(id);
            }
            pieces += 1;
        });
        let row_count = rows.finish();
        scale(semantic, inverse(row_count as f32));
        match lexical {
            Some(lexical) if embedding.len() > semantic_dimensions => {
                sketch.read(text);
                let idf = self.file.bytes_at(&lexical.idf);
                lexical.put_behind(semantic_dimensions, embedding, idf, sketch);
            }
            _ if *is_normalized => normalize(embedding),
            _ => {}
        }
        self.counted(text, read, pieces)
    }

    /// The first `max_characters` of a text.
    fn part_read<'a>(&self, text: &'a str) -> &'a str {
        match self.config.max_characters {
            Some(most) if text.len() > most => match text.char_indices().nth(most) {
                Some((end, _)) => &text[..end],
                None => text,
            },
            _ => text,
        }
    }

    /// `pieces` are those of the part read.
    fn counted(&self, text: &str, read: &str, pieces: usize) -> TokenCount {
        let tokens_read = pieces.min(self.config.max_seq_len);
        let mut tokens = pieces;
        if read.len() < text.len() {
            tokens = 0;
            self.tokenizer.for_each_piece(text, |_| tokens += 1);
        }
        TokenCount {
            // A word that was cut may have more pieces than the whole one.
            tokens: tokens.max(tokens_read),
            tokens_read,
        }
    }
}

impl Config {
    fn from_head(head: &Head) -> Result<Self, WeightsError> {
        let metadata = &head.metadata;
        read_name(metadata)?;
        word_pieces::check_head(head, Framing::None)?;
        let normalize = metadata.flag("normalize")?;
        Ok(Self {
            table: Table::from_head(head)?,
            max_seq_len: metadata.number("max_seq_len", 1..=u32::MAX as usize)?,
            max_characters: match metadata.optional_text("max_characters")? {
                None => None,
                Some(_) => Some(metadata.number("max_characters", 1..=u32::MAX as usize)?),
            },
            drop_unknown: metadata.flag("drop_unknown")?,
            normalize,
            lexical: LexicalPart::from_head_if_there(head, normalize)?,
        })
    }

    fn info(&self, head: &Head) -> Result<ModelInfo, WeightsError> {
        let lexical_dimensions = self.lexical.as_ref().map_or(0, |part| part.dimensions);
        let dimensions = self.table.dimensions + lexical_dimensions;
        Ok(ModelInfo {
            name: read_name(&head.metadata)?,
            architecture: ARCHITECTURE,
            tokenizer: word_pieces::TOKENIZER,
            dtype: self.table.row_format.name(),
            dimensions,
            semantic_dimensions: self.table.dimensions,
            max_input_tokens: self.max_seq_len,
            max_request_tokens: MAX_REQUEST_TOKENS,
            normalize: self.normalize,
            multiply_adds_per_token: self.table.dimensions as u64,
            aliases: read_aliases(&head.metadata, dimensions)?,
            prompts: read_prompts(&head.metadata)?,
        })
    }
}
