//! The arithmetic: each kernel takes slices, and knows neither files nor models.
//!
//! What an encoder calls for each layer or tile is a function of its own, `#[inline(never)]`. Engines compile wasm in haste first,
//! and well what is called often; compiling well takes more than twice the time for a function twice as long. Small ones are
//! done before an isolate's first text is.

pub mod activation;
pub mod attention;
pub mod exact_columns;
pub mod exp;
pub mod lanes;
pub mod layer_norm;
pub mod norm;
pub mod product;
pub mod quantised_rows;
pub mod rows;
pub mod softmax;
