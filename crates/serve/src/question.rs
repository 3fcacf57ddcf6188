//! What is asked, whatever the protocol.

use mainspring_features::Value;

/// Rows to predict.
#[derive(Debug)]
pub struct Question {
    /// How many.
    pub rows: usize,
    /// The moment as of which features are read, in microseconds since 1970; by default now.
    pub as_of: Option<i64>,
    /// What is given of each row.
    pub given: Given,
}

/// What is given of each row.
#[derive(Debug)]
pub enum Given {
    /// Entity keys and request values, shape `[rows, fields]` by [`Plan::fields`](crate::Plan::fields); features are
    /// looked up.
    Fields(Vec<Value>),
    /// The model's inputs, shape `[rows, inputs]` by [`Plan::inputs`](crate::Plan::inputs); nothing is looked up.
    Inputs(Vec<Value>),
    /// The model's inputs as numbers, shape `[rows, inputs]`: a category as its position, NaN for null.
    Numbers(Vec<f64>),
}
