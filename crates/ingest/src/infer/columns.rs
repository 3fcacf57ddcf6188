//! Types of columns: those the file has, or for text those that every value of the sample could be.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, AsArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType as ArrowType, Fields};
use futures::StreamExt;
use mainspring_spec::{Column, CsvOptions, DataType, FileFormat};
use object_store::ObjectStoreExt;

use super::Sample;
use super::written::{Commas, Order, Times, Written, looks_like_time};
use crate::cast::nearest;
use crate::read::{self, Fault, FileRef, RawBatch, RowFault};

/// Texts that people write for "no value".
const MISSING: [&str; 12] = ["?", "N/A", "n/a", "NaN", "nan", "None", "none", "-", ".", "#N/A", "NA", "NULL"];
/// Of these, the ones that never mean anything else.
const SURELY_MISSING: [&str; 6] = ["?", "N/A", "n/a", "NaN", "nan", "#N/A"];
/// Bytes looked at to tell the delimiter.
const HEAD_BYTES: u64 = 64 << 10;
/// Values of a column looked at to see whether they have the look of times.
const LOOKS_MAX: u64 = 1_000;
/// So many names of columns that count up by one are names, not values: years, or the places of a matrix.
const COUNTED_NAMES_MIN: usize = 3;
/// Cells of a first line shown in a message.
const CELLS_SHOWN: usize = 4;

/// The columns of a file with their types, and how its CSV is written.
pub(super) struct Typed {
    pub columns: Vec<Column>,
    pub csv: CsvOptions,
    /// Columns of text that can be read as something else.
    pub written: Vec<(String, Written)>,
    /// Columns of text that look like something else and cannot be read, with the words that follow the name.
    pub doubts: Vec<(String, String)>,
    /// What the person should know of the file's rows.
    pub notes: Vec<String>,
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
    refuse_alike(&fields)?;
    let mut guesses: Vec<Guess> = fields.iter().map(|_| Guess::new()).collect();
    let limit = sample.rows(fields.len());
    let mut rows = 0;
    let mut unread = Unread::default();
    while rows + unread.rows < limit
        && let Some(batch) = opened.batches.next().await
    {
        let RawBatch { batch, faults, .. } = batch?;
        rows += batch.num_rows() as u64;
        unread.see(&faults);
        for (guess, column) in guesses.iter_mut().zip(batch.columns()) {
            if column.data_type() == &ArrowType::Utf8 {
                column.as_string::<i32>().iter().flatten().for_each(|text| guess.see(text));
            }
        }
    }
    if rows == 0 {
        return Err(Fault::Refused(match &unread.first {
            Some(first) => format!(
                "cannot be learned from: none of its {} rows can be read: {first}; {}",
                unread.rows,
                mend(first)
            ),
            None => "has no rows to learn the types from".into(),
        }));
    }
    if sample.format == FileFormat::Csv {
        refuse_header_of_values(&fields, &guesses)?;
    }
    let (mut written, mut doubts) = (Vec::new(), Vec::new());
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
        // Only in CSV can a text that stands for no value be declared one; elsewhere the reading would fail on it.
        let reads = sample.format == FileFormat::Csv || guess.missing.is_empty();
        let reading = guess.written().filter(|_| reads && data_type == DataType::String);
        let is_text = data_type == DataType::String && reading.is_none();
        match (reading, guess.doubt(field.name())) {
            (Some(reading), _) => written.push((field.name().clone(), reading)),
            (None, Some(doubt)) if is_text => doubts.push((field.name().clone(), doubt)),
            _ => {}
        }
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
    let notes = unread.note(rows).into_iter().collect();
    Ok(Typed { columns, csv, written, doubts, notes })
}

/// Refuses columns that a table, whose columns have no case, could not tell apart.
fn refuse_alike(fields: &Fields) -> Result<(), Fault> {
    let mut seen: HashMap<String, &str> = HashMap::with_capacity(fields.len());
    for field in fields {
        if let Some(other) = seen.insert(field.name().to_lowercase(), field.name()) {
            let name = field.name();
            return Err(Fault::Refused(format!(
                "has columns `{other}` and `{name}`, whose names differ only in case, which a table cannot tell apart; rename one of them"
            )));
        }
    }
    Ok(())
}

/// Refuses a file whose first line is a row of values: the row would be lost, and its values be the names of columns.
fn refuse_header_of_values(fields: &Fields, guesses: &[Guess]) -> Result<(), Fault> {
    let pairs: Vec<(DataType, DataType)> =
        fields.iter().zip(guesses).map(|(field, guess)| (Guess::of(field.name()).kind(), guess.kind())).collect();
    let mut typed = pairs.iter().filter(|(_, column)| *column != DataType::String).peekable();
    let all_fit = typed.peek().is_some() && typed.all(|(name, column)| name == column);
    let numbers = pairs.iter().filter(|(name, _)| *name == DataType::Float64).count();
    if !all_fit && numbers * 2 <= pairs.len() || are_counted(fields) {
        return Ok(());
    }
    let cells: Vec<String> = fields.iter().take(CELLS_SHOWN).map(|field| format!("`{}`", field.name())).collect();
    let more = if fields.len() > CELLS_SHOWN { ", …" } else { "" };
    Err(Fault::Refused(format!(
        "seems to have no header: the first line looks like data (line 1: {}{more}); add a header line that names the columns",
        cells.join(", ")
    )))
}

