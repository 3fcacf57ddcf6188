//! Roles, and who holds them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mainspring_catalog::Principal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a principal is trusted with. Each role holds all that the ones before it hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks for predictions.
    Caller,
    /// Sees everything but personal data and the audit log.
    Viewer,
    /// Ingests, trains, promotes, runs.
    Editor,
    /// Applies projects, makes keys, reads the audit log.
    Admin,
    /// May do everything.
    Owner,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 5] = [Self::Caller, Self::Viewer, Self::Editor, Self::Admin, Self::Owner];

    /// The role as one lower-case word, as policies call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role just below.
    pub(super) const fn below(self) -> Option<Self> {
        match self {
            Self::Caller => None,
            Self::Viewer => Some(Self::Caller),
            Self::Editor => Some(Self::Viewer),
            Self::Admin => Some(Self::Editor),
            Self::Owner => Some(Self::Admin),
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| format!("`{text}` is no role; there are caller, viewer, editor, admin and owner"))
    }
}

/// Who holds which roles, shared: [`Identity`](crate::Identity) writes it, every [`Authorizer`](crate::Authorizer)
/// reads it. The local owner is always in it.
#[derive(Debug, Clone)]
pub struct Roles {
    members: Arc<ArcSwap<Members>>,
}

#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Grows with each assignment, so that decisions made before it are known to be old.
    pub(crate) generation: u64,
    pub(crate) by_principal: HashMap<Principal, Vec<Role>>,
}

impl Default for Roles {
    fn default() -> Self {
        let roles = Self { members: Arc::default() };
        roles.assign([]);
        roles
    }
}

impl Roles {
    /// Says anew who holds which roles.
    pub fn assign(&self, members: impl IntoIterator<Item = (Principal, Vec<Role>)>) {
        let mut by_principal: HashMap<_, _> = members.into_iter().collect();
        by_principal.insert(Principal::local_owner(), vec![Role::Owner]);
        self.members.rcu(|before| Members { generation: before.generation + 1, by_principal: by_principal.clone() });
    }

    /// The roles that a principal holds.
    #[must_use]
    pub fn of(&self, principal: &Principal) -> Vec<Role> {
        self.members.load().by_principal.get(principal).cloned().unwrap_or_default()
    }

    /// The number of the last assignment.
    pub(super) fn generation(&self) -> u64 {
        self.members.load().generation
    }

    pub(super) fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }
}
