//! The one thread that writes points. Requests queue here and share syncs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::store::{Staged, model_key, series_key};
use super::{ModelPoint, Point, PointStore, Series};
use crate::tracking::index::{KeyId, Keys, RunMetrics};
use crate::{Error, Result};

/// Requests that may wait; further ones wait for a place. One is at most a thousand points.
const WAITING_MAX: usize = 1_024;
/// Points in one batch: bounds its memory, and how long those behind it wait.
const BATCH_POINTS_MAX: usize = 50_000;

/// Points of one run that are acknowledged together.
pub(crate) struct Wanted {
    pub(crate) metrics: Arc<RunMetrics>,
    pub(crate) points: Vec<(KeyId, Point)>,
    /// What each of some points, by its index, says of a model.
    pub(crate) models: Vec<(usize, ModelPoint)>,
}

struct Waiting {
    wanted: Wanted,
    answer: oneshot::Sender<Result<(), String>>,
}

/// The way to the thread, which ends when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    /// Starts the thread. `next` is the number of the next new series.
    pub(crate) fn start(store: Arc<PointStore>, keys: Arc<Keys>, next: u64) -> Result<Self> {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("metric-points".into())
            .spawn(move || Thread { store, keys, next }.run(waiting))
            .map_err(|source| Error::Io { doing: "starting", path: "the writer of metrics".into(), source })?;
        Ok(Self { queue })
    }

    /// Writes points, and returns when they are on disk and visible.
    pub(crate) async fn write(&self, wanted: Wanted) -> Result<()> {
        let gone = || Error::Points { doing: "writing", reason: "the server is stopping".into() };
        let (answer, answered) = oneshot::channel();
        self.queue.send(Waiting { wanted, answer }).await.map_err(|_| gone())?;
        let written = answered.await.map_err(|_| gone())?;
        written.map_err(|reason| Error::Points { doing: "writing", reason })
    }
}

struct Thread {
    store: Arc<PointStore>,
    keys: Arc<Keys>,
    next: u64,
}

/// The series that a batch changes, by run and metric.
type Changed = HashMap<(usize, KeyId), (Arc<RunMetrics>, Series)>;

impl Thread {
    fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut points = first.wanted.points.len();
            let mut batch = vec![first];
            while points < BATCH_POINTS_MAX
                && let Ok(next) = waiting.try_recv()
            {
                points += next.wanted.points.len();
                batch.push(next);
            }
            let written = self.write(&batch).map_err(|error| {
                tracing::error!(%error, "metrics could not be written");
                error.to_string()
            });
            for Waiting { answer, .. } in batch {
                // a caller that has gone away does not want its answer
                let _gone = answer.send(written.clone());
            }
        }
    }

    fn write(&mut self, batch: &[Waiting]) -> Result<()> {
        let mut changed = Changed::new();
        let mut staged = Staged::default();
        let mut models: HashMap<Vec<u8>, Point> = HashMap::new();
        for Waiting { wanted, .. } in batch {
            for (key, point) in &wanted.points {
                self.add(&mut changed, &mut staged, &wanted.metrics, *key, *point)?;
            }
            for (index, of) in &wanted.models {
                let Some((key, point)) = wanted.points.get(*index) else { continue };
                let at = model_key(of, &self.keys.name(*key), wanted.metrics.run());
                let before = match models.get(&at) {
                    Some(before) => Some(*before),
                    None => self.store.model_point(&at)?,
                };
                if before.is_none_or(|before| before.place() < point.place()) {
                    models.insert(at, *point);
                }
            }
        }
        staged.models = models.into_iter().collect();
        staged.series = changed
            .iter()
            .map(|((_, key), (metrics, series))| (series_key(metrics.run(), &self.keys.name(*key)), *series))
            .collect();
        self.store.write(&staged)?;
        for ((_, key), (metrics, series)) in changed {
            metrics.set(key, series);
        }
        Ok(())
    }

    fn add(
        &mut self,
        changed: &mut Changed,
        staged: &mut Staged,
        metrics: &Arc<RunMetrics>,
        key: KeyId,
        point: Point,
    ) -> Result<()> {
        let at = (Arc::as_ptr(metrics) as usize, key);
        let known = match changed.get(&at) {
            Some((_, series)) => Some(*series),
            None => metrics.get(key),
        };
        let series = match known {
            None => {
                let series = Series { id: self.next, count: 1, last: point };
                self.next += 1;
                series
            }
            // most points are the newest of their series, and then they are new
            Some(series) if series.last.place() < point.place() => {
                Series { count: series.count + 1, last: point, ..series }
            }
            Some(series) if self.store.contains(series.id, &point)? => return Ok(()),
            Some(series) => Series { count: series.count + 1, ..series },
        };
        staged.points.push((series.id, point));
        changed.insert(at, (Arc::clone(metrics), series));
        Ok(())
    }
}
