//! Evaluates a monitor: which windows there are, which of them have changed, and what is found in those.

mod columns;
mod drift;
mod judge;
mod performance;
mod reference;
mod rows;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Schema;
use datafusion::error::DataFusionError;
use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, Principal, Stored};
use mainspring_lake::{At, TableName};
use mainspring_registry::ModelVersion;
use mainspring_serve::log_column;
use mainspring_spec::{Endpoint, Model, Monitor, Task};

use crate::alert::AlertBook;
use crate::label::{LABELS_TABLE, LabelJoin};
use crate::{ColumnReport, Error, Inputs, Performance, Result, Role, Watch, WindowHistograms, WindowReport, sql};

use columns::{Kind, WatchedColumn};
use drift::{drift_of, stream, training_table};
use judge::judge;
use reference::reference_of;
use rows::Group;
use traffic::WindowTraffic;

/// How often an evaluation starts anew because somebody else wrote the same reports or alerts meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// What a monitor looks at, resolved, at one moment.
struct Target {
    monitor: Monitor,
    endpoint: Endpoint,
    model: Model,
    /// The names of the model's inputs.
    inputs: Vec<String>,
    log: TableName,
    /// The table that labels come from, when it exists.
    observations: Option<TableName>,
    key: Vec<String>,
    /// Whether labels have been pushed.
    pushed: bool,
    /// The versions that every query of this evaluation reads.
    pins: BTreeMap<TableName, u64>,
    until: Timestamp,
}

impl Target {
    fn log_sql(&self) -> String {
        table_sql(&self.log)
    }

    /// Words an engine's error for whoever looks after the monitor.
    fn failed(&self, doing: &'static str) -> impl Fn(DataFusionError) -> Error {
        let monitor = self.monitor.name.clone();
        move |error| Error::Query { monitor: monitor.clone(), doing, reason: error.to_string() }
    }
}

fn table_sql(table: &TableName) -> String {
    format!("{}.{}", sql::name(table.schema()), sql::name(table.name()))
}

/// A window and version on its way to a report.
struct Pending {
    traffic: WindowTraffic,
    stored: Option<Stored<WindowReport>>,
    performance: Option<Performance>,
    /// What the performance was computed from, when labels were looked at.
    performance_inputs: String,
    columns: Option<(Vec<ColumnReport>, WindowHistograms)>,
}

impl Pending {
    fn drift_inputs(&self, version: Option<&ModelVersion>, columns: &[WatchedColumn]) -> String {
        let reference = version.map_or_else(
            || "none".to_owned(),
            |version| format!("{}@{}", version.training_set.table, version.training_set.version),
        );
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let traffic = &self.traffic;
        format!("{} rows to {}; {reference}; {}", traffic.traffic.predictions, traffic.newest, names.join(","))
    }
}

