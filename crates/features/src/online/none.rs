//! No online store: for work that reads and writes tables only, beside a server that holds the store.

use std::sync::Arc;

use super::{OnlineChange, OnlineStore, TailRow};
use crate::error::{Error, Result};
use crate::push::Turns;

/// Holds nothing and takes nothing.
#[derive(Default)]
pub(crate) struct NoStore {
    turns: Arc<Turns>,
}

impl OnlineStore for NoStore {
    fn write_all(&self, _writes: Vec<(&str, Vec<OnlineChange>)>, _notes: &[(&str, &[u8])]) -> Result<()> {
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

    fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    fn persist(&self) -> Result<()> {
        refused()
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::Offline)
}
