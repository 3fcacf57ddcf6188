//! What something is done to.

/// Kinds of resources and what policies call them.
const TYPES: [(&str, &str); 14] = [
    ("project", "Project"),
    ("source", "Source"),
    ("table", "Table"),
    ("view", "View"),
    ("experiment", "Experiment"),
    ("run", "Run"),
    ("model", "Model"),
    ("endpoint", "Endpoint"),
    ("monitor", "Monitor"),
    ("alert", "Alert"),
    ("workflow", "Workflow"),
    ("audit", "Audit"),
    ("key", "Key"),
    ("webhook", "Webhook"),
];

/// What something is done to. Shown as `model:arrival_delay`, as in the audit log and in lineage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The kind in lower case: `model`.
    pub kind: String,
    /// The name: `arrival_delay`.
    pub name: String,
}

impl Resource {
    /// The resource of a kind and name.
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }

    /// What policies call the kind.
    pub(super) fn type_name(&self) -> Option<&'static str> {
        TYPES.iter().find(|(kind, _)| *kind == self.kind).map(|(_, name)| *name)
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}
