//! What a monitor looks at: its endpoint, model, tables and columns, resolved at one moment.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use datafusion::error::DataFusionError;
use jiff::Timestamp;
use mainspring_lake::{At, TableName};
use mainspring_registry::TrainingSet;
use mainspring_serve::log_column;
use mainspring_spec::{Endpoint, Model, Monitor, Task};

use super::columns::{Kind, WatchedColumn};
use super::drift::training_table;
use crate::label::LABELS_TABLE;
use crate::{Error, Result, Role, Watch, sql};

/// What a monitor looks at, resolved, at one moment.
pub(super) struct Target {
    pub(super) monitor: Monitor,
    pub(super) endpoint: Endpoint,
    pub(super) model: Model,
    /// The names of the model's inputs.
    pub(super) inputs: Vec<String>,
    pub(super) log: TableName,
    /// The table that labels come from, when it exists.
    pub(super) observations: Option<TableName>,
    pub(super) key: Vec<String>,
    /// Whether labels have been pushed.
    pub(super) pushed: bool,
    /// The versions that every query of this evaluation reads.
    pub(super) pins: BTreeMap<TableName, u64>,
    pub(super) until: Timestamp,
}

impl Target {
    pub(super) fn log_sql(&self) -> String {
        table_sql(&self.log)
    }

    /// Words an engine's error for whoever looks after the monitor.
    pub(super) fn failed(&self, doing: &'static str) -> impl Fn(DataFusionError) -> Error {
        let monitor = self.monitor.name.clone();
        move |error| Error::Query { monitor: monitor.clone(), doing, reason: error.to_string() }
    }
}

pub(super) fn table_sql(table: &TableName) -> String {
    format!("{}.{}", sql::name(table.schema()), sql::name(table.name()))
}

impl Watch {
    /// Resolves a monitor; `None` when its endpoint has not logged anything yet.
    pub(super) async fn target(&self, monitor: &str, until: Timestamp) -> Result<Option<Target>> {
        let monitor = self.monitor(monitor)?.clone();
        let unknown =
            |kind, name: &str| Error::UnknownTarget { monitor: monitor.name.clone(), kind, name: name.into() };
        let endpoint = self
            .project
            .endpoints
            .get(&monitor.endpoint)
            .ok_or_else(|| unknown("endpoint", &monitor.endpoint))?
            .clone();
        let resolved = self.project.resolve_model(&endpoint.model)?;
        let inputs = resolved.inputs.iter().map(|input| input.name().to_owned()).collect();
        let model = resolved.model;

        let log = mainspring_serve::table_of(&endpoint.name)?;
        let Some(log_version) = self.lake.version(&log).await? else { return Ok(None) };
        let mut pins = BTreeMap::from([(log.clone(), log_version)]);
        let from = &model.observations.from;
        let schema = if self.project.sources.contains_key(from) { "sources" } else { "features" };
        let mut observations = Some(TableName::new(schema, from)?);
        if let Some(table) = &observations {
            match self.lake.version(table).await? {
                Some(version) => drop(pins.insert(table.clone(), version)),
                None => observations = None,
            }
        }
        let labels = TableName::new(LABELS_TABLE.0, LABELS_TABLE.1)?;
        let labels_version = self.lake.version(&labels).await?;
        pins.extend(labels_version.map(|version| (labels, version)));
        let key = self.project.observation_key(&model).to_vec();
        let pushed = labels_version.is_some();
        Ok(Some(Target { monitor, endpoint, model, inputs, log, observations, key, pushed, pins, until }))
    }

    /// The inputs that both the log and the training set have, and the prediction.
    pub(super) async fn watched_columns(&self, target: &Target, set: &TrainingSet) -> Result<Vec<WatchedColumn>> {
        let logged = self.lake.schema(&target.log, At::Version(target.pins[&target.log])).await?;
        let (_, pins) = training_table(set)?;
        let mut columns = Vec::with_capacity(target.inputs.len() + 1);
        for (table, number) in pins {
            let trained = self.lake.schema(&table, At::Version(number)).await?;
            columns.extend(target.inputs.iter().filter_map(|name| {
                let column = log_column(name);
                let kind = shared_kind((&column, &logged), (name, &trained))?;
                Some(WatchedColumn { name: name.clone(), logged: column, role: Role::Feature, kind })
            }));
        }
        let (name, kind) = match target.model.task {
            Task::Multiclass => ("predicted_class", Kind::Categorical),
            Task::Binary | Task::Regression => ("prediction", Kind::Numeric),
        };
        columns.push(WatchedColumn { name: name.to_owned(), logged: name.to_owned(), role: Role::Prediction, kind });
        Ok(columns)
    }
}

/// How a column is compared that two tables have: as categories when either has text.
fn shared_kind(logged: (&str, &Schema), trained: (&str, &Schema)) -> Option<Kind> {
    let kind = |(name, schema): (&str, &Schema)| {
        schema.field_with_name(name).ok().and_then(|field| Kind::of(field.data_type()))
    };
    match (kind(logged)?, kind(trained)?) {
        (Kind::Numeric, Kind::Numeric) => Some(Kind::Numeric),
        _ => Some(Kind::Categorical),
    }
}