impl Watch {
    /// Evaluates a monitor over everything logged and known before `until`, by default now, and returns the reports that
    /// are new or have changed, in the order of time.
    ///
    /// A window whose predictions, labels, reference and bounds are the same as before is not computed again; a second
    /// call returns nothing. A window that was evaluated up to a later moment is left as it is. Each window's reports and
    /// the alerts that they open or resolve are one change of the catalog.
    ///
    /// # Errors
    /// When the monitor or what it watches is not declared, a table cannot be read, or the catalog fails.
    pub async fn evaluate(
        &self,
        monitor: &str,
        until: Option<Timestamp>,
        principal: &Principal,
    ) -> Result<Vec<WindowReport>> {
        for _ in 0..ATTEMPTS_MAX {
            match self.evaluate_once(monitor, until, principal).await {
                Err(Error::Catalog(mainspring_catalog::Error::Conflict { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Contended(monitor.to_owned()))
    }

    async fn evaluate_once(
        &self,
        monitor: &str,
        until: Option<Timestamp>,
        principal: &Principal,
    ) -> Result<Vec<WindowReport>> {
        let Some(target) = self.target(monitor, until.unwrap_or_else(Timestamp::now)).await? else {
            return Ok(vec![]);
        };
        let query = traffic::query(&target.log_sql(), &target.model.name, target.monitor.window, target.until);
        let stream = stream(self, &target, &target.pins, &query, "counting predictions").await?;
        let windows =
            traffic::read(target.monitor.window, stream).await.map_err(target.failed("counting predictions"))?;
        let mut pending = self.pending(&target, windows).await?;
        let versions = self.versions(&target, &pending).await?;

        self.fill_performance(&target, &versions, &mut pending).await?;
        let mut columns = BTreeMap::new();
        for (number, version) in &versions {
            let watched = match version {
                Some(version) => self.watched_columns(&target, version).await?,
                None => vec![],
            };
            self.fill_drift(&target, version.as_ref(), *number, &watched, &mut pending).await?;
            columns.insert(*number, watched);
        }
        let reports = pending
            .into_iter()
            .filter_map(|pending| {
                let number = pending.traffic.version;
                let version = versions.get(&number).and_then(Option::as_ref);
                changed_report(&target, version, columns.get(&number).map_or(&[], Vec::as_slice), pending)
            })
            .collect();
        self.commit_reports(&target, reports, principal).await
    }

    /// Resolves a monitor; `None` when its endpoint has not logged anything yet.
    async fn target(&self, monitor: &str, until: Timestamp) -> Result<Option<Target>> {
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

    /// The windows that may have changed, with what is stored of them.
    async fn pending(&self, target: &Target, windows: Vec<WindowTraffic>) -> Result<Vec<Pending>> {
        let mut pending = Vec::with_capacity(windows.len());
        for traffic in windows {
            let id = WindowReport::document_id(&target.monitor.name, traffic.from, traffic.version);
            let stored = self.catalog.get::<WindowReport>(&id).await?;
            if stored.as_ref().is_some_and(|stored| stored.document.until > target.until) {
                continue;
            }
            pending.push(Pending {
                traffic,
                stored,
                performance: None,
                performance_inputs: String::new(),
                columns: None,
            });
        }
        Ok(pending)
    }

    /// The versions that answered; `None` for one that the registry does not know.
    async fn versions(&self, target: &Target, pending: &[Pending]) -> Result<BTreeMap<u64, Option<ModelVersion>>> {
        let numbers: BTreeSet<u64> = pending.iter().map(|pending| pending.traffic.version).collect();
        let mut versions = BTreeMap::new();
        for number in numbers {
            let version = match self.registry.version(&target.model.name, number).await {
                Ok(version) => Some(version),
                Err(mainspring_registry::Error::NoVersion { .. } | mainspring_registry::Error::NoModel(_)) => None,
                Err(error) => return Err(error.into()),
            };
            versions.insert(number, version);
        }
        Ok(versions)
    }

    /// The inputs that both the log and the training set have, and the prediction.
    async fn watched_columns(&self, target: &Target, version: &ModelVersion) -> Result<Vec<WatchedColumn>> {
        let logged = self.lake.schema(&target.log, At::Version(target.pins[&target.log])).await?;
        let (_, pins) = training_table(version)?;
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

    /// Joins labels to the predictions of windows that have new predictions, new labels, or predictions without one.
    async fn fill_performance(
        &self,
        target: &Target,
        versions: &BTreeMap<u64, Option<ModelVersion>>,
        pending: &mut [Pending],
    ) -> Result<()> {
        let labels: Vec<String> = target
            .pins
            .iter()
            .filter(|(table, _)| **table != target.log)
            .map(|(table, version)| format!("{table}@{version}"))
            .collect();
        let labels = labels.join(",");
        let mut open: Vec<&mut Pending> = Vec::new();
        for pending in pending {
            let traffic = &pending.traffic;
            pending.performance_inputs =
                format!("{} rows to {}; {labels}", traffic.traffic.predictions, traffic.newest);
            let settled = pending.stored.as_ref().is_some_and(|stored| {
                let report = &stored.document;
                report.inputs.performance == pending.performance_inputs
                    && report.performance.as_ref().is_some_and(|found| found.labelled >= report.traffic.predictions)
            });
            if settled {
                pending.performance = pending.stored.as_ref().and_then(|stored| stored.document.performance.clone());
            } else {
                open.push(pending);
            }
        }
        let (Some(from), Some(to)) = (
            open.iter().map(|pending| pending.traffic.from).min(),
            open.iter().map(|pending| pending.traffic.to).max(),
        ) else {
            return Ok(());
        };
        let join = LabelJoin {
            model: &target.model,
            log: target.log_sql(),
            observations: target.observations.as_ref().map(table_sql),
            key: &target.key,
            pushed: target.pushed,
            window: target.monitor.window,
            from,
            to: to.min(target.until),
            until: target.until,
        };
        let Some(labelled) = join.query() else { return Ok(()) };
        let mut classes = BTreeMap::new();
        if target.model.task == Task::Multiclass {
            for (number, version) in versions {
                if let Some(version) = version {
                    classes.insert(*number, self.registry.open_model(version).await?.classes);
                }
            }
        }
        let query = performance::query(target.model.task, &labelled);
        let stream = stream(self, target, &target.pins, &query, "joining labels").await?;
        let found =
            performance::read(target.model.task, &classes, stream).await.map_err(target.failed("joining labels"))?;
        for pending in open {
            let group: Group = (pending.traffic.from.as_microsecond(), pending.traffic.version);
            pending.performance = found.get(&group).filter(|found| found.labelled > 0).map(|found| Performance {
                coverage: found.labelled as f64 / pending.traffic.traffic.predictions.max(1) as f64,
                ..found.clone()
            });
        }
        Ok(())
    }

    /// Compares the columns of those windows of a version whose predictions or reference have changed.
    async fn fill_drift(
        &self,
        target: &Target,
        version: Option<&ModelVersion>,
        number: u64,
        columns: &[WatchedColumn],
        pending: &mut [Pending],
    ) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        let mut open: Vec<&mut Pending> = pending
            .iter_mut()
            .filter(|pending| pending.traffic.version == number)
            .filter(|pending| {
                let inputs = pending.drift_inputs(Some(version), columns);
                pending.stored.as_ref().is_none_or(|stored| stored.document.inputs.drift != inputs)
            })
            .collect();
        let windows: Vec<WindowTraffic> = open.iter().map(|pending| pending.traffic.clone()).collect();
        let windows: Vec<&WindowTraffic> = windows.iter().collect();
        let drifts = drift_of(self, target, version, columns, &windows).await?;
        for (pending, drifts) in open.iter_mut().zip(drifts) {
            let mut histograms = WindowHistograms {
                report: WindowReport::document_id(&target.monitor.name, pending.traffic.from, number),
                monitor: target.monitor.name.clone(),
                columns: BTreeMap::new(),
            };
            let mut reports = Vec::with_capacity(drifts.len());
            for (column, drift) in drifts {
                let (report, histogram) = ColumnReport::split(column.name.clone(), column.role, drift);
                histograms.columns.insert(column.name, histogram);
                reports.push(report);
            }
            pending.columns = Some((reports, histograms));
        }
        Ok(())
    }

    /// Commits reports window by window, each together with what it does to alerts.
    async fn commit_reports(
        &self,
        target: &Target,
        reports: Vec<Changed>,
        principal: &Principal,
    ) -> Result<Vec<WindowReport>> {
        let monitor = &target.monitor.name;
        let mut book = AlertBook::open(&self.catalog, monitor).await?;
        let watcher = Principal::system("watch");
        for of_window in reports.chunk_by(|a, b| a.report.from == b.report.from) {
            let Some(first) = of_window.first() else { continue };
            if first.report.closed {
                let judgements: Vec<_> = of_window
                    .iter()
                    .flat_map(|changed| {
                        let report = &changed.report;
                        report.judgements.iter().map(|judgement| (report.model_version, judgement.clone()))
                    })
                    .collect();
                book.judge(first.report.from, &judgements, &watcher, Timestamp::now());
            }
            let detail = serde_json::json!({
                "window": first.report.from.to_string(),
                "versions": of_window.iter().map(|changed| changed.report.model_version).collect::<Vec<_>>(),
            });
            let mut change = Change::new(principal, "monitor.evaluate", format!("monitor:{monitor}")).detail(detail);
            for changed in of_window {
                change = change.put(&changed.report, changed.expect)?;
                if let Some(histograms) = &changed.histograms {
                    change = change.put(histograms, Expect::Any)?;
                }
                let report = &changed.report;
                let node = format!("model:{}@{}", report.model, report.model_version);
                change = change.edge(Edge::new(node, format!("monitor:{monitor}"), "watches"));
            }
            let committed = self.catalog.commit(book.write(change)?).await?;
            book.committed(committed.seq);
        }
        let reports: Vec<WindowReport> = reports.into_iter().map(|changed| changed.report).collect();
        if let Some(latest) = reports.iter().rfind(|report| report.closed) {
            self.metrics.show(latest);
        }
        self.metrics.show_open_alerts(monitor, book.open_alerts());
        Ok(reports)
    }
}

/// A report that differs from the stored one.
struct Changed {
    report: WindowReport,
    histograms: Option<WindowHistograms>,
    expect: Expect,
}

/// Puts a report together; `None` when it says what the stored one says.
fn changed_report(
    target: &Target,
    version: Option<&ModelVersion>,
    columns: &[WatchedColumn],
    pending: Pending,
) -> Option<Changed> {
    let drift_inputs = pending.drift_inputs(version, columns);
    let Pending { traffic: window, stored, performance, performance_inputs, columns } = pending;
    let (columns, histograms) = match (columns, &stored) {
        (Some((columns, histograms)), _) => (columns, Some(histograms)),
        (None, Some(stored)) => (stored.document.columns.clone(), None),
        (None, None) => (vec![], None),
    };
    let mut traffic = window.traffic;
    traffic.missing_feature_share = missing_share(&columns);
    let judgements = judge(&target.monitor, &traffic, &columns, performance.as_ref());
    let report = WindowReport {
        monitor: target.monitor.name.clone(),
        endpoint: target.endpoint.name.clone(),
        model: target.model.name.clone(),
        model_version: window.version,
        window: target.monitor.window,
        from: window.from,
        to: window.to,
        closed: window.to <= target.until,
        until: target.until,
        traffic,
        reference: version.map(reference_of),
        columns,
        performance,
        judgements,
        inputs: Inputs { drift: drift_inputs, performance: performance_inputs },
    };
    let same = stored.as_ref().is_some_and(|stored| {
        let before = &stored.document;
        // The latency quantiles are estimates that depend on the order of rows, so they are not looked at.
        before.inputs == report.inputs
            && before.closed == report.closed
            && before.performance == report.performance
            && before.judgements == report.judgements
    });
    let expect = stored.as_ref().map_or(Expect::Absent, Stored::unchanged);
    (!same).then_some(Changed { report, histograms, expect })
}

/// The share of missing values over all inputs.
fn missing_share(columns: &[ColumnReport]) -> f64 {
    let inputs = columns.iter().filter(|column| column.role == Role::Feature);
    let (nulls, rows) =
        inputs.fold((0, 0), |(nulls, rows), column| (nulls + column.current.nulls, rows + column.current.rows));
    if rows == 0 { 0.0 } else { nulls as f64 / rows as f64 }
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
