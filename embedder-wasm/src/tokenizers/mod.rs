//! From texts to token ids.

pub mod text_cleaning;
mod unicode_tables;
pub mod wordpiece;
