//! What a task reads and writes, as the catalog and the lake know it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, ListQuery};
use mainspring_features::Materialization;
use mainspring_govern::{ColumnLineage, PrivacyMarks, columns_of_model, columns_of_source, columns_of_view};
use mainspring_ingest::{Profile, TableVersion, quarantine_name, table_name};
use mainspring_lake::{At, Lake, TableName};
use mainspring_registry::ModelVersion;
use mainspring_serve::table_of;
use mainspring_spec::{DataType, Project};

use super::event::{Dataset, Datasets};
use super::facet;
use super::names::Names;
use crate::graph::{Task, TaskKind};
use crate::platform::PlatformWork;

/// The most files of a task that are named; a source of more is named as its table.
const FILES_MAX: usize = 100;
/// The most versions of a table that one task is looked for in.
const VERSIONS_MAX: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a task reads and writes; `since` is when it began, or none when it has not ended yet.
pub async fn datasets(work: &PlatformWork, task: &Task, since: Option<Timestamp>) -> Result<Datasets, Failure> {
    let project = work.features.project();
    let known = Known {
        lake: &work.training.lake,
        catalog: &work.catalog,
        project,
        names: Names::of(project, &work.training.lake),
        marks: PrivacyMarks::of(project),
    };
    match task.kind {
        TaskKind::Ingest => known.ingest(&task.name, since).await,
        TaskKind::Backfill => known.backfill(&task.name, since).await,
        TaskKind::Materialize => known.materialize(&task.name).await,
        TaskKind::Train => known.train(work, &task.name, since).await,
        TaskKind::Monitor => known.monitor(&task.name).await,
    }
}

/// What is asked about datasets.
struct Known<'a> {
    lake: &'a Lake,
    catalog: &'a Catalog,
    project: &'a Project,
    names: Names,
    marks: PrivacyMarks,
}

/// On which side of a task a dataset stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

