//! The bytes of a text file, as a window that moves over it.

use object_store::ObjectStoreExt;

use super::{Fault, FileRef, RECORD_BYTES_MAX};

/// Bytes asked of the storage at once: large enough for an object store's round trip, small beside the memory bound.
const CHUNK_BYTES: u64 = 4 << 20;

/// A window over a file's bytes. What lies in it can be parsed in place; what was consumed makes room for more.
pub(super) struct Window {
    file: FileRef,
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl Window {
    pub(super) fn new(file: &FileRef) -> Self {
        Self { file: file.clone(), offset: 0, buffer: Vec::new(), start: 0 }
    }

    /// The bytes not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.buffer.len());
    }

    /// A part of the `bytes` consumed last, which lie in the window until more is read.
    pub(super) fn consumed(&self, bytes: usize, from: usize, until: usize) -> &[u8] {
        let start = self.start.saturating_sub(bytes);
        self.buffer.get(start + from..start + until).unwrap_or_default()
    }

    /// Whether every byte of the file has been read into the window.
    pub(super) fn at_end(&self) -> bool {
        self.offset >= self.file.size
    }

    /// Reads the next chunk. The bytes not yet consumed stay; a record longer than the bound is refused.
    pub(super) async fn read_more(&mut self) -> Result<(), Fault> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() > RECORD_BYTES_MAX {
            return Err(Fault::Refused(format!(
                "has a record longer than {} MiB; is a quote left open, or is it one line without end?",
                RECORD_BYTES_MAX >> 20
            )));
        }
        let until = (self.offset + CHUNK_BYTES).min(self.file.size);
        let bytes = self.file.store.get_range(&self.file.location, self.offset..until).await?;
        if bytes.len() as u64 != until - self.offset {
            return Err(Fault::Storage("it became shorter while it was read".into()));
        }
        self.buffer.extend_from_slice(&bytes);
        if self.offset == 0 {
            refuse_other_encodings(&self.buffer)?;
        }
        self.offset = until;
        Ok(())
    }
}

fn refuse_other_encodings(head: &[u8]) -> Result<(), Fault> {
    let looks_like = match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text",
        [0x1f, 0x8b, ..] => "compressed with gzip",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive or spreadsheet",
        [b'P', b'A', b'R', b'1', ..] => "a Parquet file",
        _ => return Ok(()),
    };
    Err(Fault::Refused(format!("is {looks_like}, not UTF-8 text; convert it, or write the source's `format`")))
}
