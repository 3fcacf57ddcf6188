//! From typed values to the numbers of an encoded row.
//!
//! One function, [`Encoder::encode_value`], decides what a value becomes; requests call it value by value and record
//! batches cell by cell, so a row of the training set and the same row in a request cannot be encoded differently.

mod columns;

use std::collections::HashMap;

use crate::artifact::{Encoding, ModelArtifact};

/// Numbers up to here count as 0 where 0 is missing, as LightGBM has it: the 32-bit float nearest to 1e-35.
const ZERO_BOUND: f64 = 1e-35_f32 as f64;

/// Whole numbers below this, 2 to the power of 53, of either sign, are floats without loss; from here on several are the same
/// float.
pub const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// A value of an input, borrowed from a request or a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Not known.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number; a date is its days since 1970.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Microseconds since 1970 in UTC.
    Timestamp(i64),
}

/// Encoded rows, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many numbers in each.
    pub columns: usize,
    /// Shape `[rows, columns]`.
    pub values: Vec<f64>,
}

/// Turns the inputs of one model into encoded rows.
#[derive(Debug)]
pub struct Encoder {
    inputs: Vec<EncodedInput>,
    columns: usize,
}

#[derive(Debug)]
struct EncodedInput {
    name: String,
    /// The first column of the encoded row that it fills.
    first: usize,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Number,
    ZeroIsMissing,
    Category { positions: HashMap<String, f64> },
    OneHot { positions: HashMap<String, usize>, width: usize },
    Standard { mean: f64, deviation: f64, fill: f64 },
}

impl Encoder {
    pub(crate) fn new(artifact: &ModelArtifact) -> Self {
        let mut columns = 0;
        let inputs = artifact
            .inputs
            .iter()
            .map(|input| {
                let first = columns;
                columns += input.encoding.width();
                EncodedInput { name: input.name.clone(), first, rule: Rule::new(&input.encoding) }
            })
            .collect();
        Self { inputs, columns }
    }

    /// How many numbers an encoded row has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many inputs the model has.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The names of the inputs, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.name.as_str())
    }

    /// Encodes values, given in the order of the inputs, into a row of [`columns`](Self::columns) numbers. Inputs for
    /// which no value comes are null.
    pub fn encode_row<'a>(&self, values: impl IntoIterator<Item = Value<'a>>, row: &mut [f64]) {
        let values = values.into_iter().chain(std::iter::repeat(Value::Null));
        for (input, value) in self.inputs.iter().zip(values) {
            input.encode(value, row);
        }
    }

    /// Encodes inputs that come as numbers, in their order: the number itself, or the position of a category in its
    /// list; NaN for null.
    pub fn encode_numbers(&self, numbers: &[f64], row: &mut [f64]) {
        for (input, number) in self.inputs.iter().zip(numbers) {
            input.encode_number(*number, row);
        }
    }

    /// Whether [`encode_numbers`](Self::encode_numbers) would only copy.
    #[must_use]
    pub fn takes_numbers_as_they_are(&self) -> bool {
        self.inputs.iter().all(|input| matches!(input.rule, Rule::Number))
    }

    /// Encodes the value of the input at this position. A position or row beyond the model's is left alone.
    pub fn encode_value(&self, input: usize, value: Value<'_>, row: &mut [f64]) {
        if let Some(input) = self.inputs.get(input) {
            input.encode(value, row);
        }
    }
}

impl EncodedInput {
    fn encode_number(&self, number: f64, row: &mut [f64]) {
        let position = |size: usize| position(number, size);
        let Some(cells) = row.get_mut(self.first..) else { return };
        match &self.rule {
            Rule::Number | Rule::ZeroIsMissing | Rule::Standard { .. } => self.encode(Value::Float(number), row),
            Rule::Category { positions } => put(cells, position(positions.len()).map_or(f64::NAN, |_| number)),
            Rule::OneHot { width, .. } => {
                let hot = position(*width);
                for (position, cell) in cells.iter_mut().take(*width).enumerate() {
                    *cell = if Some(position) == hot { 1.0 } else { 0.0 };
                }
            }
        }
    }

    fn encode(&self, value: Value<'_>, row: &mut [f64]) {
        let Some(cells) = row.get_mut(self.first..) else { return };
        match &self.rule {
            Rule::Number => put(cells, number(value)),
            Rule::ZeroIsMissing => {
                let number = number(value);
                put(cells, if number.abs() <= ZERO_BOUND { f64::NAN } else { number });
            }
            Rule::Category { positions } => {
                put(cells, with_text(value, |text| positions.get(text).copied()).unwrap_or(f64::NAN));
            }
            Rule::OneHot { positions, width } => {
                let hot = with_text(value, |text| positions.get(text).copied());
                for (position, cell) in cells.iter_mut().take(*width).enumerate() {
                    *cell = if Some(position) == hot { 1.0 } else { 0.0 };
                }
            }
            Rule::Standard { mean, deviation, fill } => {
                let number = number(value);
                let known = if number.is_nan() { *fill } else { number };
                put(cells, (known - mean) / deviation);
            }
        }
    }
}

