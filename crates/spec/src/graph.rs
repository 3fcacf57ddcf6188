//! Objects by kind and name, and the graph of which needs which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Project, Rule};
use crate::sql;

/// The kinds of object a folder declares, in the order in which data flows through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// `mainspring.yaml`.
    Project,
    /// See [`crate::Source`].
    Source,
    /// See [`crate::Entity`].
    Entity,
    /// See [`crate::FeatureView`].
    FeatureView,
    /// See [`crate::FeatureService`].
    FeatureService,
    /// See [`crate::Model`].
    Model,
    /// See [`crate::Endpoint`].
    Endpoint,
    /// See [`crate::Monitor`].
    Monitor,
    /// See [`crate::Workflow`].
    Workflow,
    /// A Cedar policy file.
    Policy,
}

impl ObjectKind {
    /// All kinds, in order.
    pub const ALL: [Self; 10] = [
        Self::Project,
        Self::Source,
        Self::Entity,
        Self::FeatureView,
        Self::FeatureService,
        Self::Model,
        Self::Endpoint,
        Self::Monitor,
        Self::Workflow,
        Self::Policy,
    ];

    /// The kind as it stands in YAML and in names such as `feature_view:weather`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Source => "source",
            Self::Entity => "entity",
            Self::FeatureView => "feature_view",
            Self::FeatureService => "feature_service",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Monitor => "monitor",
            Self::Workflow => "workflow",
            Self::Policy => "policy",
        }
    }

    /// The kind in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::FeatureView => "feature view",
            Self::FeatureService => "feature service",
            other => other.as_str(),
        }
    }

    /// The kind in a sentence, with its article.
    #[must_use]
    pub fn one(self) -> String {
        let article = if matches!(self, Self::Entity | Self::Endpoint) { "an" } else { "a" };
        format!("{article} {}", self.words())
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object of a project by kind and name; written `model:arrival_delay`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// The object of a kind and a name.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.kind, self.name))
    }
}

impl std::str::FromStr for ObjectRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').ok_or_else(|| format!("`{text}` is not of the form kind:name"))?;
        let kind = ObjectKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(|| {
            format!("`{kind}` is not a kind of object; write for example `model:{name}` or `source:{name}`")
        })?;
        Ok(Self::new(kind, name))
    }
}

/// An object and what it directly needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The object.
    pub object: ObjectRef,
    /// What must be there, and up to date, before it.
    pub needs: Vec<ObjectRef>,
}

