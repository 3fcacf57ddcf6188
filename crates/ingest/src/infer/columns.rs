//! Types of columns: those the file has, or for text those that every value of the sample could be.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::DataType as ArrowType;
use futures::StreamExt;
use mainspring_spec::{Column, CsvOptions, DataType, FileFormat};
use object_store::ObjectStoreExt;

use super::Sample;
use crate::cast::nearest;
use crate::read::{self, Fault, FileRef};

/// Texts that people write for "no value".
const MISSING: [&str; 12] = ["?", "N/A", "n/a", "NaN", "nan", "None", "none", "-", ".", "#N/A", "NA", "NULL"];
/// Of these, the ones that never mean anything else.
const SURELY_MISSING: [&str; 6] = ["?", "N/A", "n/a", "NaN", "nan", "#N/A"];
/// Bytes looked at to tell the delimiter.
const HEAD_BYTES: u64 = 64 << 10;

/// The columns of a file with their types, and how its CSV is written.
pub(super) struct Typed {
    pub columns: Vec<Column>,
    pub csv: CsvOptions,
}

/// Tells what parts the fields, by the header line.
pub(super) async fn delimiter(file: &FileRef) -> Result<char, Fault> {
    if file.size == 0 {
        return Err(Fault::Refused("is empty: it has not even a header line".into()));
    }
    let head = file.store.get_range(&file.location, 0..file.size.min(HEAD_BYTES)).await?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: char| line.iter().filter(|byte| char::from(**byte) == delimiter).count();
    // The first of those that are equally common.
    Ok([',', ';', '\t', '|'].into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(','))
}

/// Reads the sample once and tells each column's type.
pub(super) async fn infer(sample: &Sample<'_>) -> Result<Typed, Fault> {
    let mut opened = read::open(sample.file, sample.format, &sample.wanted(None, &sample.csv)).await?;
    let fields = opened.schema.fields().clone();
    let mut guesses: Vec<Guess> = fields.iter().map(|_| Guess::new()).collect();
    let limit = sample.rows(fields.len());
    let mut rows = 0;
    while rows < limit
        && let Some(batch) = opened.batches.next().await
    {
        let batch = batch?.batch;
        rows += batch.num_rows() as u64;
        for (guess, column) in guesses.iter_mut().zip(batch.columns()) {
            if column.data_type() == &ArrowType::Utf8 {
                column.as_string::<i32>().iter().flatten().for_each(|text| guess.see(text));
            }
        }
    }
    if rows == 0 {
        return Err(Fault::Refused("has no rows to learn the types from".into()));
    }
    let mut columns = Vec::with_capacity(fields.len());
    let mut null: BTreeSet<&str> = BTreeSet::new();
    for (field, guess) in fields.iter().zip(&guesses) {
        let data_type = match field.data_type() {
            ArrowType::Utf8 => guess.data_type(),
            other => match nearest(other) {
                Some(data_type) => data_type,
                None => {
                    return Err(Fault::Refused(format!(
                        "has a column `{}` of type {other}, which is no single value; leave it out of the file",
                        field.name()
                    )));
                }
            },
        };
        let is_text = data_type == DataType::String;
        null.extend(guess.missing.iter().filter(|text| !is_text || SURELY_MISSING.contains(text)));
        columns.push(Column {
            name: field.name().clone(),
            data_type,
            nullable: true,
            description: String::new(),
            personal: false,
        });
    }
    let mut csv = sample.csv.clone();
    if sample.format == FileFormat::Csv {
        for text in null {
            if !csv.null.iter().any(|known| known == text) {
                csv.null.push(text.to_owned());
            }
        }
    }
    Ok(Typed { columns, csv })
}

/// What a column's texts could all be.
struct Guess {
    values: u64,
    bool: bool,
    int: bool,
    float: bool,
    date: bool,
    timestamp: bool,
    missing: BTreeSet<&'static str>,
    utc: Option<arrow::array::timezone::Tz>,
}

impl Guess {
    fn new() -> Self {
        let utc = "UTC".parse().ok();
        Self {
            values: 0,
            bool: true,
            int: true,
            float: true,
            date: true,
            timestamp: true,
            missing: BTreeSet::new(),
            utc,
        }
    }

    fn see(&mut self, text: &str) {
        let text = text.trim();
        if let Some(missing) = MISSING.iter().find(|missing| **missing == text) {
            self.missing.insert(missing);
            return;
        }
        self.values += 1;
        self.bool = self.bool && matches!(text, "true" | "false" | "True" | "False" | "TRUE" | "FALSE");
        self.int = self.int && text.parse::<i64>().is_ok() && !has_leading_zero(text);
        self.float = self.float && is_float(text);
        self.date = self.date && text.len() == 10 && self.is_instant(text);
        self.timestamp = self.timestamp && self.is_instant(text);
    }

    fn is_instant(&self, text: &str) -> bool {
        self.utc.as_ref().is_some_and(|utc| string_to_datetime(utc, text).is_ok())
    }

    fn data_type(&self) -> DataType {
        match self {
            Self { values: 0, .. } => DataType::String,
            Self { bool: true, .. } => DataType::Bool,
            Self { int: true, .. } => DataType::Int64,
            Self { float: true, .. } => DataType::Float64,
            Self { date: true, .. } => DataType::Date,
            Self { timestamp: true, .. } => DataType::Timestamp,
            _ => DataType::String,
        }
    }
}

/// `00123` is a code, not a number.
fn has_leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.len() > 1 && digits.starts_with('0')
}

fn is_float(text: &str) -> bool {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    // A whole number too long for an integer is a code: as a float it would lose digits.
    let is_written_as_float = text.contains(['.', 'e', 'E']) || text.parse::<i64>().is_ok();
    let is_code = has_leading_zero(text) && !text.trim_start_matches(['-', '+']).starts_with("0.");
    has_digit && is_written_as_float && !is_code && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(texts: &[&str]) -> DataType {
        let mut guess = Guess::new();
        texts.iter().for_each(|text| guess.see(text));
        guess.data_type()
    }

    #[test]
    fn texts_are_of_the_narrowest_type_that_holds_them_all() {
        assert_eq!(guess(&["1", "-2", "?"]), DataType::Int64);
        assert_eq!(guess(&["1", "2.5", "1e3"]), DataType::Float64);
        assert_eq!(guess(&["0.5", "0"]), DataType::Float64);
        assert_eq!(guess(&["00501", "10001"]), DataType::String);
        assert_eq!(guess(&["123456789012345678901"]), DataType::String);
        assert_eq!(guess(&["True", "False"]), DataType::Bool);
        assert_eq!(guess(&["2013-01-01", "2013-02-01"]), DataType::Date);
        assert_eq!(guess(&["2013-01-01", "2013-02-01 05:00:00"]), DataType::Timestamp);
        assert_eq!(guess(&["nan", "inf"]), DataType::String);
        assert_eq!(guess(&[]), DataType::String);
    }
}
