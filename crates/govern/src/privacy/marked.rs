//! What is known of one table.

use std::collections::BTreeSet;

/// The columns of a table that may tell of persons. Names count in any case of letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// Those that are marked, in lower case.
    names: BTreeSet<String>,
    /// The only columns that can be free of a mark, in lower case, where those are known: any other was left behind by
    /// an earlier declaration, which may have marked it.
    known: Option<BTreeSet<String>>,
}

impl Marked {
    /// These columns and no others, in lower case.
    #[must_use]
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), known: None }
    }

    /// All columns: nothing that is applied says which.
    pub(super) fn undeclared() -> Self {
        Self { names: BTreeSet::new(), known: Some(BTreeSet::new()) }
    }

    /// The same, and every column but those that are `known`.
    pub(super) fn with_all_but(self, known: BTreeSet<String>) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Whether a column may tell of persons.
    #[must_use]
    pub fn covers(&self, column: &str) -> bool {
        let column = column.to_lowercase();
        self.names.contains(&column) || self.known.as_ref().is_some_and(|known| !known.contains(&column))
    }

    /// Whether no declaration that is applied names the table, so that every column may.
    #[must_use]
    pub fn is_undeclared(&self) -> bool {
        self.known.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Whether no column of the declaration may.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.is_undeclared()
    }
}
