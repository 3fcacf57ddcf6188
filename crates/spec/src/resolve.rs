//! What the names in a project mean: the features of a view, the inputs of a model, the fields of a request.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnostic::{quote, suggest};
use crate::error::{Error, Result};
use crate::model::{DataType, FeatureService, FeatureView, Field, Model, Project, Source, ViewKind};

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRef {
    /// A feature of a view.
    Feature {
        /// The view.
        view: String,
        /// The feature.
        feature: String,
    },
    /// A column of the observations themselves; a request brings it.
    Column {
        /// The column.
        name: String,
        /// Its type.
        data_type: DataType,
    },
}

impl InputRef {
    /// The input's name, unique within a model.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Feature { feature, .. } => feature,
            Self::Column { name, .. } => name,
        }
    }
}

/// A model whose features have been looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedModel {
    /// The declaration.
    pub model: Model,
    /// Its inputs in the order declared; their names are unique.
    pub inputs: Vec<InputRef>,
}

impl ResolvedModel {
    /// The views whose features are inputs, each once, in the order first used.
    #[must_use]
    pub fn views(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let views = self.inputs.iter().filter_map(|input| match input {
            InputRef::Feature { view, .. } => Some(view.as_str()),
            InputRef::Column { .. } => None,
        });
        views.filter(|view| seen.insert(*view)).collect()
    }
}

/// A feature as a service reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFeature {
    /// Its view.
    pub view: String,
    /// Its name.
    pub feature: String,
    /// What the service calls the view.
    pub known_view: String,
    /// Keys of the view's entity that requests call otherwise, with what they call them.
    pub join_key_map: BTreeMap<String, String>,
}

/// Why a name means nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl FeatureView {
    /// Whether its values are kept in the online store: asked for, stored at all, and of something to look them up by. A
    /// SQL view without entity is a plain table for others to read.
    #[must_use]
    pub fn is_served_online(&self) -> bool {
        self.online && self.entity.is_some() && self.kind() != ViewKind::Request
    }

    /// The column in which a windowed view's table keeps an operand: named for the first aggregate of it.
    #[must_use]
    pub fn operand_column(&self, of: &str) -> &str {
        let first = self.aggregates.iter().find(|aggregate| aggregate.of.as_deref() == Some(of));
        first.map_or("", |aggregate| &aggregate.name)
    }

    /// The names of its features: those listed under `features` in a SQL view, one an aggregate and window in a
    /// windowed view, one an expression in a request-time view.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        match self.kind() {
            ViewKind::Sql => self.features.keys().cloned().collect(),
            ViewKind::Windowed => self
                .aggregates
                .iter()
                .flat_map(|aggregate| aggregate.windows.iter().map(|window| aggregate.feature_name(*window)))
                .collect(),
            ViewKind::Request => self.expressions.iter().map(|expression| expression.name.clone()).collect(),
        }
    }
}

impl Project {
    /// The features of a view, in order; empty when there is no such view.
    #[must_use]
    pub fn view_features(&self, view: &str) -> Vec<String> {
        self.feature_views.get(view).map(FeatureView::feature_names).unwrap_or_default()
    }

    /// The columns of a table whose types the folder tells: all of a source's; of a SQL view the entity's keys, the
    /// times and the `columns` it declares. `None` for other names.
    #[must_use]
    pub fn table_columns(&self, table: &str) -> Option<Vec<Field>> {
        if let Some(source) = self.sources.get(table) {
            return Some(source.table_columns());
        }
        let view = self.feature_views.get(table).filter(|view| view.kind() == ViewKind::Sql)?;
        let mut columns = self.entity_keys(view).to_vec();
        let times = [&view.event_time, &view.known_at, &view.written_at];
        let times = times.into_iter().flatten().map(|t| Field { name: t.clone(), data_type: DataType::Timestamp });
        columns.extend(times.chain(view.columns.iter().cloned()));
        let mut seen = BTreeSet::new();
        columns.retain(|column| seen.insert(column.name.clone()));
        Some(columns)
    }

    /// The key columns of a view's entity; none for request-time views.
    #[must_use]
    pub fn entity_keys(&self, view: &FeatureView) -> &[Field] {
        let entity = view.entity.as_ref().and_then(|name| self.entities.get(name));
        entity.map(|entity| entity.keys.as_slice()).unwrap_or_default()
    }

