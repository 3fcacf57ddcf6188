//! A registry's objects as declarations of ours.
//!
//! Feast's online value is the row of the greatest event time, and of those the one created last; a view here is the union of
//! its file's rows and of those that clients push, with `written_at` in the place of the created column: then so is its value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mainspring_spec::{DataType, FeastView, NO_ENTITY_KEY, Span, mended_name, name_problem};

use super::config::Config;
use super::registry::{DataSource, Entity, FeatureView, FeatureViewSpec, Registry, source_kind};
use super::services::ImportedService;

/// What became of a repository.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub entities: Vec<ImportedEntity>,
    pub sources: Vec<FileSource>,
    pub views: Vec<ImportedView>,
    pub services: Vec<ImportedService>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct ImportedEntity {
    pub name: String,
    pub description: String,
    pub keys: Vec<(String, DataType)>,
}

#[derive(Debug)]
pub(super) struct FileSource {
    pub name: String,
    /// Its name in Feast.
    pub called: String,
    pub description: String,
    pub path: String,
    pub is_parquet_by_name: bool,
    /// The file's columns.
    pub columns: BTreeMap<String, DataType>,
    pub event_time: String,
}

#[derive(Debug)]
pub(super) struct ImportedView {
    pub name: String,
    /// Which version of it Feast has in use: the one that is carried over.
    pub version: u32,
    pub description: String,
    pub entity: ImportedEntity,
    pub features: Vec<Feature>,
    pub ttl: Option<Span>,
    pub online: bool,
    /// The names of times in the view.
    pub event_time: String,
    /// The created column of the file and of pushes, where there is one.
    pub created: Option<String>,
    pub file: Option<FileRows>,
    pub push: PushedRows,
}

#[derive(Debug)]
pub(super) struct Feature {
    pub name: String,
    /// The name that clients of Feast push it by.
    pub pushed: String,
    pub description: String,
    pub data_type: DataType,
    pub is_json: bool,
}

/// The rows of a view that a file brings: the source, and the file's columns of keys, features and times.
#[derive(Debug)]
pub(super) struct FileRows {
    pub source: String,
    pub keys: Vec<String>,
    pub features: Vec<String>,
    pub event_time: String,
    pub created: Option<String>,
}

/// The source into which a view's rows are pushed.
#[derive(Debug)]
pub(super) struct PushedRows {
    pub source: String,
    pub names: Vec<String>,
}

/// Bytes, lists of them and sets, which columns of files hold as they are and requests as base64: only what is pushed can
/// be kept.
const BYTES: [i32; 3] = [1, 11, 22];
/// The most characters of a name that a number is put behind.
const NUMBERED_NAME_LENGTH: usize = 56;
/// The entity that stands for none.
const DUMMY: &str = "__dummy";
/// What that entity is called here, where no name begins with `_`.
const NO_ENTITY: &str = "no_entity";

impl ImportedEntity {
    /// Whether it stands for none: its views have rows that hold for everything.
    pub fn is_none(&self) -> bool {
        matches!(self.keys.as_slice(), [(key, _)] if key == NO_ENTITY_KEY)
    }

    /// The keys that rows bring. That of the entity which stands for none is written into the view's query.
    pub fn columns(&self) -> &[(String, DataType)] {
        if self.is_none() { &[] } else { &self.keys }
    }
}

/// Converts a registry; `repo` is where relative paths of files start.
pub(super) fn convert(config: &Config, registry: &Registry, repo: &Path) -> Converted {
    let views = registry.feature_views.iter().filter_map(|view| Some((view, view.spec.as_ref()?)));
    let views: Vec<_> = views.filter(|(_, spec)| spec.project == config.project).collect();
    let view_names = views.iter().map(|(_, spec)| our_name(&spec.name)).collect();
    let mut converter = Converter { project: &config.project, repo, registry, view_names, out: Converted::default() };
    for (view, spec) in views {
        converter.view(spec, version_of(view));
    }
    for service in registry.feature_services.iter().filter_map(|service| service.spec.as_ref()) {
        if service.project == config.project {
            converter.service(service);
        }
    }
    converter.rest(config);
    converter.out
}

pub(super) struct Converter<'a> {
    project: &'a str,
    repo: &'a Path,
    registry: &'a Registry,
    /// Our names of the views, which no source may have: both are tables.
    view_names: BTreeSet<String>,
    pub(super) out: Converted,
}

