//! The watch itself: what it needs to know, and what can be read from it.

use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, ListQuery, Principal};
use mainspring_lake::{Lake, TableName, WriteId, stream_of};
use mainspring_registry::Registry;
use mainspring_spec::{Field, Monitor, Project};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::alert::{Event, Subject, transition};
use crate::label::{Checked, LABELS_TABLE, Target, batch_of, checked, new_among, stored_labels};
use crate::{
    Alert, AlertState, Error, LabelsPushed, PushedLabel, Result, StoredLabel, WatchMetrics, WindowHistograms,
    WindowReport, sql,
};

/// Watches the endpoints of a project. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    pub(crate) lake: Lake,
    pub(crate) catalog: Catalog,
    pub(crate) registry: Registry,
    pub(crate) project: Arc<Project>,
    pub(crate) metrics: WatchMetrics,
    pushes: Arc<Mutex<WriteId>>,
}

/// Which reports to read; by default the newest hundred of a monitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportQuery {
    /// Only windows that start at or after this moment.
    pub from: Option<Timestamp>,
    /// Only windows that start before this moment.
    pub to: Option<Timestamp>,
    /// Only this version of the model.
    pub model_version: Option<u64>,
}

/// Which alerts to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// Only this monitor's.
    pub monitor: Option<String>,
    /// Only those that are not resolved.
    pub unresolved: bool,
    /// Only those older than the alert of this identifier: the last one of the page before.
    pub after: Option<String>,
    /// At most so many, the newest first.
    pub limit: Option<usize>,
}

/// The most alerts that one list holds.
const ALERTS_MAX: usize = 1_000;
/// The most labels that one list holds.
const LISTED_LABELS_MAX: usize = 1_000;

impl Watch {
    /// Watches the endpoints of a project.
    #[must_use]
    pub fn new(lake: Lake, catalog: Catalog, registry: Registry, project: Arc<Project>) -> Self {
        // One writer a process: a table remembers every writer that it ever had.
        let pushes = WriteId { app: format!("labels:{}", Uuid::now_v7()), sequence: 0 };
        let metrics = WatchMetrics::default();
        Self { lake, catalog, registry, project, metrics, pushes: Arc::new(Mutex::new(pushes)) }
    }

    /// Shows what is found in gauges that are registered elsewhere.
    #[must_use]
    pub fn with_metrics(mut self, metrics: WatchMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The gauges of what was found last.
    #[must_use]
    pub fn metrics(&self) -> &WatchMetrics {
        &self.metrics
    }

    pub(crate) fn monitor(&self, name: &str) -> Result<&Monitor> {
        self.project.monitors.get(name).ok_or_else(|| Error::UnknownMonitor(name.to_owned()))
    }

    /// Reads the reports of a monitor in the order of time, then of version.
    ///
    /// # Errors
    /// When the catalog fails. A monitor that was never evaluated, or is no longer declared, is no error.
    pub async fn reports(&self, monitor: &str, query: &ReportQuery) -> Result<Vec<WindowReport>> {
        let mut list = ListQuery::of(monitor);
        if let Some(from) = query.from {
            // Identifiers are in the order of time; this one comes before those of the window itself.
            list = list.after(format!("{monitor}/{from}"));
        }
        let reports = self.catalog.all::<WindowReport>(list).await?.into_iter().map(|stored| stored.document);
        Ok(reports
            .filter(|report| query.from.is_none_or(|from| report.from >= from))
            .filter(|report| query.to.is_none_or(|to| report.from < to))
            .filter(|report| query.model_version.is_none_or(|version| report.model_version == version))
            .collect())
    }

    /// Reads one report.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn report(&self, monitor: &str, from: Timestamp, model_version: u64) -> Result<Option<WindowReport>> {
        let id = WindowReport::document_id(monitor, from, model_version);
        Ok(self.catalog.get::<WindowReport>(&id).await?.map(|stored| stored.document))
    }

