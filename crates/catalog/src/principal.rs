//! Who does something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a [`Principal`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// Another program, which comes with a key.
    Service,
    /// A part of Mainspring that acts by itself, such as a schedule.
    System,
}

impl PrincipalKind {
    /// The kind as one lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::System => "system",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Service, Self::System].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who does something. Shown as `user:local`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Principal {
    /// Person, service or Mainspring itself.
    pub kind: PrincipalKind,
    /// The name, unique within the kind.
    pub name: String,
}

impl Principal {
    /// The person at the machine: whoever comes over loopback without credentials.
    #[must_use]
    pub fn local_owner() -> Self {
        Self::user("local")
    }

    /// A person.
    #[must_use]
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: PrincipalKind::User, name: name.into() }
    }

    /// Another program.
    #[must_use]
    pub fn service(name: impl Into<String>) -> Self {
        Self { kind: PrincipalKind::Service, name: name.into() }
    }

    /// A part of Mainspring, named for what it is: `flow`, `watch`.
    #[must_use]
    pub fn system(part: impl Into<String>) -> Self {
        Self { kind: PrincipalKind::System, name: part.into() }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}