    /// Looks up what a model is given.
    ///
    /// A name in `features` is, in this order: `view.*`, all features of a view; `view.feature`; a column of the
    /// observations; a feature that exactly one view has.
    ///
    /// # Errors
    /// When there is no such model, or one of its features means nothing, several things, or the same name twice.
    pub fn resolve_model(&self, model: &str) -> Result<ResolvedModel> {
        let declared = self.models.get(model).ok_or_else(|| Error::UnknownModel {
            name: model.to_owned(),
            help: suggest(model, self.models.keys().map(String::as_str)).unwrap_or_default(),
        })?;
        let mut inputs: Vec<InputRef> = Vec::new();
        let mut names = BTreeSet::new();
        for item in &declared.features {
            let found = self.resolve_input(declared, item).map_err(|unresolved| Error::Unresolved {
                model: model.to_owned(),
                message: unresolved.message,
                help: unresolved.help.unwrap_or_default(),
            })?;
            for input in found {
                if !names.insert(input.name().to_owned()) {
                    return Err(Error::DuplicateInput { model: model.to_owned(), input: input.name().to_owned() });
                }
                inputs.push(input);
            }
        }
        Ok(ResolvedModel { model: declared.clone(), inputs })
    }

    /// What one item of a model's `features` means.
    pub(crate) fn resolve_input(&self, model: &Model, item: &str) -> std::result::Result<Vec<InputRef>, Unresolved> {
        if let Some(view) = item.strip_suffix(".*") {
            self.find_view(view)?;
            let features = self.view_features(view).into_iter();
            return Ok(features.map(|feature| InputRef::Feature { view: view.to_owned(), feature }).collect());
        }
        let own = self.table_columns(&model.observations.from).unwrap_or_default();
        if let Some(column) = own.iter().find(|column| column.name == item) {
            return Ok(vec![InputRef::Column { name: column.name.clone(), data_type: column.data_type }]);
        }
        match self.find_feature(item) {
            Ok((view, feature)) => Ok(vec![InputRef::Feature { view, feature }]),
            Err(unresolved) if item.contains('.') => Err(unresolved),
            Err(unresolved) => {
                let known = self.feature_views.keys().flat_map(|view| self.view_features(view));
                let known: Vec<String> = known.chain(own.into_iter().map(|column| column.name)).collect();
                let help = suggest(item, known.iter().map(String::as_str));
                Err(Unresolved { help: unresolved.help.or(help), ..unresolved })
            }
        }
    }

    /// The features of a service, each with its view, in order.
    ///
    /// # Errors
    /// When there is no such service, or one of its items means nothing.
    pub fn service_features(&self, service: &str) -> Result<Vec<(String, String)>> {
        Ok(self.service_reads(service)?.into_iter().map(|read| (read.view, read.feature)).collect())
    }

    /// The features of a service in order, each with the name and the keys by which clients read its view.
    ///
    /// # Errors
    /// As [`Project::service_features`].
    pub fn service_reads(&self, service: &str) -> Result<Vec<ServiceFeature>> {
        let declared = self.feature_services.get(service).ok_or_else(|| Error::UnknownService {
            name: service.to_owned(),
            help: suggest(service, self.feature_services.keys().map(String::as_str)).unwrap_or_default(),
        })?;
        let mut features = vec![];
        for item in &declared.features {
            features.extend(self.service_item(declared, item).map_err(|unresolved| Error::UnresolvedService {
                service: service.to_owned(),
                message: unresolved.message,
                help: unresolved.help.unwrap_or_default(),
            })?);
        }
        Ok(features)
    }

    /// What one item of a service's `features` means. A projection of the service goes before a view of the same name.
    pub(crate) fn service_item(
        &self,
        service: &FeatureService,
        item: &str,
    ) -> std::result::Result<Vec<ServiceFeature>, Unresolved> {
        let parted = item.split_once('.');
        let projected = parted.and_then(|(name, feature)| Some((name, service.projections.get(name)?, feature)));
        let Some((name, projection, feature)) = projected else {
            let found: Vec<(String, String)> = match item.strip_suffix(".*") {
                Some(view) => {
                    let features = self.find_view(view)?.feature_names().into_iter();
                    features.map(|feature| (view.to_owned(), feature)).collect()
                }
                None => vec![self.find_feature(item)?],
            };
            let plain = |(view, feature): (String, String)| ServiceFeature {
                known_view: view.clone(),
                view,
                feature,
                join_key_map: BTreeMap::new(),
            };
            return Ok(found.into_iter().map(plain).collect());
        };
        let view = projection.feature_view.as_deref().unwrap_or(name);
        let features = match feature {
            "*" => self.find_view(view)?.feature_names(),
            feature => vec![self.find_feature(&format!("{view}.{feature}"))?.1],
        };
        let read = |feature: String| ServiceFeature {
            view: view.to_owned(),
            feature,
            known_view: name.to_owned(),
            join_key_map: projection.join_key_map.clone(),
        };
        Ok(features.into_iter().map(read).collect())
    }

