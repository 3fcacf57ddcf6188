//! What the table holds already, as far as `key` and `unique` need to know it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use crate::keys::{Key, KeyHash, KeySet, Keys};
use crate::plan::Plan;
use crate::{Error, Result};

/// The most values of one kind held in memory while a source is ingested; at 8 to 16 bytes and a hash table's slack, up
/// to 1 GB. Beyond it a `unique` or `references` check is refused, and a `key` replaces rows without asking first.
pub(crate) const VALUES_MAX: usize = 1 << 25;

/// The values of one `unique` rule; in a source with a key, also whose they are, since a row that is replaced may keep
/// its own value, and lets go of it when it gets another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    alone: KeySet,
    /// The row that got each value last.
    owned: HashMap<Key, Key, KeyHash>,
    /// What each row has now.
    held: HashMap<Key, Option<Key>, KeyHash>,
}

impl Taken {
    /// Whether the value belongs to another row than the one with this key: to one of these, or to one of the table that
    /// none of these has replaced.
    pub fn by_another(&self, table: &Self, value: Key, row: Option<Key>) -> bool {
        let Some(row) = row else { return self.alone.contains(value) || table.alone.contains(value) };
        match self.owner(value) {
            Some(owner) => owner != row,
            None => table.owner(value).is_some_and(|owner| owner != row && !self.held.contains_key(&owner)),
        }
    }

    /// The row that has this value now.
    fn owner(&self, value: Key) -> Option<Key> {
        let owner = *self.owned.get(&value)?;
        (self.held.get(&owner) == Some(&Some(value))).then_some(owner)
    }

    /// Makes room for the values of so many rows of a source without a key.
    pub fn reserve(&mut self, like: Key, rows: usize) {
        self.alone.reserve(like, rows);
    }

    /// Takes the values of a batch in a source without a key; gives the rows whose value was taken, here or in the table.
    pub fn take_new(&mut self, values: &Keys, table: &Self) -> Vec<usize> {
        self.alone.insert_new(values, &table.alone)
    }

    /// Gives a row its value, which may be none.
    pub fn take(&mut self, value: Option<Key>, row: Option<Key>) {
        match (value, row) {
            (value, Some(row)) => {
                self.owned.extend(value.map(|value| (value, row)));
                self.held.insert(row, value);
            }
            (Some(value), None) => {
                self.alone.insert(value);
            }
            (None, None) => {}
        }
    }

    fn len(&self) -> usize {
        self.alone.len() + self.owned.len()
    }

    fn absorb(&mut self, other: Self) {
        self.alone.absorb(other.alone);
        self.owned.extend(other.owned);
        self.held.extend(other.held);
    }
}

/// The keys that some columns of a table make; `None` when there are too many to hold.
pub(crate) async fn keys_of_table(source: &str, table: DataFrame, columns: &[String]) -> Result<Option<KeySet>> {
    let compute = |error: datafusion::common::DataFusionError| Error::Compute {
        name: source.to_owned(),
        reason: error.strip_backtrace(),
    };
    let columns: Vec<_> = columns.iter().map(datafusion::prelude::ident).collect();
    let mut rows = table.select(columns).map_err(compute)?.execute_stream().await.map_err(compute)?;
    let mut known = KeySet::default();
    while let Some(batch) = rows.next().await {
        let keys = Keys::of(batch.map_err(compute)?.columns());
        known.insert_new(&keys, &KeySet::default());
        if known.len() > VALUES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(known))
}

/// Keys and unique values of rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// `None` when there are too many to know.
    pub keys: Option<KeySet>,
    /// By `unique` rule.
    pub taken: Vec<Taken>,
}

impl Known {
    pub fn nothing(plan: &Plan) -> Self {
        Self { keys: Some(KeySet::default()), taken: vec![Taken::default(); plan.unique.len()] }
    }

    /// Whether a source needs to know at all.
    pub fn is_needed(plan: &Plan) -> bool {
        !plan.key.is_empty() || !plan.unique.is_empty()
    }

    /// Reads the key and unique columns of a table.
    pub async fn of_table(plan: &Plan, table: DataFrame) -> Result<Self> {
        let compute = |error: datafusion::common::DataFusionError| Error::Compute {
            name: plan.source.name.clone(),
            reason: error.strip_backtrace(),
        };
        let mut places = plan.key.clone();
        places.extend(plan.unique.iter().flat_map(|(_, columns)| columns));
        places.sort_unstable();
        places.dedup();
        let names: Vec<_> = places.iter().filter_map(|place| plan.schema.fields().get(*place)).collect();
        let columns = names.iter().map(|field| datafusion::prelude::ident(field.name())).collect::<Vec<_>>();
        let mut known = Self::nothing(plan);
        let mut rows = table.select(columns).map_err(compute)?.execute_stream().await.map_err(compute)?;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(compute)?;
            known.take_batch(plan, &batch, &places)?;
        }
        Ok(known)
    }

    fn take_batch(&mut self, plan: &Plan, batch: &RecordBatch, places: &[usize]) -> Result<()> {
        let keys_of = |columns: &[usize]| -> Keys {
            let columns = columns.iter().filter_map(|place| batch.columns().get(places.binary_search(place).ok()?));
            Keys::of(&columns.map(Arc::clone).collect::<Vec<ArrayRef>>())
        };
        let key = (!plan.key.is_empty()).then(|| keys_of(&plan.key));
        for (taken, (rule, columns)) in self.taken.iter_mut().zip(&plan.unique) {
            let values = keys_of(columns);
            match &key {
                None => {
                    taken.take_new(&values, &Taken::default());
                }
                Some(keys) => {
                    for row in 0..values.len() {
                        taken.take(values.get(row), keys.get(row));
                    }
                }
            }
            if taken.len() > VALUES_MAX {
                let name = plan.rules.get(*rule).map_or("", |rule| &rule.name);
                return Err(Error::TooManyValues {
                    what: format!("check `{name}` of source `{}`", plan.source.name),
                    limit: VALUES_MAX,
                    mend: "declare the columns as the source's `key` instead".into(),
                });
            }
        }
        if let (Some(known), Some(key)) = (&mut self.keys, &key) {
            known.insert_new(key, &KeySet::default());
            if known.len() > VALUES_MAX {
                self.keys = None;
            }
        }
        Ok(())
    }

    /// Whether it is more than is held in memory.
    pub fn is_too_much(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.len() > VALUES_MAX)
            || self.taken.iter().any(|taken| taken.len() > VALUES_MAX)
    }

    /// Takes in what a file has brought.
    pub fn absorb(&mut self, file: Self) {
        for (ours, theirs) in self.taken.iter_mut().zip(file.taken) {
            ours.absorb(theirs);
        }
        match (&mut self.keys, file.keys) {
            (Some(ours), Some(theirs)) => ours.absorb(theirs),
            (ours, _) => *ours = None,
        }
    }
}
