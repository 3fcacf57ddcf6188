//! A plan: changes, each with its class and its reasons.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::ObjectRef;

/// What applying a folder would change, in the order of kinds and names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The changes, one an object.
    pub changes: Vec<Change>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The gravest class of all changes.
    #[must_use]
    pub fn class(&self) -> Option<ChangeClass> {
        self.changes.iter().map(|change| change.class).max()
    }

    /// How many changes there are of a class.
    #[must_use]
    pub fn count(&self, class: ChangeClass) -> usize {
        self.changes.iter().filter(|change| change.class == class).count()
    }
}

/// The change of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The object.
    pub object: ObjectRef,
    /// What happens to it.
    pub action: Action,
    /// The gravest class of its details.
    pub class: ChangeClass,
    /// What changes about it, and why that matters.
    pub details: Vec<Detail>,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Create,
    /// It is declared otherwise than before.
    Update,
    /// It is no longer declared.
    Delete,
}

/// How grave a change is, from the mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// Nothing is computed or removed.
    MetadataOnly,
    /// Something new; what is there stays as it is.
    Additive,
    /// Something must be computed anew.
    Recompute,
    /// Somebody who relies on it must change too.
    Breaking,
    /// Something is lost; applying it asks first.
    Destructive,
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MetadataOnly => "metadata only",
            Self::Additive => "additive",
            Self::Recompute => "recompute",
            Self::Breaking => "breaking",
            Self::Destructive => "destructive",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// One thing that changes about an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The key, with points between its parts; elements of lists by their names: `columns.temp.type`. Empty when the
    /// whole object comes or goes.
    pub path: String,
    /// How grave it is.
    pub class: ChangeClass,
    /// What it means, in a sentence.
    pub reason: String,
    /// The value before; null when there was none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// The value after; null when there is none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
    /// Who is touched by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<ObjectRef>,
}

impl Detail {
    pub(super) fn new(path: impl Into<String>, class: ChangeClass, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            class,
            reason: reason.into(),
            before: Value::Null,
            after: Value::Null,
            consumers: vec![],
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to do\n");
        }
        for change in &self.changes {
            writeln!(f, "{:<6} {:<36} {}", change.action, change.object, change.class)?;
            for detail in &change.details {
                writeln!(f, "         {detail}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        if !self.consumers.is_empty() {
            let names: Vec<String> = self.consumers.iter().map(ToString::to_string).collect();
            write!(f, " ({})", names.join(", "))?;
        }
        Ok(())
    }
}
