//! No online store: for work that reads and writes tables only, beside a server that holds the store.

use super::{OnlineChange, OnlineStore, TailRow};
use crate::error::{Error, Result};

/// Holds nothing and takes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoStore;

impl OnlineStore for NoStore {
    fn write(&self, _space: &str, _changes: Vec<OnlineChange>, _note: Option<(&str, &[u8])>) -> Result<()> {
        refused()
    }

    fn tail(&self, _space: &str, _entity: &[u8]) -> Result<Vec<TailRow>> {
        refused()
    }

    fn scan(&self, _space: &str, _visit: &mut dyn FnMut(&[u8], TailRow) -> Result<()>) -> Result<()> {
        refused()
    }

    fn clear(&self, _space: &str) -> Result<()> {
        refused()
    }

    fn note(&self, _name: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn forget(&self, _name: &str) -> Result<()> {
        refused()
    }

    fn persist(&self) -> Result<()> {
        refused()
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::Offline)
}
