//! The arithmetic: each kernel takes slices, and knows neither files nor models.

pub mod norm;
pub mod rows;
