//! Alerts: a broken bound that somebody should know of, from when it is first seen until it holds again.

mod files;
mod machine;
mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use serde::{Deserialize, Serialize};

pub use machine::{Event, Subject, transition};
pub(crate) use store::AlertBook;

use crate::{Bound, Rule};

/// What alerts about a source have before its name, where others have a monitor; no monitor's name has a colon.
const SOURCE_PREFIX: &str = "source:";

/// A broken bound. There is at most one that is not resolved for each monitor, rule and column, and for each source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alert {
    /// Its identifier; later ones sort after earlier ones.
    pub id: String,
    /// The monitor; `source:` and a name for an alert about the files of a source.
    pub monitor: String,
    /// What is broken.
    pub rule: Rule,
    /// The column, for rules about columns.
    pub column: Option<String>,
    /// The model version that the worst value is about.
    pub model_version: u64,
    /// Where it stands.
    pub state: AlertState,
    /// The start of the first window that broke the bound.
    pub first_window: Timestamp,
    /// The start of the last window that broke it.
    pub last_window: Timestamp,
    /// The value there.
    pub value: f64,
    /// The bound.
    pub bound: Bound,
    /// What was found, where figures alone do not tell it: which file was refused, and why.
    pub detail: Option<String>,
    /// How many windows broke it.
    pub count: u64,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was last seen broken.
    pub last_seen: Timestamp,
    /// Who has seen it, and when.
    pub acknowledged: Option<Signature>,
    /// Who resolved it, and when. By Mainspring itself when a later window was fine.
    pub resolved: Option<Signature>,
}

impl Document for Alert {
    const KIND: &'static str = "alert";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.monitor.clone())
    }
}

impl Alert {
    /// The alert in a sentence.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.detail, &self.column) {
            (Some(detail), _) => detail.clone(),
            (None, Some(column)) => {
                format!("{} of {column} is {:.4}, allowed is {}", self.rule, self.value, self.bound)
            }
            (None, None) => format!("{} is {:.4}, allowed is {}", self.rule, self.value, self.bound),
        }
    }

    /// The source whose files it is about, if it is about a source.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.monitor.strip_prefix(SOURCE_PREFIX)
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Signature {
    /// Who.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has said that they know.
    Open,
    /// Somebody knows; it still holds.
    Acknowledged,
    /// A later window was fine, or a person said that it is over.
    Resolved,
}

impl AlertState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// What a monitor remembers of what it has judged, so that old windows judged again raise nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JudgedSubjects {
    /// The monitor.
    pub monitor: String,
    /// By subject, see [`Judgement::subject`](crate::Judgement::subject).
    pub subjects: BTreeMap<String, JudgedSubject>,
}

/// What is remembered of a rule and column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JudgedSubject {
    /// The start of the latest window judged.
    pub through: Timestamp,
    /// The latest alert about it.
    pub alert: Option<String>,
}

impl Document for JudgedSubjects {
    const KIND: &'static str = "judged_subjects";

    fn id(&self) -> String {
        self.monitor.clone()
    }
}
