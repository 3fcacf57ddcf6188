//! What the catalog keeps: typed documents, each with the version that compare-and-set relies on.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// The most records that one page holds; [`Catalog::all`](crate::Catalog::all) reads page by page.
pub const MAX_PAGE: usize = 10_000;

/// A type whose values the catalog keeps, as JSON.
///
/// Fields may be added with `#[serde(default)]`; a field that is renamed or removed makes old records unreadable.
pub trait Document: Serialize + DeserializeOwned + Send + Sync {
    /// The kind of document, in lower case: `model_version`. Part of the key.
    const KIND: &'static str;

    /// The id, unique within the kind.
    fn id(&self) -> String;

    /// The id of what this belongs to, for listing: a version's model.
    fn parent(&self) -> Option<String> {
        None
    }
}

/// A document as it stands in the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<D> {
    /// The sequence number of the audit entry of the change that wrote it last. Grows with each write, and is never
    /// used again, also after the document was deleted and made anew.
    pub version: i64,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The document.
    pub document: D,
}

impl<D> Stored<D> {
    /// The condition that nobody has changed the document since it was read.
    #[must_use]
    pub const fn unchanged(&self) -> Expect {
        Expect::Version(self.version)
    }
}

/// The condition under which a document may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever stands there.
    Any,
    /// No document of that id.
    Absent,
    /// The version that was read.
    Version(i64),
}

impl Expect {
    pub(crate) fn holds(self, found: Option<i64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
        }
    }
}

/// How far a reader that keeps a copy of a kind of documents has come; see
/// [`Catalog::changed_since`](crate::Catalog::changed_since).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The version of the last document it was given.
    pub version: i64,
    /// Its id: one change may write several documents under one version.
    pub id: String,
}

/// Which documents of a kind to list, and in which order. The default is all, by id, up to [`MAX_PAGE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those of this parent.
    pub parent: Option<String>,
    /// Only those whose id starts like this.
    pub prefix: Option<String>,
    /// Newest first by creation, instead of by id.
    pub newest_first: bool,
    /// At most so many; never more than [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// Start after the document of this id: the last one of the page before.
    pub after: Option<String>,
}

impl ListQuery {
    /// All documents of a parent.
    #[must_use]
    pub fn of(parent: impl Into<String>) -> Self {
        Self { parent: Some(parent.into()), ..Self::default() }
    }

    /// The newest first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Ids that start with a prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The page after the document of this id.
    #[must_use]
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.after = Some(id.into());
        self
    }

    pub(crate) fn page(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).min(MAX_PAGE)
    }
}
