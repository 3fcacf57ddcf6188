//! Evaluates a monitor: which windows there are, which of them have changed, and what is found in those.

mod columns;
mod drift;
mod judge;
mod pending;
mod performance;
mod reference;
mod rows;
mod target;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, Principal};
use mainspring_lake::Error as LakeError;
use mainspring_registry::ModelVersion;
use mainspring_spec::Task;

use crate::alert::AlertBook;
use crate::label::LabelJoin;
use crate::{ColumnReport, Error, Performance, Result, Watch, WindowHistograms, WindowReport};

use columns::WatchedColumn;
use drift::{drift_of, stream};
use pending::{Changed, Pending, changed_report};
use reference::Learned;
use rows::Group;
use target::{Target, table_sql};
use traffic::WindowTraffic;

/// How often an evaluation starts anew because somebody else wrote the same reports or alerts meanwhile.
pub(crate) const ATTEMPTS_MAX: usize = 3;

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
        let mut versions = self.versions(&target, &pending).await?;
        let mut columns = BTreeMap::new();
        for (number, version) in &mut versions {
            // what a logged model learned from is not known: nothing to compare with, but performance is told
            let Some(set) = version.as_ref().and_then(|known| known.training_set.as_ref()) else { continue };
            match self.watched_columns(&target, set).await {
                Ok(watched) => drop(columns.insert(*number, watched)),
                // The training set is gone: what was asked and how good the answers were can still be told.
                Err(Error::Lake(LakeError::NoVersion { .. } | LakeError::NoTable { .. })) => *version = None,
                Err(error) => return Err(error),
            }
        }
        self.fill_performance(&target, &versions, &mut pending).await?;
        for (number, watched) in &columns {
            let version = versions.get(number).and_then(Option::as_ref);
            self.fill_drift(&target, version, *number, watched, &mut pending).await?;
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
        let Some(learned) = version.and_then(Learned::of) else { return Ok(()) };
        let mut open: Vec<&mut Pending> = pending
            .iter_mut()
            .filter(|pending| pending.traffic.version == number)
            .filter(|pending| {
                let inputs = pending.drift_inputs(version, columns);
                pending.stored.as_ref().is_none_or(|stored| stored.document.inputs.drift != inputs)
            })
            .collect();
        let windows: Vec<WindowTraffic> = open.iter().map(|pending| pending.traffic.clone()).collect();
        let windows: Vec<&WindowTraffic> = windows.iter().collect();
        let drifts = drift_of(self, target, learned, columns, &windows).await?;
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
