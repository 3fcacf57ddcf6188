//! What can be told.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ModelVersion, RegisteredModel};

/// A kind of event, by MLflow's names for thing and action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A model was made.
    RegisteredModelCreated,
    /// A version was registered.
    ModelVersionCreated,
    /// A label of a version was set.
    ModelVersionTagSet,
    /// A label of a version was taken away.
    ModelVersionTagDeleted,
    /// An alias names another version.
    ModelVersionAliasCreated,
    /// An alias was taken away.
    ModelVersionAliasDeleted,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RegisteredModelCreated,
        Self::ModelVersionCreated,
        Self::ModelVersionTagSet,
        Self::ModelVersionTagDeleted,
        Self::ModelVersionAliasCreated,
        Self::ModelVersionAliasDeleted,
    ];

    /// The thing, as `model_version`.
    #[must_use]
    pub const fn entity(self) -> &'static str {
        match self {
            Self::RegisteredModelCreated => "registered_model",
            Self::ModelVersionCreated => "model_version",
            Self::ModelVersionTagSet | Self::ModelVersionTagDeleted => "model_version_tag",
            Self::ModelVersionAliasCreated | Self::ModelVersionAliasDeleted => "model_version_alias",
        }
    }

    /// What happened to it, as `created`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::RegisteredModelCreated | Self::ModelVersionCreated | Self::ModelVersionAliasCreated => "created",
            Self::ModelVersionTagSet => "set",
            Self::ModelVersionTagDeleted | Self::ModelVersionAliasDeleted => "deleted",
        }
    }

    /// The kind of that thing and action, in whatever case.
    #[must_use]
    pub fn named(entity: &str, action: &str) -> Option<Self> {
        let is = |kind: &Self| kind.entity().eq_ignore_ascii_case(entity) && kind.action().eq_ignore_ascii_case(action);
        Self::ALL.into_iter().find(is)
    }

    /// An event of the kind that did not happen, to try a webhook with.
    #[must_use]
    pub fn example(self) -> WebhookEvent {
        let data = match self {
            Self::RegisteredModelCreated => {
                json!({ "name": "example_model", "tags": { "example_key": "example_value" }, "description": "An example" })
            }
            Self::ModelVersionCreated => json!({
                "name": "example_model", "version": "1", "source": "models:/m-0", "run_id": null,
                "tags": { "example_key": "example_value" }, "description": "An example",
            }),
            Self::ModelVersionTagSet => {
                json!({ "name": "example_model", "version": "1", "key": "example_key", "value": "example_value" })
            }
            Self::ModelVersionTagDeleted => json!({ "name": "example_model", "version": "1", "key": "example_key" }),
            Self::ModelVersionAliasCreated => {
                json!({ "name": "example_model", "alias": "example_alias", "version": "1" })
            }
            Self::ModelVersionAliasDeleted => json!({ "name": "example_model", "alias": "example_alias" }),
        };
        WebhookEvent { kind: self, data }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity(), self.action())
    }
}

/// Something that happened, as receivers are told.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookEvent {
    /// What kind of thing.
    pub kind: EventKind,
    /// What is said of it.
    pub data: Value,
}

impl WebhookEvent {
    pub(crate) fn model_created(model: &RegisteredModel) -> Self {
        let data = json!({ "name": model.name, "tags": model.tags, "description": or_null(&model.description) });
        Self { kind: EventKind::RegisteredModelCreated, data }
    }

    pub(crate) fn version_created(version: &ModelVersion) -> Self {
        let data = json!({
            "name": version.model,
            "version": version.version.to_string(),
            "source": version.source(),
            "run_id": version.run,
            "tags": version.tags,
            "description": or_null(&version.description),
        });
        Self { kind: EventKind::ModelVersionCreated, data }
    }

    pub(crate) fn tag_changed(model: &str, version: u64, key: &str, value: Option<&str>) -> Self {
        let version = version.to_string();
        match value {
            Some(value) => Self {
                kind: EventKind::ModelVersionTagSet,
                data: json!({ "name": model, "version": version, "key": key, "value": value }),
            },
            None => Self {
                kind: EventKind::ModelVersionTagDeleted,
                data: json!({ "name": model, "version": version, "key": key }),
            },
        }
    }

    pub(crate) fn alias_moved(model: &str, alias: &str, to: Option<u64>) -> Self {
        match to {
            Some(version) => Self {
                kind: EventKind::ModelVersionAliasCreated,
                data: json!({ "name": model, "alias": alias, "version": version.to_string() }),
            },
            None => Self { kind: EventKind::ModelVersionAliasDeleted, data: json!({ "name": model, "alias": alias }) },
        }
    }

    /// The body that is sent.
    pub(crate) fn body(&self, at: jiff::Timestamp) -> String {
        let (entity, action) = (self.kind.entity(), self.kind.action());
        json!({ "entity": entity, "action": action, "timestamp": at.to_string(), "data": self.data }).to_string()
    }
}

fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
