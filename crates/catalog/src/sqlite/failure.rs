//! What SQLite's error codes mean to the person who meets them.

use std::sync::Arc;

use super::open::BUSY_TIMEOUT;
use crate::Error;

// Primary result codes, the low byte of the extended ones: https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOTADB: i32 = 26;

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Whether a read, write or sync failed at the disk, so that nobody knows what is on it.
pub(super) fn is_disk_failure(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(IOERR)
}

/// Whether another connection holds a lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

/// Words an error of SQLite, met while `doing` something.
pub(super) fn storage(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match primary_code(&error) {
        Some(BUSY | LOCKED) => Error::Busy { doing, waited_seconds: BUSY_TIMEOUT.as_secs() },
        Some(FULL) => Error::DiskFull { doing },
        Some(CORRUPT | NOTADB) => Error::Damaged { doing, reason: error.to_string() },
        _ if matches!(error, sqlx::Error::PoolClosed) => Error::Closed,
        _ => Error::Storage { doing, source: Arc::new(error) },
    }
}
