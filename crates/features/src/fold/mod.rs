//! The fold: what a view's features are, at a moment, given the rows of one entity.
//!
//! Pure functions over a [`Tail`], used offline while two sorted streams are merged and online over what the store
//! keeps. Both add the same numbers in the same order, so the results agree to the last bit.

mod latest;
mod tail;
mod window;

pub use latest::LatestFold;
pub(crate) use latest::{fresh, latest};
pub use tail::Tail;
pub use window::{WindowFold, aggregate_type};

use crate::value::Value;

/// A view's fold.
#[derive(Debug, Clone, PartialEq)]
pub enum Fold {
    /// The latest row.
    Latest(LatestFold),
    /// Aggregates over windows.
    Windows(WindowFold),
}

impl Fold {
    /// Computes the features at a moment and appends them to `out`, in the view's order. Tells whether there was any row.
    pub fn at(&self, tail: &Tail, at: i64, out: &mut Vec<Value>) -> bool {
        match self {
            Self::Latest(fold) => fold.at(tail, at, out),
            Self::Windows(fold) => fold.at(tail, at, out),
        }
    }

    /// The features when nothing at all is known of the entity, as when its key is null.
    pub fn unknown(&self, out: &mut Vec<Value>) {
        match self {
            Self::Latest(fold) => out.extend(fold.columns.iter().map(|_| Value::Null)),
            Self::Windows(fold) => out.extend((0..fold.outputs()).map(|_| Value::Null)),
        }
    }

    /// How far back of the moment asked for rows may count, in microseconds. `None`: for ever.
    #[must_use]
    pub fn reach(&self) -> Option<i64> {
        match self {
            Self::Latest(fold) => fold.ttl,
            Self::Windows(fold) => Some(fold.longest()),
        }
    }

    /// The payload columns that are read, ascending.
    #[must_use]
    pub fn columns(&self) -> std::collections::BTreeSet<usize> {
        match self {
            Self::Latest(fold) => fold.columns.iter().copied().collect(),
            Self::Windows(fold) => fold.columns().collect(),
        }
    }

    /// The same fold over these payload columns only.
    #[must_use]
    pub fn narrowed(&self, kept: &[usize]) -> Self {
        let place = |column: usize| kept.iter().position(|&known| known == column).unwrap_or(usize::MAX);
        match self {
            Self::Latest(fold) => {
                let columns = fold.columns.iter().map(|&column| place(column)).collect();
                Self::Latest(LatestFold { columns, ttl: fold.ttl })
            }
            Self::Windows(fold) => Self::Windows(fold.moved(place)),
        }
    }

    /// The same fold for observations without a moment, to which no row is too old.
    #[must_use]
    pub fn ageless(self) -> Self {
        match self {
            Self::Latest(fold) => Self::Latest(LatestFold { ttl: None, ..fold }),
            windows @ Self::Windows(_) => windows,
        }
    }
}