impl Converter<'_> {
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.out.notes.push(text.into());
    }

    /// A name as ours may be; said where it is another.
    pub(super) fn name(&mut self, kind: &str, name: &str) -> String {
        let ours = our_name(name);
        if ours != name {
            self.note(format!(
                "{kind} `{name}` is called `{ours}` here, as names are of lower case letters, digits and `_`; clients of \
                 Feast may ask for it by either name"
            ));
        }
        ours
    }

    /// The name of a source that is to have this one: with a number behind it where another table has it.
    fn table_name(&self, wanted: String) -> String {
        let is_taken = |name: &str| {
            self.view_names.contains(name)
                || self.out.sources.iter().any(|source| source.name == name)
                || self.out.views.iter().any(|view| view.push.source == name)
        };
        let stem: String = wanted.chars().take(NUMBERED_NAME_LENGTH).collect();
        let mut name = wanted;
        let mut number = 1;
        while is_taken(&name) {
            number += 1;
            name = format!("{stem}_{number}");
        }
        name
    }

    /// The name of the source of a file: one that views share, when they say the same of it.
    fn source_name(&mut self, batch: &DataSource, path: &str) -> String {
        let known = self.out.sources.iter().find(|known| known.called == batch.name && known.path == path);
        if let Some(known) = known {
            return known.name.clone();
        }
        let wanted = our_name(&batch.name);
        let name = self.table_name(wanted.clone());
        if name != wanted {
            self.note(format!(
                "source `{}` is called `{name}` here, as another table is called `{wanted}`: sources and feature views \
                 are tables and share one space of names",
                batch.name
            ));
        }
        name
    }

    fn view(&mut self, view: &FeatureViewSpec, version: u32) {
        let lost = |reason: &str| format!("feature view `{}` is not carried over: {reason}", view.name);
        let Some(batch) = view.batch_source.as_ref() else {
            return self.note(lost("it has no batch source"));
        };
        if view.feature_transformation.is_some() || !view.source_views.is_empty() {
            return self.note(lost(
                "its values are computed by a transformation in Python; write that as the SQL of a feature view",
            ));
        }
        if view.disabled {
            return self.note(lost("it is disabled"));
        }
        let entity = self.entity_of(view);
        let name = self.name("feature view", &view.name);
        if self.out.views.iter().any(|known| known.name == name) {
            return self.note(lost(&format!("another view is called `{name}` already")));
        }
        let file = match batch.kind {
            source_kind::FILE => self.file_of(view, batch, &entity),
            kind => {
                let what = source_kind::words(kind);
                self.note(format!(
                    "the rows of feature view `{}` come from {what} (`{}`), which is not read here; only rows that are \
                     pushed have values, until you declare a source of files with the same columns",
                    view.name, batch.name
                ));
                None
            }
        };
        let mut features = vec![];
        for field in &view.features {
            let kept = type_of(field.value_type).filter(|_| file.is_none() || !BYTES.contains(&field.value_type));
            let Some((data_type, is_json)) = kept else {
                self.note(format!(
                    "feature `{}:{}` is not carried over: values of its type cannot be kept",
                    view.name, field.name
                ));
                continue;
            };
            if file.as_ref().is_some_and(|file| file.event_time == field.name) {
                continue;
            }
            let feature = self.name(&format!("feature of `{}`", view.name), &field.name);
            if features.iter().any(|known: &Feature| known.name == feature) {
                self.note(format!(
                    "feature `{}:{}` is not carried over: another feature is called `{feature}` already",
                    view.name, field.name
                ));
                continue;
            }
            features.push(Feature {
                name: feature,
                pushed: field.name.clone(),
                description: field.description.clone(),
                data_type,
                is_json,
            });
        }
        if features.is_empty() {
            return self.note(lost("it has no feature that can be kept"));
        }
        if entity.is_none() {
            self.note(format!(
                "feature view `{}` has no entity; here its rows have the key `{NO_ENTITY_KEY}`, which is always the empty \
                 text: clients of Feast need not send it, models that read the view need it as a column of their observations",
                view.name
            ));
        }
        let file = file.map(|mut file| {
            let column = |feature: &Feature| unmapped(batch, &feature.pushed);
            file.features = features.iter().map(column).collect();
            file
        });
        self.add_source(batch, file.as_ref(), &entity, &features);
        let push = self.push_of(view, &name, version);
        if !self.out.entities.iter().any(|known| known.name == entity.name) {
            self.out.entities.push(entity.clone());
        }
        let ttl = view.ttl.as_ref().map(|ttl| ttl.seconds.saturating_mul(1_000_000) + i64::from(ttl.nanos) / 1_000);
        let event_time =
            if batch.timestamp_field.is_empty() { "event_timestamp" } else { mapped(batch, &batch.timestamp_field) };
        let created = Some(batch.created_timestamp_column.as_str()).filter(|column| !column.is_empty());
        self.out.views.push(ImportedView {
            name,
            version,
            description: view.description.clone(),
            entity,
            features,
            // Nought is for ever.
            ttl: ttl.filter(|ttl| *ttl > 0).map(Span::from_micros),
            online: view.online,
            event_time: event_time.to_owned(),
            created: created.map(|column| mapped(batch, column).to_owned()),
            file,
            push,
        });
    }

    /// The entity of a view: its own when it has one, else one of all their keys.
    fn entity_of(&mut self, view: &FeatureViewSpec) -> ImportedEntity {
        let names: Vec<&String> = view.entities.iter().filter(|name| !name.starts_with(DUMMY)).collect();
        let mut keys = vec![];
        let mut descriptions = vec![];
        for name in &names {
            let mut declared = self.registry.entities.iter().filter_map(|Entity { spec }| spec.as_ref());
            let declared = declared.find(|entity| entity.name == **name && entity.project == self.project);
            let key = declared.map_or(name.as_str(), |entity| entity.join_key.as_str());
            let column = view.entity_columns.iter().find(|column| column.name == key).map(|column| column.value_type);
            let value_type = column.or_else(|| declared.map(|entity| entity.value_type)).unwrap_or_default();
            let data_type = match type_of(value_type) {
                Some((DataType::Float64, _)) | None => DataType::String,
                Some((data_type, _)) => data_type,
            };
            keys.push((key.to_owned(), data_type));
            descriptions.extend(declared.map(|entity| entity.description.clone()).filter(|text| !text.is_empty()));
        }
        let name = match names.as_slice() {
            [] => {
                keys.push((NO_ENTITY_KEY.to_owned(), DataType::String));
                descriptions
                    .push("Stands for none, as Feast's dummy entity: views of it hold for everything".to_owned());
                NO_ENTITY.to_owned()
            }
            [one] => self.name("entity", one),
            several => mended_name(&several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("_and_")),
        };
        // The same entity may have a key of another type in another view.
        let same = self.out.entities.iter().find(|known| known.name == name);
        let name = match same {
            Some(known) if known.keys != keys => mended_name(&format!("{name}_of_{}", view.name)),
            _ => name,
        };
        ImportedEntity { name, description: descriptions.join("; "), keys }
    }

    /// The rows that a view's file brings. The columns of its features are filled in later.
    fn file_of(&mut self, view: &FeatureViewSpec, batch: &DataSource, entity: &ImportedEntity) -> Option<FileRows> {
        let options = batch.file_options.as_ref()?;
        let is_delta = options.file_format.as_ref().is_some_and(|format| format.delta.is_some());
        if is_delta || options.uri.is_empty() {
            self.note(format!(
                "the rows of feature view `{}` come from a Delta table (`{}`), which is not read here; only rows that are \
                 pushed have values",
                view.name, batch.name
            ));
            return None;
        }
        if !options.s3_endpoint_override.is_empty() {
            self.note(format!(
                "source `{}` is read from an S3 endpoint of its own, {}; set AWS_ENDPOINT_URL for the server",
                batch.name, options.s3_endpoint_override
            ));
        }
        let path = path_of(&options.uri, self.repo);
        let source = self.source_name(batch, &path);
        Some(FileRows {
            source,
            keys: entity.columns().iter().map(|(key, _)| unmapped(batch, key)).collect(),
            features: vec![],
            event_time: batch.timestamp_field.clone(),
            created: Some(batch.created_timestamp_column.clone()).filter(|column| !column.is_empty()),
        })
    }

    /// Adds what a view reads of its file to the file's source, which several views may share.
    fn add_source(
        &mut self,
        batch: &DataSource,
        file: Option<&FileRows>,
        entity: &ImportedEntity,
        features: &[Feature],
    ) {
        let (Some(file), Some(options)) = (file, batch.file_options.as_ref()) else { return };
        let mut columns: BTreeMap<String, DataType> = BTreeMap::new();
        let keys = file.keys.iter().zip(entity.columns());
        columns.extend(keys.map(|(column, (_, data_type))| (column.clone(), *data_type)));
        let pairs = file.features.iter().zip(features);
        columns.extend(pairs.map(|(column, feature)| (column.clone(), feature.data_type)));
        columns.extend(file.created.iter().chain([&file.event_time]).map(|c| (c.clone(), DataType::Timestamp)));
        if let Some(known) = self.out.sources.iter_mut().find(|known| known.name == file.source) {
            known.columns.extend(columns);
            return;
        }
        let path = path_of(&options.uri, self.repo);
        self.out.sources.push(FileSource {
            name: file.source.clone(),
            called: batch.name.clone(),
            description: batch.description.clone(),
            is_parquet_by_name: path.ends_with(".parquet"),
            path,
            columns,
            event_time: file.event_time.clone(),
        });
    }

    fn push_of(&mut self, view: &FeatureViewSpec, name: &str, version: u32) -> PushedRows {
        let source = self.table_name(mended_name(&format!("{name}_pushed")));
        let mut names = vec![];
        match &view.stream_source {
            Some(stream) if stream.kind == source_kind::PUSH => names.push(stream.name.clone()),
            Some(stream) => {
                let what = source_kind::words(stream.kind);
                self.note(format!(
                    "feature view `{}` also reads {what} (`{}`), which is not read here; have its consumer push the rows \
                     to `{source}`",
                    view.name, stream.name
                ));
                names.push(source.clone());
            }
            None => names.push(source.clone()),
        }
        if name != view.name || version > 0 {
            names.push(FeastView { name: &view.name, version }.push_name());
        }
        PushedRows { source, names }
    }

    /// What has no counterpart.
    fn rest(&mut self, config: &Config) {
        let registry = self.registry;
        let kinds = [
            (
                "on-demand feature view",
                &registry.on_demand_feature_views,
                "its values are computed in Python; write it as a feature view with `expressions` in SQL",
            ),
            (
                "stream feature view",
                &registry.stream_feature_views,
                "streams are not read; declare a pushed source and a feature view over it",
            ),
            (
                "saved dataset",
                &registry.saved_datasets,
                "training sets are made by `mainspring run`, each with the versions that it was made of",
            ),
            ("permission", &registry.permissions, "write a Cedar policy in policies/"),
            ("label view", &registry.label_views, "labels are declared with the model that learns them"),
        ];
        for (kind, objects, instead) in kinds {
            for object in objects.iter().filter_map(|object| object.spec.as_ref()) {
                if object.project == self.project || object.project.is_empty() {
                    self.note(format!("{kind} `{}` is not carried over: {instead}", object.name));
                }
            }
        }
        if self.out.views.iter().any(|view| view.online) {
            self.note(format!(
                "values in the {} online store are not copied: `mainspring run` computes them from the sources, and what \
                 was only pushed must be pushed again",
                config.online_store
            ));
        }
        if !matches!(config.offline_store.as_str(), "file" | "dask" | "duckdb") {
            self.note(format!("the {} offline store is not read; sources of files are", config.offline_store));
        }
    }
}