impl Rule {
    fn new(encoding: &Encoding) -> Self {
        match encoding {
            Encoding::Number => Self::Number,
            Encoding::ZeroIsMissing => Self::ZeroIsMissing,
            Encoding::Category { values } => {
                Self::Category { positions: values.iter().cloned().zip((0u32..).map(f64::from)).collect() }
            }
            Encoding::OneHot { values } => {
                Self::OneHot { positions: values.iter().cloned().zip(0..).collect(), width: values.len() }
            }
            Encoding::Standard { mean, deviation, fill } => {
                Self::Standard { mean: *mean, deviation: *deviation, fill: *fill }
            }
        }
    }
}

/// A number as one of `size` positions.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
#[expect(clippy::cast_precision_loss, reason = "an encoding has at most 2^20 values")]
fn position(number: f64, size: usize) -> Option<usize> {
    (number >= 0.0 && number < size as f64 && number.fract() == 0.0).then_some(number as usize)
}

fn put(cells: &mut [f64], number: f64) {
    if let Some(cell) = cells.first_mut() {
        *cell = number;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a model's inputs are 64-bit floats; whole numbers beyond 2^53 round")]
fn number(value: Value<'_>) -> f64 {
    match value {
        Value::Null | Value::Text(_) => f64::NAN,
        Value::Bool(flag) => f64::from(u8::from(flag)),
        Value::Int(whole) | Value::Timestamp(whole) => whole as f64,
        Value::Float(number) => number,
    }
}

/// Looks a value up as a category: text as it is, true and false and whole numbers as they are written.
fn with_text<T>(value: Value<'_>, look_up: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::Null | Value::Float(_) | Value::Timestamp(_) => None,
        Value::Text(text) => look_up(text),
        Value::Bool(flag) => look_up(if flag { "true" } else { "false" }),
        Value::Int(whole) => look_up(itoa::Buffer::new().format(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{ARTIFACT_FORMAT, Body, Input, Link};

    pub(super) fn encoder(encodings: Vec<Encoding>) -> Encoder {
        let inputs = encodings
            .into_iter()
            .enumerate()
            .map(|(number, encoding)| Input {
                name: format!("x{number}"),
                data_type: mainspring_spec::DataType::Float64,
                encoding,
            })
            .collect();
        Encoder::new(&ModelArtifact {
            format: ARTIFACT_FORMAT,
            task: mainspring_spec::Task::Regression,
            classes: vec![],
            inputs,
            body: Body::Constant(vec![0.0]),
            link: Link::Identity,
        })
    }

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_encoding_does_what_it_says() {
        let encoder = encoder(vec![
            Encoding::Number,
            Encoding::Category { values: list(&["UA", "DL"]) },
            Encoding::OneHot { values: list(&["1", "2", "true"]) },
            Encoding::Standard { mean: 10.0, deviation: 2.0, fill: 12.0 },
        ]);
        let mut row = [9.0; 6];

        encoder.encode_row([Value::Bool(true), Value::Text("DL"), Value::Int(2), Value::Float(6.0)], &mut row);
        assert_eq!(row, [1.0, 1.0, 0.0, 1.0, 0.0, -2.0]);

        encoder.encode_row([Value::Timestamp(7), Value::Text("UA"), Value::Bool(true), Value::Null], &mut row);
        assert_eq!(row, [7.0, 0.0, 0.0, 0.0, 1.0, 1.0]);

        encoder.encode_row([Value::Text("7"), Value::Text("XX"), Value::Text("XX")], &mut row);
        assert!(row[0].is_nan() && row[1].is_nan());
        assert_eq!(row[2..], [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn categories_as_positions_encode_as_their_names_do() {
        let encoder = encoder(vec![
            Encoding::Number,
            Encoding::Category { values: list(&["UA", "DL"]) },
            Encoding::OneHot { values: list(&["a", "b"]) },
            Encoding::Standard { mean: 10.0, deviation: 2.0, fill: 12.0 },
        ]);
        let (mut named, mut numbered) = ([9.0; 5], [9.0; 5]);

        encoder.encode_row([Value::Float(0.5), Value::Text("DL"), Value::Text("a"), Value::Null], &mut named);
        encoder.encode_numbers(&[0.5, 1.0, 0.0, f64::NAN], &mut numbered);
        assert_eq!(named, numbered);

        for position in [2.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            encoder.encode_numbers(&[0.5, position, position, 1.0], &mut numbered);
            assert!(numbered[1].is_nan());
            assert_eq!(numbered[2..4], [0.0, 0.0]);
        }
        assert!(!encoder.takes_numbers_as_they_are());
    }

    #[test]
    fn a_row_too_short_is_filled_as_far_as_it_goes() {
        let encoder = encoder(vec![Encoding::Number, Encoding::OneHot { values: list(&["a", "b"]) }]);
        let mut row = [9.0; 2];

        encoder.encode_row([Value::Int(1), Value::Text("b")], &mut row);
        encoder.encode_value(5, Value::Int(3), &mut row);

        assert_eq!(row, [1.0, 0.0]);
    }
}
