//! The models: each reads itself from a weights file, and turns a text into its embedding.

pub mod bert;
pub mod info;
pub mod lexical;
pub mod linear_weights;
pub mod piece_table;
pub mod pooling;
pub mod static_table;
mod table;
mod word_pieces;

pub use crate::tokenizers::token_count::TokenCount;
pub use info::ModelInfo;

use crate::format::container::{Head, WeightsFile};
use crate::format::{WeightsError, refused};
use bert::Bert;
use piece_table::PieceTable;
use static_table::StaticTable;

/// A loaded model. It does not change: what is scratch memory is passed in. What an architecture does is never inlined
/// here: engines compile a function when it is first called, and no model's first answer waits for another one's code.
#[expect(
    clippy::large_enum_variant,
    reason = "few values exist, and their weights lie elsewhere"
)]
pub enum Model {
    /// A table of rows, one or two for each word.
    Static(StaticTable),
    /// A table of rows, one for each word piece.
    Pieces(PieceTable),
    /// An encoder.
    Bert(Bert),
}

/// Memory that models of all architectures use while they read a text; nothing in it outlives the call.
#[derive(Default)]
pub struct Scratch {
    table: static_table::Scratch,
    pieces: piece_table::Scratch,
    encoder: bert::Scratch,
}

impl Scratch {
    /// Where the text stands that `embed_within` has left half-way: the layers that are done, and what the next one reads.
    pub fn half_way(&self) -> (u32, &[f32]) {
        self.encoder.half_way()
    }
}

/// What a file's `architecture` may say; of `static` there are two kinds, by the tokenizer.
enum Architecture {
    Static,
    StaticPieces,
    Bert,
}

impl Architecture {
    fn of(head: &Head) -> Result<Self, WeightsError> {
        match head.metadata.optional_text("architecture")? {
            None | Some(static_table::ARCHITECTURE) => {
                match head.metadata.optional_text("tokenizer")? {
                    Some(word_pieces::TOKENIZER) => Ok(Self::StaticPieces),
                    _ => Ok(Self::Static),
                }
            }
            Some(bert::ARCHITECTURE) => Ok(Self::Bert),
            Some(found) => refused(format!(
                "header.__metadata__.architecture: expected {:?} or {:?}, found {found:?}",
                static_table::ARCHITECTURE,
                bert::ARCHITECTURE
            )),
        }
    }
}

impl Model {
    /// Refuses a head that no model can be made of, before the rest of the file is there.
    pub fn check_head(head: &Head) -> Result<(), WeightsError> {
        match Architecture::of(head)? {
            Architecture::Static => StaticTable::check_head(head),
            Architecture::StaticPieces => PieceTable::check_head(head),
            Architecture::Bert => Bert::check_head(head),
        }
    }

    /// Makes the model that a file describes; refuses one that says too little, or nonsense.
    pub fn from_file(file: WeightsFile) -> Result<Self, WeightsError> {
        match Architecture::of(&file.head)? {
            Architecture::Static => StaticTable::from_file(file).map(Self::Static),
            Architecture::StaticPieces => PieceTable::from_file(file).map(Self::Pieces),
            Architecture::Bert => Bert::from_file(file).map(Self::Bert),
        }
    }

    /// What may be known about the model from outside.
    pub fn info(&self) -> &ModelInfo {
        match self {
            Self::Static(model) => model.info(),
            Self::Pieces(model) => model.info(),
            Self::Bert(model) => model.info(),
        }
    }

    /// Counts a text's tokens, and reads no weights.
    pub fn count(&self, text: &str) -> TokenCount {
        match self {
            Self::Static(model) => model.count(text),
            Self::Pieces(model) => model.count(text),
            Self::Bert(model) => model.count(text),
        }
    }

    /// Multiply-adds for a text of which so many tokens are read.
    pub fn work(&self, tokens_read: usize) -> u64 {
        match self {
            Self::Static(model) => model.work(tokens_read),
            Self::Pieces(model) => model.work(tokens_read),
            Self::Bert(model) => model.work(tokens_read),
        }
    }

    /// What the work for a text cannot be more than, without counting its tokens.
    pub fn most_work(&self, text: &str) -> u64 {
        match self {
            Self::Static(model) => model.most_work(text),
            Self::Pieces(model) => model.most_work(text),
            Self::Bert(model) => model.most_work(text),
        }
    }

    /// Writes the embedding of a text, `[dimensions]`, into `embedding`: the first values of the model's vector,
    /// normalised among themselves where the model normalises. A text without a token gives the zero vector.
    /// `embedding` may be at most `info().dimensions` long.
    pub fn embed(&self, text: &str, scratch: &mut Scratch, embedding: &mut [f32]) -> TokenCount {
        self.embed_within(text, &[], f64::INFINITY, scratch, embedding)
            .expect("work without a bound comes to its end")
    }

    /// As `embed`, but an encoder stops between two layers where the next one would exceed `work_budget`, in multiply-adds, and at
    /// least one is done: then there is no embedding, and `Scratch::half_way` says where the text stands. `begun` is empty, or
    /// what `half_way` has said of the same text before, in little-endian numbers of four bytes. Panics where it was another one.
    pub fn embed_within(
        &self,
        text: &str,
        begun: &[u8],
        work_budget: f64,
        scratch: &mut Scratch,
        embedding: &mut [f32],
    ) -> Option<TokenCount> {
        debug_assert!((1..=self.info().dimensions).contains(&embedding.len()));
        match self {
            Self::Static(model) => Some(model.embed(text, &mut scratch.table, embedding)),
            Self::Pieces(model) => Some(model.embed(text, &mut scratch.pieces, embedding)),
            Self::Bert(model) => {
                model.embed_within(text, begun, work_budget, &mut scratch.encoder, embedding)
            }
        }
    }
}