/// A name of Feast's as ours may be.
pub(super) fn our_name(name: &str) -> String {
    if name_problem(name).is_none() { name.to_owned() } else { mended_name(name) }
}

/// The version of a view that Feast has in use; the first is 0.
fn version_of(view: &FeatureView) -> u32 {
    let version = view.meta.as_ref().map_or(0, |meta| meta.current_version_number);
    u32::try_from(version).unwrap_or_default()
}

/// A source's column as the view calls it.
fn mapped<'a>(source: &'a DataSource, column: &'a str) -> &'a str {
    source.field_mapping.get(column).map_or(column, String::as_str)
}

/// A view's column as the source calls it.
fn unmapped(source: &DataSource, name: &str) -> String {
    let found = source.field_mapping.iter().find(|(_, to)| *to == name);
    found.map_or(name, |(from, _)| from.as_str()).to_owned()
}

/// Where a file lies, seen from anywhere.
fn path_of(uri: &str, repo: &Path) -> String {
    if let Some(local) = uri.strip_prefix("file://") {
        return local.to_owned();
    }
    if uri.contains("://") {
        return uri.to_owned();
    }
    let path = repo.join(uri);
    if path.is_dir() {
        path.join("*.parquet").to_string_lossy().into_owned()
    } else {
        path.to_string_lossy().into_owned()
    }
}

/// Our type for one of Feast's (`feast/types/Value.proto`), and whether its values are JSON kept as text.
const fn type_of(value_type: i32) -> Option<(DataType, bool)> {
    Some(match value_type {
        // Bytes travel as text in base64.
        1 | 2 | 36 | 37 => (DataType::String, false),
        3 | 4 => (DataType::Int64, false),
        5 | 6 => (DataType::Float64, false),
        7 => (DataType::Bool, false),
        8 => (DataType::Timestamp, false),
        // Lists, sets, maps and structs; JSON itself travels as text.
        11..=18 | 20..=29 | 33..=35 | 38..=43 => (DataType::String, true),
        32 => (DataType::String, false),
        _ => return None,
    })
}
