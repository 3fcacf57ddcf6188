//! JSON lines: one object a line. A key left out reads as null; a line that is not an object is a faulty row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mainspring_spec::ExtraColumns;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::lines::Window;
use super::{BATCH_ROWS, BATCHES_AHEAD, Fault, FileRef, Opened, RawBatch, RowFault, RowNumbers, Wanted};

/// Lines looked at to learn the columns when nobody says which are wanted.
const LINES_FOR_COLUMNS: usize = 10_000;
/// How much of a bad line's text is kept.
const TEXT_BYTES_MAX: usize = 64 << 10;

pub(super) async fn open(file: &FileRef, wanted: &Wanted) -> Result<Opened, Fault> {
    if file.size == 0 {
        return Err(Fault::Refused("is empty: it has not even one line".into()));
    }
    let names = match &wanted.columns {
        Some(names) => names.clone(),
        None => columns(file).await?,
    };
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut decoder = Decoder {
        lines: Lines::new(file),
        places: names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect(),
        schema: Arc::clone(&schema),
        extra: wanted.extra,
        row: 0,
    };
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    tokio::spawn(async move {
        while let Some(batch) = decoder.next_batch().await.transpose() {
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Opened { schema, rows: None, ignored: vec![], batches: super::receive(receiver) })
}

/// The keys of the first lines, in the order in which they appear.
async fn columns(file: &FileRef) -> Result<Vec<String>, Fault> {
    let mut lines = Lines::new(file);
    let mut names = Vec::new();
    let mut known = std::collections::HashSet::new();
    for _ in 0..LINES_FOR_COLUMNS {
        if !lines.next().await? {
            break;
        }
        if let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(lines.current()) {
            for name in object.keys() {
                if known.insert(name.clone()) {
                    names.push(name.clone());
                }
            }
        }
        if names.len() > super::COLUMNS_MAX {
            return Err(Fault::Refused(format!("has more than {} keys", super::COLUMNS_MAX)));
        }
    }
    if names.is_empty() {
        return Err(Fault::Refused(format!("has no JSON object in its first {LINES_FOR_COLUMNS} lines")));
    }
    Ok(names)
}

struct Lines {
    window: Window,
    line: u64,
    first: bool,
    /// Bytes consumed for the line, and where in them it begins and ends.
    current: (usize, usize, usize),
}

impl Lines {
    fn new(file: &FileRef) -> Self {
        Self { window: Window::new(file), line: 0, first: true, current: (0, 0, 0) }
    }

    /// Moves to the next line that is not blank; `false` at the end of the file.
    async fn next(&mut self) -> Result<bool, Fault> {
        loop {
            let mut searched = 0;
            let (length, ending) = loop {
                let unread = self.window.unread();
                match unread.get(searched..).unwrap_or_default().iter().position(|byte| *byte == b'\n') {
                    Some(found) => break (searched + found, 1),
                    None if self.window.at_end() => break (unread.len(), 0),
                    None => {
                        searched = unread.len();
                        self.window.read_more().await?;
                    }
                }
            };
            if length + ending == 0 {
                return Ok(false);
            }
            self.line += 1;
            let line = self.window.unread().get(..length).unwrap_or_default();
            let bom = if self.first && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            self.first = false;
            let blank = line.get(bom..).unwrap_or_default().iter().all(u8::is_ascii_whitespace);
            self.window.consume(length + ending);
            if !blank {
                self.current = (length + ending, bom, length);
                return Ok(true);
            }
        }
    }

    /// The line moved to, without its end.
    fn current(&self) -> &[u8] {
        let (consumed, from, until) = self.current;
        self.window.consumed(consumed, from, until)
    }
}

struct Decoder {
    lines: Lines,
    places: HashMap<String, usize>,
    schema: SchemaRef,
    extra: ExtraColumns,
    row: u64,
}

impl Decoder {
    async fn next_batch(&mut self) -> Result<Option<RawBatch>, Fault> {
        let width = self.schema.fields().len();
        let mut builders: Vec<StringBuilder> = (0..width).map(|_| StringBuilder::new()).collect();
        let (first, mut numbers, mut faults) = (self.row + 1, Vec::new(), Vec::new());
        let mut row = vec![None; width];
        let mut read = 0;
        while read < BATCH_ROWS && self.lines.next().await? {
            let line = self.lines.current();
            read += 1;
            self.row += 1;
            let parsed = std::str::from_utf8(line)
                .map_err(|error| format!("byte {}: not UTF-8", error.valid_up_to() + 1))
                .and_then(|text| {
                    serde_json::from_str::<Map<String, Value>>(text)
                        .map_err(|error| format!("not a JSON object: {error}"))
                });
            let object = match parsed {
                Ok(object) => object,
                Err(reason) => {
                    let kept = line.get(..line.len().min(TEXT_BYTES_MAX)).unwrap_or_default();
                    let text = String::from_utf8_lossy(kept).trim_end().to_owned();
                    if faults.is_empty() {
                        numbers.extend(first..self.row);
                    }
                    faults.push(RowFault {
                        row: self.row,
                        reason: format!("line {}, {reason}", self.lines.line),
                        text,
                    });
                    continue;
                }
            };
            if !faults.is_empty() {
                numbers.push(self.row);
            }
            row.fill(None);
            for (name, value) in object {
                match self.places.get(&name) {
                    Some(place) => {
                        if let Some(slot) = row.get_mut(*place) {
                            *slot = text_of(value);
                        }
                    }
                    None if self.extra == ExtraColumns::Fail => {
                        let line = self.lines.line;
                        return Err(Fault::Refused(format!("{} (line {line})", super::extra_columns(&[name]))));
                    }
                    None => {}
                }
            }
            for (builder, value) in builders.iter_mut().zip(&row) {
                builder.append_option(value.as_deref());
            }
        }
        if read == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(read - faults.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Fault::Refused(format!("cannot be held in memory: {error}")))?;
        let rows = if faults.is_empty() { RowNumbers::From(first) } else { RowNumbers::Listed(numbers.into()) };
        Ok(Some(RawBatch { batch, rows, faults }))
    }
}

/// A JSON value as text, from which the declared type is read; a number keeps its digits.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