impl Known<'_> {
    async fn ingest(&self, source: &str, since: Option<Timestamp>) -> Result<Datasets, Failure> {
        let table = table_name(source)?;
        let mut output = self.table(&table, None, Side::Output).await?;
        let landed: Vec<TableVersion> = self
            .catalog
            .list::<TableVersion>(ListQuery::of(table.to_string()).newest_first().limit(VERSIONS_MAX))
            .await?
            .into_iter()
            .map(|stored| stored.document)
            .filter(|version| since.is_some_and(|since| version.at >= since))
            .collect();
        let files: BTreeSet<&String> = landed.iter().flat_map(|version| &version.files).collect();
        let inputs: Vec<Dataset> =
            files.into_iter().take(FILES_MAX).map(|file| Dataset::new(self.names.file(file))).collect();
        if let (Some(declared), Some(file)) = (self.project.sources.get(source), inputs.first()) {
            let place = (file.namespace.clone(), file.name.clone());
            let columns = columns_of_source(declared, "file");
            output.facets.extend([facet::column_lineage(&columns, |_| place.clone())]);
        }
        let mut outputs = vec![];
        if !landed.is_empty() {
            let rows = landed.iter().map(|version| version.rows_added).sum();
            let bytes = landed.iter().map(|version| version.bytes).sum();
            output.output_facets.extend([facet::written(rows, Some(bytes))]);
            let quarantine = quarantine_name(source)?;
            if self.lake.exists(&quarantine).await? {
                outputs.push(self.table(&quarantine, None, Side::Output).await?);
            }
        }
        outputs.insert(0, output);
        Ok(Datasets { inputs, outputs })
    }

    async fn backfill(&self, view: &str, since: Option<Timestamp>) -> Result<Datasets, Failure> {
        let table = TableName::new("features", view)?;
        let declared = self.project.feature_views.get(view);
        let mut output = self.table(&table, None, Side::Output).await?;
        // what a task reads is known when it has been read
        if let Some(declared) = declared.filter(|_| since.is_some()) {
            output.facets.extend(self.column_lineage(&columns_of_view(self.project, declared)));
        }
        let newest = self.catalog.list::<Materialization>(ListQuery::of(view).newest_first().limit(1)).await?;
        let mut inputs = vec![];
        for materialization in newest.into_iter().map(|stored| stored.document) {
            for (table, version) in &materialization.inputs {
                inputs.push(self.table(&table.parse()?, Some(*version), Side::Input).await?);
            }
            if since.is_some_and(|since| materialization.at >= since) {
                output.output_facets.extend([facet::written(materialization.rows_written, None)]);
            }
        }
        Ok(Datasets { inputs, outputs: vec![output] })
    }

    async fn materialize(&self, view: &str) -> Result<Datasets, Failure> {
        let table = TableName::new("features", view)?;
        let input = self.table(&table, None, Side::Input).await?;
        let fields = self.project.view_features(view).into_iter().map(|name| (name, String::new(), None));
        let fields = fields.map(|(name, _, told)| (name, "feature".to_owned(), told));
        let output = Dataset::new(self.names.own("online", view)).with(facet::schema(fields));
        Ok(Datasets { inputs: vec![input], outputs: vec![output] })
    }

    async fn train(&self, work: &PlatformWork, model: &str, since: Option<Timestamp>) -> Result<Datasets, Failure> {
        let place = self.names.own("models", model);
        let newest = work.training.registry.versions(model).await?.into_iter().next();
        let columns = self.column_lineage(&columns_of_model(self.project, model));
        let Some(version) = newest.filter(|_| since.is_some()) else {
            // as of a backfill
            return Ok(Datasets { inputs: vec![], outputs: vec![Dataset::new(place)] });
        };
        let ModelVersion { tables, training_set, version, .. } = version;
        let mut inputs = vec![];
        for (table, version) in &tables {
            inputs.push(self.table(&table.parse()?, Some(*version), Side::Input).await?);
        }
        let mut outputs = vec![];
        if let Some(set) = &training_set {
            let mut set = self.table(&set.table.parse()?, Some(set.version), Side::Output).await?;
            set.facets.extend(columns);
            outputs.push(set);
        }
        outputs.push(Dataset::new(place).with(facet::version(version)));
        Ok(Datasets { inputs, outputs })
    }

    async fn monitor(&self, monitor: &str) -> Result<Datasets, Failure> {
        let mut inputs = vec![];
        if let Some(declared) = self.project.monitors.get(monitor) {
            let table = table_of(&declared.endpoint)?;
            if self.lake.exists(&table).await? {
                inputs.push(self.table(&table, None, Side::Input).await?);
            }
        }
        Ok(Datasets { inputs, outputs: vec![Dataset::new(self.names.own("monitors", monitor))] })
    }

    /// A table with what is known of a version of it, the newest when none is named.
    async fn table(&self, table: &TableName, version: Option<u64>, side: Side) -> Result<Dataset, Failure> {
        let dataset =
            Dataset::new(self.names.table(table)).with(facet::symlink(&self.names.namespace, &table.to_string()));
        let version = match version {
            Some(version) => Some(version),
            None => self.lake.version(table).await?,
        };
        let Some(version) = version else { return Ok(dataset) };
        let mut dataset = dataset.with(facet::version(version));
        // an old version may have been cleaned away: its name is known still
        if let Ok(schema) = self.lake.schema(table, At::Version(version)).await {
            let fields = schema.fields().iter().map(|field| {
                let declared = self.declared_type(table, field.name());
                let data_type = declared.map_or_else(|| field.data_type().to_string(), |declared| declared.to_string());
                (field.name().clone(), data_type, None)
            });
            dataset.facets.extend([facet::schema(fields)]);
        }
        if let Some(profile) = self.profile(table, version).await? {
            let personal = self.marks.columns(&table.to_string());
            match side {
                Side::Input => dataset.input_facets.extend([facet::quality_of_input(&profile, &personal)]),
                Side::Output => dataset.facets.extend([facet::quality_of_output(&profile, &personal)]),
            }
        }
        Ok(dataset)
    }

    fn declared_type(&self, table: &TableName, column: &str) -> Option<DataType> {
        let columns = (table.schema() == "sources").then(|| self.project.table_columns(table.name())).flatten()?;
        columns.into_iter().find(|field| field.name == column).map(|field| field.data_type)
    }

    async fn profile(&self, table: &TableName, version: u64) -> Result<Option<Profile>, Failure> {
        let id = TableVersion::id_of(&table.to_string(), version);
        Ok(self.catalog.get::<TableVersion>(&id).await?.and_then(|stored| stored.document.profile))
    }

    fn column_lineage(&self, columns: &ColumnLineage) -> Option<(&'static str, serde_json::Value)> {
        let place = |table: &str| match table.parse::<TableName>() {
            Ok(table) => self.names.table(&table),
            Err(_) => self.names.own("tables", table),
        };
        (!columns.is_empty()).then(|| facet::column_lineage(columns, place))
    }
}
