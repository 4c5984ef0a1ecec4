//! The arithmetic: each kernel takes slices, and knows neither files nor models.

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
