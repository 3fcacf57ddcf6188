//! CSV: a header line, then records. `csv-core` parses; this file keeps what a parser forgets, which is where a record
//! began, so that a bad one can be shown as it was.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use tokio::sync::mpsc;

use super::lines::Window;
use super::{BATCH_ROWS, BATCHES_AHEAD, COLUMNS_MAX, Fault, FileRef, Opened, RawBatch, RowFault, RowNumbers, Wanted};

pub(super) async fn open(file: &FileRef, wanted: &Wanted) -> Result<Opened, Fault> {
    let mut records = Records::new(file, wanted)?;
    if !records.next().await? {
        return Err(Fault::Refused("is empty: it has not even a header line".into()));
    }
    let header = records.header()?;
    let matched = super::match_columns(&header, wanted)?;
    let fields: Vec<Field> = matched.names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));

    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let mut decoder = Decoder {
        records,
        schema: Arc::clone(&schema),
        places: matched.places,
        width: header.len(),
        null: wanted.csv.null.clone(),
        row: 0,
    };
    tokio::spawn(async move {
        loop {
            let batch = decoder.next_batch().await.transpose();
            let Some(batch) = batch else { return };
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Opened { schema, rows: None, ignored: matched.ignored, batches: super::receive(receiver) })
}

/// Records of a file, one at a time.
struct Records {
    window: Window,
    csv: Reader,
    /// The fields of the record, unquoted, one after the other.
    output: Vec<u8>,
    /// Where each field ends in `output`.
    ends: Vec<usize>,
    fields: usize,
    /// The record as it stands in the file.
    text: Vec<u8>,
    keep_text_to: usize,
    line: u64,
}

/// How much of a bad record's text is kept.
const TEXT_BYTES_MAX: usize = 64 << 10;

impl Records {
    fn new(file: &FileRef, wanted: &Wanted) -> Result<Self, Fault> {
        let delimiter = u8::try_from(wanted.csv.delimiter).map_err(|_| {
            Fault::Refused(format!("cannot be parted by {:?}: only ASCII delimiters", wanted.csv.delimiter))
        })?;
        Ok(Self {
            window: Window::new(file),
            csv: ReaderBuilder::new().delimiter(delimiter).build(),
            output: vec![0; 4096],
            ends: vec![0; 64],
            fields: 0,
            text: Vec::new(),
            keep_text_to: TEXT_BYTES_MAX,
            line: 1,
        })
    }

    /// Reads one record; `false` at the end of the file.
    async fn next(&mut self) -> Result<bool, Fault> {
        let (mut written, mut fields, mut length) = (0, 0, 0_usize);
        self.text.clear();
        self.line = self.csv.line();
        loop {
            let input = self.window.unread();
            if input.is_empty() && !self.window.at_end() {
                self.window.read_more().await?;
                continue;
            }
            let output = self.output.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(fields..).unwrap_or_default();
            let (result, read, wrote, ended) = self.csv.read_record(input, output, ends);
            let room = self.keep_text_to.saturating_sub(self.text.len());
            self.text.extend_from_slice(input.get(..read.min(room)).unwrap_or_default());
            self.window.consume(read);
            written += wrote;
            fields += ended;
            length += read;
            if length > super::RECORD_BYTES_MAX {
                return Err(Fault::Refused(format!(
                    "has a record at line {} that is longer than {} MiB; is a quote left open there?",
                    self.line,
                    super::RECORD_BYTES_MAX >> 20
                )));
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.output.resize(self.output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() > COLUMNS_MAX => {
                    return Err(Fault::Refused(format!("has more than {COLUMNS_MAX} fields at line {}", self.line)));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.fields = fields;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn bytes(&self, field: usize) -> &[u8] {
        let start = field.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(field).copied().unwrap_or(start);
        self.output.get(start..end).unwrap_or_default()
    }

    fn header(&self) -> Result<Vec<String>, Fault> {
        let mut names = Vec::with_capacity(self.fields);
        for field in 0..self.fields {
            let name = std::str::from_utf8(self.bytes(field)).map_err(|_| {
                Fault::Refused(format!("has a header whose column {} is not UTF-8; convert the file", field + 1))
            })?;
            let name = name.trim();
            if name.is_empty() {
                return Err(Fault::Refused(format!("has a header whose column {} has no name", field + 1)));
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn fault(&self, row: u64, reason: String) -> RowFault {
        let text = String::from_utf8_lossy(&self.text);
        RowFault { row, reason, text: text.trim_end_matches(['\r', '\n']).trim_start_matches('\u{feff}').to_owned() }
    }
}

struct Decoder {
    records: Records,
    schema: SchemaRef,
    places: Vec<usize>,
    width: usize,
    null: Vec<String>,
    row: u64,
}

impl Decoder {
    async fn next_batch(&mut self) -> Result<Option<RawBatch>, Fault> {
        let mut builders: Vec<StringBuilder> =
            self.places.iter().map(|_| StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 8)).collect();
        let (first, mut numbers, mut faults) = (self.row + 1, Vec::new(), Vec::new());
        let mut read = 0;
        while read < BATCH_ROWS && self.records.next().await? {
            read += 1;
            self.row += 1;
            match self.fault() {
                Some(reason) => {
                    if faults.is_empty() {
                        numbers.extend(first..self.row);
                    }
                    faults.push(self.records.fault(self.row, reason));
                }
                None => {
                    self.append(&mut builders);
                    if !faults.is_empty() {
                        numbers.push(self.row);
                    }
                }
            }
        }
        if read == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let rows = read - faults.len();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Fault::Refused(format!("cannot be held in memory: {error}")))?;
        let rows = if faults.is_empty() { RowNumbers::From(first) } else { RowNumbers::Listed(numbers.into()) };
        Ok(Some(RawBatch { batch, rows, faults }))
    }

    /// What is wrong with the record just read, if anything.
    fn fault(&self) -> Option<String> {
        let records = &self.records;
        if records.fields != self.width {
            let quotes = records.text.iter().filter(|byte| **byte == b'"').count();
            let open = if quotes % 2 == 1 { "; a quote in it is never closed" } else { "" };
            let s = if records.fields == 1 { "" } else { "s" };
            return Some(format!(
                "line {} has {} field{s} and the header {}{open}",
                records.line, records.fields, self.width
            ));
        }
        for place in &self.places {
            if let Err(error) = std::str::from_utf8(records.bytes(*place)) {
                let at = std::str::from_utf8(&records.text).err().map_or(error.valid_up_to(), |e| e.valid_up_to());
                return Some(format!("line {}, byte {}: not UTF-8", records.line, at + 1));
            }
        }
        None
    }

    fn append(&self, builders: &mut [StringBuilder]) {
        for (builder, place) in builders.iter_mut().zip(&self.places) {
            match std::str::from_utf8(self.records.bytes(*place)) {
                Ok(text) if !text.is_empty() && !self.null.iter().any(|null| null == text) => {
                    builder.append_value(text)
                }
                _ => builder.append_null(),
            }
        }
    }
}