    /// The sources into which a push of a name goes: those that list it, or the pushed source that is called so.
    #[must_use]
    pub fn pushed_sources(&self, push: &str) -> Vec<&Source> {
        let listed: Vec<&Source> =
            self.sources.values().filter(|source| source.push.iter().any(|name| name == push)).collect();
        if listed.is_empty() {
            return self.sources.get(push).filter(|source| source.is_pushed()).into_iter().collect();
        }
        listed
    }

    /// The view and feature that `view.feature` or a bare `feature` names, when it names one alone.
    #[must_use]
    pub fn feature_named(&self, name: &str) -> Option<(String, String)> {
        self.find_feature(name).ok()
    }

    fn find_view(&self, view: &str) -> std::result::Result<&FeatureView, Unresolved> {
        self.feature_views.get(view).ok_or_else(|| Unresolved {
            message: format!("there is no feature view {}", quote(view)),
            help: suggest(view, self.feature_views.keys().map(String::as_str)),
        })
    }

    /// The view and feature that `view.feature` or a bare `feature` names.
    pub(crate) fn find_feature(&self, name: &str) -> std::result::Result<(String, String), Unresolved> {
        if let Some((view, feature)) = name.split_once('.') {
            let features = self.find_view(view)?.feature_names();
            if features.iter().any(|f| f == feature) {
                return Ok((view.to_owned(), feature.to_owned()));
            }
            return Err(Unresolved {
                message: format!("feature view `{view}` has no feature {}", quote(feature)),
                help: suggest(feature, features.iter().map(String::as_str)),
            });
        }
        let having = |view: &&FeatureView| view.feature_names().iter().any(|feature| feature == name);
        let views: Vec<&str> = self.feature_views.values().filter(having).map(|view| view.name.as_str()).collect();
        match views.as_slice() {
            [view] => Ok(((*view).to_owned(), name.to_owned())),
            [] => Err(Unresolved { message: format!("no feature view has a feature {}", quote(name)), help: None }),
            [first, ..] => Err(Unresolved {
                message: format!("several feature views have a feature {}: {}", quote(name), views.join(", ")),
                help: Some(format!("write `{first}.{name}`, or another of these views before the point")),
            }),
        }
    }

    /// The views a model reads, with those that its request-time views use in turn, each once.
    #[must_use]
    pub fn views_used(&self, resolved: &ResolvedModel) -> Vec<String> {
        let mut queue: Vec<String> = resolved.views().into_iter().map(str::to_owned).collect();
        let mut seen: BTreeSet<String> = queue.iter().cloned().collect();
        let mut at = 0;
        while let Some(view) = queue.get(at).and_then(|name| self.feature_views.get(name)) {
            at += 1;
            for used in &view.uses {
                if let Ok((view, _)) = self.find_feature(used)
                    && seen.insert(view.clone())
                {
                    queue.push(view);
                }
            }
        }
        queue
    }

    /// The fields of a prediction request: the model's own columns, the entity keys of the views it reads, what its
    /// request-time views ask for, and last the columns that name the prediction when its label comes; each once.
    ///
    /// # Errors
    /// As [`Project::resolve_model`].
    pub fn request_fields(&self, model: &str) -> Result<Vec<Field>> {
        let resolved = self.resolve_model(model)?;
        let own = resolved.inputs.iter().filter_map(|input| match input {
            InputRef::Column { name, data_type } => Some(Field { name: name.clone(), data_type: *data_type }),
            InputRef::Feature { .. } => None,
        });
        let mut fields: Vec<Field> = own.collect();
        let views = self.views_used(&resolved);
        let views: Vec<&FeatureView> = views.iter().filter_map(|view| self.feature_views.get(view)).collect();
        fields.extend(views.iter().flat_map(|view| self.entity_keys(view).iter().cloned()));
        fields.extend(views.iter().flat_map(|view| view.request.iter().cloned()));
        let columns: BTreeMap<String, DataType> = self
            .table_columns(&resolved.model.observations.from)
            .unwrap_or_default()
            .into_iter()
            .map(|field| (field.name, field.data_type))
            .collect();
        let key = self.observation_key(&resolved.model).iter();
        fields.extend(key.filter_map(|name| Some(Field { name: name.clone(), data_type: *columns.get(name)? })));
        let mut seen = BTreeSet::new();
        fields.retain(|field| seen.insert(field.name.clone()));
        Ok(fields)
    }

    /// The columns by which a label is joined to its prediction: the model's `key`, or the key of its source.
    #[must_use]
    pub fn observation_key<'a>(&'a self, model: &'a Model) -> &'a [String] {
        if !model.observations.key.is_empty() {
            return &model.observations.key;
        }
        self.sources.get(&model.observations.from).map(|source| source.key.as_slice()).unwrap_or_default()
    }
}