impl Project {
    /// Every source, feature view, model, endpoint and monitor with what it directly needs, so ordered that nothing
    /// stands before what it needs; within that, by kind and name. The order is the same for the same project.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Dependency> {
        let mut waiting: BTreeMap<ObjectRef, BTreeSet<ObjectRef>> = self.needs();
        let mut ordered = Vec::with_capacity(waiting.len());
        let mut placed: BTreeSet<ObjectRef> = BTreeSet::new();
        while !waiting.is_empty() {
            let ready =
                waiting.iter().find(|(_, needs)| needs.iter().all(|n| placed.contains(n))).map(|(o, _)| o.clone());
            // A loaded project has no cycle. One read back from elsewhere may: then the order is by name.
            let Some(object) = ready.or_else(|| waiting.keys().next().cloned()) else { break };
            let needs = waiting.remove(&object).unwrap_or_default();
            placed.insert(object.clone());
            ordered.push(Dependency { object, needs: needs.into_iter().collect() });
        }
        ordered
    }

    /// Direct needs of each object, only those that exist.
    fn needs(&self) -> BTreeMap<ObjectRef, BTreeSet<ObjectRef>> {
        let mut all: BTreeMap<ObjectRef, BTreeSet<ObjectRef>> = BTreeMap::new();
        for (name, source) in &self.sources {
            let referenced = source.checks.iter().filter_map(|check| match check.rule() {
                Some(Rule::References(rule)) if rule.source != *name => self.table_ref(&rule.source),
                _ => None,
            });
            all.insert(ObjectRef::new(ObjectKind::Source, name), referenced.collect());
        }
        for (name, view) in &self.feature_views {
            let mut needs = BTreeSet::new();
            if let Some(query) = &view.sql {
                needs.extend(sql::table_names(query).iter().flatten().filter_map(|table| self.table_ref(table)));
            }
            needs.extend(view.from.iter().filter_map(|table| self.table_ref(table)));
            needs.extend(view.uses.iter().filter_map(|feature| {
                let (view, _) = self.find_feature(feature).ok()?;
                Some(ObjectRef::new(ObjectKind::FeatureView, view))
            }));
            needs.remove(&ObjectRef::new(ObjectKind::FeatureView, name));
            all.insert(ObjectRef::new(ObjectKind::FeatureView, name), needs);
        }
        for (name, model) in &self.models {
            let mut needs: BTreeSet<ObjectRef> = self.table_ref(&model.observations.from).into_iter().collect();
            if let Ok(resolved) = self.resolve_model(name) {
                needs.extend(resolved.views().into_iter().map(|view| ObjectRef::new(ObjectKind::FeatureView, view)));
            }
            all.insert(ObjectRef::new(ObjectKind::Model, name), needs);
        }
        for (name, endpoint) in &self.endpoints {
            let model = ObjectRef::new(ObjectKind::Model, &endpoint.model);
            all.insert(ObjectRef::new(ObjectKind::Endpoint, name), BTreeSet::from([model]));
        }
        for (name, monitor) in &self.monitors {
            let endpoint = ObjectRef::new(ObjectKind::Endpoint, &monitor.endpoint);
            all.insert(ObjectRef::new(ObjectKind::Monitor, name), BTreeSet::from([endpoint]));
        }
        let known: BTreeSet<ObjectRef> = all.keys().cloned().collect();
        for needs in all.values_mut() {
            needs.retain(|need| known.contains(need));
        }
        all
    }

    /// The source or feature view behind a table's name.
    pub(crate) fn table_ref(&self, table: &str) -> Option<ObjectRef> {
        if self.sources.contains_key(table) {
            Some(ObjectRef::new(ObjectKind::Source, table))
        } else if self.feature_views.contains_key(table) {
            Some(ObjectRef::new(ObjectKind::FeatureView, table))
        } else {
            None
        }
    }

    /// What directly or indirectly is made from an object, in the order of [`Project::dependencies`]. A source that only
    /// refers to another in a check is not made from it.
    #[must_use]
    pub fn consumers(&self, object: &ObjectRef) -> Vec<ObjectRef> {
        let mut touched = BTreeSet::from([object.clone()]);
        let mut consumers = Vec::new();
        for dependency in self.dependencies() {
            let made_from = |need: &ObjectRef| dependency.object.kind != ObjectKind::Source && touched.contains(need);
            let uses = dependency.needs.iter().any(made_from) || self.describes(&dependency, object);
            if dependency.object != *object && uses {
                touched.insert(dependency.object.clone());
                consumers.push(dependency.object);
            }
        }
        consumers
    }

    /// Whether a dependency is a view of the entity asked for; entities are not steps of the graph.
    fn describes(&self, dependency: &Dependency, entity: &ObjectRef) -> bool {
        entity.kind == ObjectKind::Entity
            && dependency.object.kind == ObjectKind::FeatureView
            && self
                .feature_views
                .get(&dependency.object.name)
                .is_some_and(|view| view.entity.as_deref() == Some(entity.name.as_str()))
    }

    /// The objects that a target of a workflow or of `run` names: `model:x` is that model; a bare `x` is the source,
    /// view, model, endpoint and monitor of that name, as many as there are; empty when there is none.
    #[must_use]
    pub fn resolve_target(&self, target: &str) -> Vec<ObjectRef> {
        let exact: Option<ObjectRef> = target.parse().ok();
        let mut found: Vec<ObjectRef> = self
            .needs()
            .into_keys()
            .filter(|object| match &exact {
                Some(exact) => object == exact,
                None => object.name == target,
            })
            .collect();
        found.sort();
        found
    }

    /// The targets with everything they need, in the order of [`Project::dependencies`].
    #[must_use]
    pub fn closure(&self, targets: &[ObjectRef]) -> Vec<Dependency> {
        let all = self.dependencies();
        let mut wanted: BTreeSet<ObjectRef> = targets.iter().cloned().collect();
        for dependency in all.iter().rev() {
            if wanted.contains(&dependency.object) {
                wanted.extend(dependency.needs.iter().cloned());
            }
        }
        all.into_iter().filter(|dependency| wanted.contains(&dependency.object)).collect()
    }
}
