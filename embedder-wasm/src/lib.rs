//! Text embeddings in wasm. The modules fall one way:
//! boundary -> batch -> models -> kernels -> {tokenizers, format, answer}; no module knows one that stands before it.

pub mod answer;
pub mod area;
pub mod batch;
pub mod boundary;
pub mod format;
pub mod kernels;
pub mod models;
pub mod random;
pub mod tokenizers;
