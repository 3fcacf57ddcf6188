//! Metrics: logged, and read back.

use std::sync::Arc;

use super::Tracking;
use super::index::RunRow;
use super::points::{HistoryCursor, HistoryPage, ModelMetric, ModelPoint, Point, Wanted};
use crate::{Error, Result};

/// The most metrics of one logged model that are read at once.
const MODEL_METRICS_MAX: usize = 10_000;

/// A point on its way in.
#[derive(Debug, Clone)]
pub struct LoggedPoint<'a> {
    /// The metric's name.
    pub key: &'a str,
    /// The value, and where it stands.
    pub point: Point,
    /// What it was measured of.
    pub source: Option<MetricSource<'a>>,
}

/// The logged model that a metric was measured of.
#[derive(Debug, Clone)]
pub struct MetricSource<'a> {
    /// Its id.
    pub model: &'a str,
    /// Name and digest of the dataset it was measured on.
    pub dataset: Option<(&'a str, &'a str)>,
}

impl Tracking {
    /// Writes points of a run; on return they are on disk.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunDeleted`], or when the disk fails.
    pub async fn log_metrics(&self, run: &str, points: &[LoggedPoint<'_>]) -> Result<()> {
        let row = self.active_run(run).await?;
        if points.is_empty() {
            return Ok(());
        }
        let keys = &self.0.index.keys;
        let models = points.iter().enumerate().filter_map(|(at, logged)| {
            let source = logged.source.as_ref()?;
            let dataset = source.dataset.map(|(name, digest)| (name.to_owned(), digest.to_owned()));
            Some((at, ModelPoint { model: source.model.to_owned(), dataset }))
        });
        let wanted = Wanted {
            metrics: Arc::clone(&row.metrics),
            models: models.collect(),
            points: points.iter().map(|logged| (keys.id(logged.key), logged.point)).collect(),
        };
        self.0.writer.write(wanted).await
    }

    /// The latest value of each metric of a run, with its name, by name.
    #[must_use]
    pub fn named_metrics(&self, row: &RunRow) -> Vec<(Arc<str>, Point)> {
        let keys = &self.0.index.keys;
        let mut named: Vec<_> = row.metrics().into_iter().map(|(key, point)| (keys.name(key), point)).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named
    }

    /// The params of a run, by name.
    #[must_use]
    pub fn named_params<'a>(&self, row: &'a RunRow) -> Vec<(Arc<str>, &'a str)> {
        self.named(row.params())
    }

    /// The labels of a run, by name.
    #[must_use]
    pub fn named_tags<'a>(&self, row: &'a RunRow) -> Vec<(Arc<str>, &'a str)> {
        self.named(row.tags())
    }

    fn named<'a>(&self, labels: &'a [(super::index::KeyId, Box<str>)]) -> Vec<(Arc<str>, &'a str)> {
        let keys = &self.0.index.keys;
        let mut named: Vec<_> = labels.iter().map(|(key, value)| (keys.name(*key), &**value)).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named
    }

    /// One label of a run.
    #[must_use]
    pub fn tag<'a>(&self, row: &'a RunRow, key: &str) -> Option<&'a str> {
        self.0.index.keys.find(key).and_then(|key| row.tag(key))
    }

    /// Points of a metric in the order of step, time and value: at most `limit` of them, after one or from the start.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when a store fails.
    pub async fn history(&self, run: &str, key: &str, after: Option<Point>, limit: usize) -> Result<Vec<Point>> {
        let row = self.run(run).await?;
        match self.series(&row, key) {
            Some(series) => self.read(move |points| points.history(series, after, limit)).await,
            None => {
                let mut recorded = self.recorded(run, key).await?;
                recorded.retain(|point| after.is_none_or(|after| after.place() < point.place()));
                recorded.truncate(limit);
                Ok(recorded)
            }
        }
    }

    /// A page of a metric's history in the order of time, step and value, as MLflow's clients read it.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when a store fails.
    pub async fn history_by_time(
        &self,
        run: &str,
        key: &str,
        after: HistoryCursor,
        limit: usize,
    ) -> Result<HistoryPage> {
        let row = self.run(run).await?;
        match self.series(&row, key) {
            Some(series) => self.read(move |points| points.by_time(series, after, limit)).await,
            None => Ok(HistoryPage::of(self.recorded(run, key).await?, after, limit)),
        }
    }

    /// At most `most` points of a metric, spread over its whole history or over some steps of it.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when a store fails.
    pub async fn sampled(&self, run: &str, key: &str, steps: Option<(i64, i64)>, most: usize) -> Result<Vec<Point>> {
        let row = self.run(run).await?;
        let steps = steps.unwrap_or((i64::MIN, i64::MAX));
        match self.series(&row, key) {
            Some(series) => self.read(move |points| points.sample(series, steps, most)).await,
            None => {
                let mut recorded = self.recorded(run, key).await?;
                recorded.retain(|point| (steps.0..=steps.1).contains(&point.step));
                Ok(super::points::every_nth(&recorded, most))
            }
        }
    }

    /// Every metric of a run that was logged over the wire, thinned out to at most `most` points each.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn curves(&self, run: &str, most: usize) -> Result<Vec<(Arc<str>, Vec<Point>)>> {
        self.follow().await?;
        let Some(row) = self.0.index.run(run) else { return Ok(vec![]) };
        let mut curves = Vec::new();
        for (key, _) in row.metrics.latest() {
            let Some(series) = row.metrics.get(key).map(|series| series.id) else { continue };
            let points = self.read(move |points| points.sample(series, (i64::MIN, i64::MAX), most)).await?;
            curves.push((self.0.index.keys.name(key), points));
        }
        curves.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(curves)
    }

    /// The latest metrics of a logged model.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_metrics(&self, model: &str) -> Result<Vec<ModelMetric>> {
        let model = model.to_owned();
        self.read(move |points| points.of_model(&model, MODEL_METRICS_MAX)).await
    }

    /// What was ever logged of a metric of a logged model; of more than ten thousand points the first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_history(&self, model: &str, metric: &str) -> Result<Vec<ModelMetric>> {
        let (model, metric) = (model.to_owned(), metric.to_owned());
        self.read(move |points| points.points_of_model(&model, &metric, MODEL_METRICS_MAX)).await
    }

    fn series(&self, row: &RunRow, key: &str) -> Option<u64> {
        let key = self.0.index.keys.find(key)?;
        row.metrics.get(key).map(|series| series.id)
    }

    /// What a trainer of ours recorded by iteration, in the catalog.
    async fn recorded(&self, run: &str, key: &str) -> Result<Vec<Point>> {
        let metrics = self.0.catalog.metrics(run, Some(key)).await?;
        let mut points: Vec<Point> = metrics
            .into_iter()
            .map(|metric| Point { step: metric.step, at_ms: metric.at.as_millisecond(), value: metric.value })
            .collect();
        if points.is_empty() {
            // a number of the end, without a curve
            let row = self.run(run).await?;
            points.extend(self.0.index.keys.find(key).and_then(|key| row.metric(key)));
        }
        points.sort_by_key(Point::place);
        Ok(points)
    }

    /// Reads from the store of points off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&super::points::PointStore) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let points = Arc::clone(&self.0.points);
        let done = tokio::task::spawn_blocking(move || read(&points)).await;
        done.map_err(|error| Error::Points { doing: "reading", reason: error.to_string() })?
    }
}