/// Whether the names that are numbers count up by one.
fn are_counted(fields: &Fields) -> bool {
    let numbers = fields.iter().filter(|field| Guess::of(field.name()).kind() == DataType::Float64);
    let whole: Option<Vec<i64>> = numbers.map(|field| field.name().parse().ok()).collect();
    whole.is_some_and(|whole| {
        whole.len() >= COUNTED_NAMES_MIN
            && whole.iter().zip(whole.iter().skip(1)).all(|(before, after)| before.checked_add(1) == Some(*after))
    })
}

/// Rows of the sample that cannot be read.
#[derive(Default)]
struct Unread {
    rows: u64,
    /// What is wrong with the first of them.
    first: Option<String>,
}

impl Unread {
    fn see(&mut self, faults: &[RowFault]) {
        self.rows += faults.len() as u64;
        if self.first.is_none() {
            self.first = faults.first().map(|fault| fault.reason.clone());
        }
    }

    /// What to tell of them, beside so many rows that were read.
    fn note(&self, read: u64) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!(
            "{} of {} rows cannot be read and were left out; an ingest puts such rows into the quarantine. The first: {first}; {}",
            self.rows,
            read + self.rows,
            mend(first)
        ))
    }
}

/// What mends a row that cannot be read.
fn mend(reason: &str) -> &'static str {
    if reason.contains("UTF-8") { "convert the file to UTF-8" } else { "mend these lines" }
}

/// What a column's texts could all be.
struct Guess {
    values: u64,
    bool: bool,
    int: bool,
    float: bool,
    date: bool,
    timestamp: bool,
    times: Times,
    commas: Commas,
    /// Of the values looked at, those that have the look of a time, and the first of them.
    look_like_times: u64,
    first_time: Option<String>,
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
            times: Times::new(),
            commas: Commas::new(),
            look_like_times: 0,
            first_time: None,
            missing: BTreeSet::new(),
            utc,
        }
    }

    /// What one text alone could be.
    fn of(text: &str) -> Self {
        let mut guess = Self::new();
        guess.see(text);
        guess
    }

    fn see(&mut self, raw: &str) {
        let text = raw.trim();
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
        // As they stand, spaces and all: a derived column is given them so.
        self.times.see(raw);
        self.commas.see(raw);
        if self.values <= LOOKS_MAX && looks_like_time(text) {
            self.look_like_times += 1;
            self.first_time.get_or_insert_with(|| text.to_owned());
        }
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

    /// How the texts can be read, when they are of no type as they stand.
    fn written(&self) -> Option<Written> {
        match self.times.order() {
            Order::Format(format) if self.values > 0 => Some(Written::Time(format)),
            _ if self.commas.are_decimal() => Some(Written::DecimalComma),
            _ => None,
        }
    }

    /// Why texts that look like times or numbers are not read as such; the words follow the column's name.
    fn doubt(&self, column: &str) -> Option<String> {
        let column = super::sql_name(column);
        if self.times.order() == Order::Ambiguous {
            return Some(format!(
                "has dates whose day and month cannot be told apart, for no value is above 12: it stays text; write them as 2024-01-31, or derive a timestamp: to_timestamp_seconds(to_unixtime({column}, '%d/%m/%Y')) for the day first"
            ));
        }
        if self.commas.are_ambiguous() {
            return Some(format!(
                "has numbers whose commas could stand before decimals or thousands: it stays text; derive a float64: CAST(replace({column}, ',', '.') AS DOUBLE) for decimals, and with '' in place of '.' for thousands"
            ));
        }
        let first = self.first_time.as_ref()?;
        (self.look_like_times * 2 > self.values.min(LOOKS_MAX)).then(|| {
            format!(
                "looks like a time that cannot be read, as `{first}`: it stays text; write times as 2024-01-31 or 2024-01-31T17:00:00Z, all alike, or derive a timestamp with to_timestamp_seconds(to_unixtime({column}, …)) and their format"
            )
        })
    }

    /// What kind of value it is, however it is written: a number, a time, a truth value or a text.
    fn kind(&self) -> DataType {
        match self.data_type() {
            DataType::Int64 | DataType::Float64 => DataType::Float64,
            DataType::Date | DataType::Timestamp => DataType::Timestamp,
            DataType::String if self.values > 0 && self.times.order() != Order::None => DataType::Timestamp,
            DataType::String if self.commas.are_decimal() => DataType::Float64,
            other => other,
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
    use arrow::datatypes::Field;

    use super::*;

    fn guess(texts: &[&str]) -> DataType {
        let mut guess = Guess::new();
        texts.iter().for_each(|text| guess.see(text));
        guess.data_type()
    }

    /// Whether a file of these first lines is refused.
    fn is_refused(header: &[&str], row: &[&str]) -> bool {
        let fields: Fields = header.iter().map(|name| Field::new(*name, ArrowType::Utf8, true)).collect();
        let guesses: Vec<Guess> = row.iter().map(|text| Guess::of(text)).collect();
        refuse_header_of_values(&fields, &guesses).is_err()
    }

    #[test]
    fn a_first_line_of_values_is_no_header() {
        assert!(is_refused(&["0.246", "basic"], &["1", "plus"]));
        assert!(is_refused(&["13/01/2024", "12,5", "no"], &["14/01/2024", "7,25", "yes"]));
        assert!(is_refused(&["1.5", "7", "a"], &["2.5", "", "3"]));
        assert!(!is_refused(&["fee", "plan"], &["1", "plus"]));
        assert!(!is_refused(&["name", "plan"], &["a", "b"]));
        assert!(!is_refused(&["7", "fee", "plan"], &["1", "2", "plus"]));
        // Years, and the places of a matrix.
        assert!(!is_refused(&["country", "2019", "2020", "2021"], &["it", "1", "2", "3"]));
        assert!(!is_refused(&["0", "1", "2", "3"], &["5.5", "6.5", "7.5", "8.5"]));
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