    /// Reads the histograms of a report.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn histograms(&self, report: &WindowReport) -> Result<Option<WindowHistograms>> {
        let id = WindowReport::document_id(&report.monitor, report.from, report.model_version);
        Ok(self.catalog.get::<WindowHistograms>(&id).await?.map(|stored| stored.document))
    }

    /// Reads alerts, the newest first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn alerts(&self, query: &AlertQuery) -> Result<Vec<Alert>> {
        let mut list = ListQuery::default().newest_first();
        list.parent.clone_from(&query.monitor);
        list.after.clone_from(&query.after);
        let limit = query.limit.unwrap_or(ALERTS_MAX).min(ALERTS_MAX);
        let alerts = self.catalog.list::<Alert>(list).await?.into_iter().map(|stored| stored.document);
        Ok(alerts.filter(|alert| !query.unresolved || alert.state != AlertState::Resolved).take(limit).collect())
    }

    /// Notes that a person knows of an alert.
    ///
    /// # Errors
    /// When there is no such alert, it is not open, or somebody else changed it meanwhile.
    pub async fn acknowledge(&self, alert: &str, principal: &Principal) -> Result<Alert> {
        self.by_hand(alert, &Event::Acknowledge, "alert.acknowledge", "acknowledged", principal).await
    }

    /// Resolves an alert because a person says so. The windows judged so far do not open it again.
    ///
    /// # Errors
    /// When there is no such alert, it is resolved already, or somebody else changed it meanwhile.
    pub async fn resolve(&self, alert: &str, principal: &Principal) -> Result<Alert> {
        self.by_hand(alert, &Event::Resolve, "alert.resolve", "resolved", principal).await
    }

    async fn by_hand(
        &self,
        id: &str,
        event: &Event,
        action: &str,
        wanted: &'static str,
        principal: &Principal,
    ) -> Result<Alert> {
        let stored = self.catalog.get::<Alert>(id).await?.ok_or_else(|| Error::UnknownAlert(id.to_owned()))?;
        let alert = &stored.document;
        let subject = Subject {
            id: alert.id.clone(),
            monitor: alert.monitor.clone(),
            rule: alert.rule.clone(),
            column: alert.column.clone(),
        };
        let next = transition(Some(alert), None, event, &subject, principal, Timestamp::now())
            .ok_or_else(|| Error::AlertState { id: id.to_owned(), state: alert.state.as_str(), wanted })?;
        let change = Change::new(principal, action, format!("alert:{id}")).put(&next, stored.unchanged())?;
        self.catalog.commit(change).await?;
        let query = AlertQuery { monitor: Some(next.monitor.clone()), unresolved: true, ..AlertQuery::default() };
        self.metrics.show_open_alerts(&next.monitor, self.alerts(&query).await?.len());
        Ok(next)
    }

    /// Writes labels of a model to `monitoring.labels`: all of them, or none when one cannot be used. On return they
    /// are durable. Labels that are known already are passed over, so that a push may be tried again.
    ///
    /// # Errors
    /// When the model is not declared, a label cannot be used, or the lake or the catalog fails.
    pub async fn push_labels(
        &self,
        model: &str,
        labels: &[PushedLabel],
        principal: &Principal,
    ) -> Result<LabelsPushed> {
        let declared = self.project.models.get(model).ok_or_else(|| Error::UnknownModel(model.to_owned()))?;
        let fields = self.project.table_columns(&declared.observations.from).unwrap_or_default();
        let key: Vec<Field> = self
            .project
            .observation_key(declared)
            .iter()
            .filter_map(|name| fields.iter().find(|field| field.name == *name).cloned())
            .collect();
        let pushed = checked(model, declared.task, &key, labels)?;
        // Held until it has landed: a push that is tried again sees what the first one wrote, and a sequence that came
        // after a greater one would count as a repetition.
        let mut next = self.pushes.lock().await;
        let (now, known) = (Timestamp::now(), self.known_labels(model, &pushed).await?);
        let new = new_among(pushed, &known, now);
        let count = |labels: usize| u64::try_from(labels).unwrap_or(u64::MAX);
        let came_to = LabelsPushed { given: count(labels.len()), landed: count(new.len()) };
        if !new.is_empty() {
            let batch = batch_of(model, &new, now, principal)?;
            next.sequence += 1;
            let stream = stream_of(batch.schema(), vec![batch]);
            self.lake.append(&labels_table()?, stream, next.clone()).await?;
        }
        drop(next);
        // also when nothing is new: the process may have died between the lake and this entry when it was
        let detail = serde_json::json!({ "labels": came_to.given, "landed": came_to.landed });
        self.catalog.commit(Change::new(principal, "labels.push", format!("model:{model}")).detail(detail)).await?;
        Ok(came_to)
    }

    /// What is stored of the predictions and keys that labels name.
    async fn known_labels(&self, model: &str, labels: &[Checked]) -> Result<Vec<StoredLabel>> {
        let table = labels_table()?;
        if labels.is_empty() || !self.lake.exists(&table).await? {
            return Ok(vec![]);
        }
        let among = |column: &str, of: fn(&Target) -> Option<&str>| {
            let named: Vec<String> = labels.iter().filter_map(|label| of(label.target())).map(sql::text).collect();
            (!named.is_empty()).then(|| format!("{} IN ({})", sql::name(column), named.join(", ")))
        };
        let named: Vec<String> =
            [among("prediction_id", Target::prediction), among("key", Target::key)].into_iter().flatten().collect();
        let (model, named) = (sql::text(model), named.join(" OR "));
        self.read_labels(&format!("SELECT * FROM {table} WHERE model = {model} AND ({named})")).await
    }

    async fn read_labels(&self, query: &str) -> Result<Vec<StoredLabel>> {
        let failed = |error: datafusion::error::DataFusionError| Error::Table {
            table: "monitoring.labels".into(),
            reason: error.to_string(),
        };
        let batches = self.lake.sql(query).await?.collect().await.map_err(failed)?;
        Ok(stored_labels(&batches))
    }

    /// Reads labels pushed for a model, the newest first.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn labels(&self, model: &str, limit: usize) -> Result<Vec<StoredLabel>> {
        let table = labels_table()?;
        if !self.lake.exists(&table).await? {
            return Ok(vec![]);
        }
        let query = format!(
            "SELECT * FROM {table} WHERE model = {} ORDER BY pushed_at DESC, known_at DESC LIMIT {}",
            sql::text(model),
            limit.min(LISTED_LABELS_MAX)
        );
        self.read_labels(&query).await
    }
}

fn labels_table() -> Result<TableName> {
    Ok(TableName::new(LABELS_TABLE.0, LABELS_TABLE.1)?)
}
