//! The one thread that writes points. Requests queue here and share syncs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::chunk::CHUNK_POINTS_MAX;
use super::seek::Seeker;
use super::store::{Batch, model_key};
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

/// What a batch brings of one metric of one run.
struct Brought<'a> {
    metrics: &'a Arc<RunMetrics>,
    key: KeyId,
    points: Vec<Point>,
}

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
            // what stops one batch may not stop all that come after it: nothing of it is written before the whole is
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&batch)));
            let written = written.unwrap_or_else(|_| {
                Err(Error::Points { doing: "writing", reason: "they broke a rule of the store; see the log".into() })
            });
            let written = written.map_err(|error| {
                tracing::error!(%error, "metrics could not be written");
                error.to_string()
            });
            for Waiting { answer, .. } in batch {
                // a caller that has gone away does not want its answer
                let _gone = answer.send(written.clone());
            }
        }
    }

    fn write(&mut self, waiting: &[Waiting]) -> Result<()> {
        let store = Arc::clone(&self.store);
        let mut batch = store.begin();
        let mut changed = Vec::new();
        for brought in by_metric(waiting) {
            let series = self.add(&mut batch, &brought)?;
            batch.set_series(brought.metrics.run(), &self.keys.name(brought.key), &series);
            changed.push((brought.metrics, brought.key, series));
        }
        for (key, point) in self.of_models(waiting)? {
            batch.set_model(key, &point);
        }
        for Waiting { wanted, .. } in waiting {
            for (index, of) in &wanted.models {
                let Some((key, point)) = wanted.points.get(*index) else { continue };
                batch.add_model_point(model_key(of, &self.keys.name(*key), wanted.metrics.run()), point);
            }
        }
        batch.commit()?;
        for (metrics, key, series) in changed {
            metrics.set(key, series);
        }
        Ok(())
    }

    /// Adds points of one metric, which come in the order of step and each once, and says how it stands then.
    fn add(&mut self, batch: &mut Batch<'_>, brought: &Brought<'_>) -> Result<Series> {
        let known = brought.metrics.get(brought.key);
        let id = known.map_or(self.next, |series| series.id);
        let mut seeker = None;
        let (mut last, mut spine) = (known, Vec::with_capacity(brought.points.len()));
        for point in &brought.points {
            match &last {
                Some(series) if !series.is_continued_by(point) => {
                    // behind the last by step it is new, and what a batch brings it brings once
                    let may_be_there = known.is_some_and(|known| point.place() <= known.last.place());
                    let mut seek = || seeker.get_or_insert_with(|| Seeker::of(&self.store, id)).has(point.place());
                    if !(may_be_there && seek()?) {
                        batch.add_late(id, point);
                    }
                }
                _ => spine.push(*point),
            }
            let (before, at_ms_max) = last.map_or((*point, point.at_ms), |series| (series.last, series.at_ms_max));
            let newest = if before.place() < point.place() { *point } else { before };
            last = Some(Series { id, last: newest, at_ms_max: at_ms_max.max(point.at_ms) });
        }
        spine.chunks(CHUNK_POINTS_MAX).for_each(|points| batch.add_chunk(id, points));
        if known.is_none() {
            self.next += 1;
        }
        last.ok_or_else(|| Error::Points { doing: "writing", reason: "no points of a metric".into() })
    }

    /// The latest points of models, where they are later than what is there.
    fn of_models(&self, waiting: &[Waiting]) -> Result<HashMap<Vec<u8>, Point>> {
        let mut models: HashMap<Vec<u8>, Point> = HashMap::new();
        for Waiting { wanted, .. } in waiting {
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
        Ok(models)
    }
}

/// The points of a batch by metric, each in the order of step and once.
fn by_metric(waiting: &[Waiting]) -> Vec<Brought<'_>> {
    let mut brought: Vec<Brought<'_>> = Vec::new();
    let mut at: HashMap<(*const RunMetrics, KeyId), usize> = HashMap::new();
    for Waiting { wanted, .. } in waiting {
        let metrics = &wanted.metrics;
        for of_key in wanted.points.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((key, _)) = of_key.first() else { continue };
            let at = *at.entry((Arc::as_ptr(metrics), *key)).or_insert_with(|| {
                brought.push(Brought { metrics, key: *key, points: vec![] });
                brought.len() - 1
            });
            brought[at].points.extend(of_key.iter().map(|(_, point)| *point));
        }
    }
    for Brought { points, .. } in &mut brought {
        if !points.is_sorted_by_key(Point::place) {
            points.sort_unstable_by_key(Point::place);
        }
        points.dedup_by_key(|point| point.place());
    }
    brought
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::HistoryCursor;
    use super::super::place::Place;
    use super::*;

    /// A store, its writer, and a metric of a run of its own for each case.
    fn thread(folder: &std::path::Path) -> Thread {
        let store = Arc::new(PointStore::open(&folder.join("points")).unwrap());
        Thread { store, keys: Arc::default(), next: 1 }
    }

    fn waiting(metrics: &Arc<RunMetrics>, key: KeyId, points: &[Point]) -> Waiting {
        let points = points.iter().map(|point| (key, *point)).collect();
        let wanted = Wanted { metrics: Arc::clone(metrics), points, models: vec![] };
        Waiting { wanted, answer: oneshot::channel().0 }
    }

    fn places(points: &[Point]) -> Vec<Place> {
        points.iter().map(Point::place).collect()
    }

    /// Few steps, times and values, so that points meet, come late in either order, and come twice.
    fn point() -> impl Strategy<Value = Point> {
        let value = prop_oneof![Just(-1.0), Just(0.5), Just(f64::NAN)];
        (-2_i64..6, 0_i64..6, value).prop_map(|(step, at_ms, value)| Point { step, at_ms, value })
    }

    fn requests() -> impl Strategy<Value = Vec<Vec<Point>>> {
        proptest::collection::vec(proptest::collection::vec(point(), 1..12), 1..6)
    }

    #[tokio::test]
    async fn what_breaks_a_rule_of_the_store_does_not_stop_what_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let Thread { store, keys, next } = thread(folder.path());
        let writer = Writer::start(store, Arc::clone(&keys), next).unwrap();
        let metrics = Arc::new(RunMetrics::new("run"));
        let points = vec![(keys.id("loss"), Point { step: 0, at_ms: 0, value: 1.0 })];
        let wanted = |models| Wanted { metrics: Arc::clone(&metrics), points: points.clone(), models };
        let longer_than_a_key = ModelPoint { model: "m".repeat(70_000), dataset: None };

        let broken = writer.write(wanted(vec![(0, longer_than_a_key)])).await;
        let after = writer.write(wanted(vec![])).await;

        assert!(matches!(broken, Err(Error::Points { .. })), "{broken:?}");
        assert!(after.is_ok(), "{after:?}");
    }

    #[test]
    fn histories_hold_what_was_logged_in_both_orders() {
        let folder = tempfile::tempdir().unwrap();
        let thread = std::cell::RefCell::new(thread(folder.path()));
        let check = |(together, requests, page): (usize, Vec<Vec<Point>>, usize)| {
            let mut thread = thread.borrow_mut();
            let (metrics, key) = (Arc::new(RunMetrics::new("run")), thread.keys.id("loss"));
            for batch in requests.chunks(together) {
                let batch: Vec<Waiting> = batch.iter().map(|points| waiting(&metrics, key, points)).collect();
                thread.write(&batch).unwrap();
            }
            let mut logged: Vec<Point> = requests.concat();
            logged.sort_by_key(Point::place);
            logged.dedup_by_key(|point| point.place());
            let (store, series) = (&thread.store, metrics.get(key).unwrap());

            let mut by_step = store.history(series.id, None, page).unwrap();
            while let Some(last) = by_step.last().copied()
                && let next = store.history(series.id, Some(last), page).unwrap()
                && !next.is_empty()
            {
                by_step.extend(next);
            }
            prop_assert_eq!(places(&by_step), places(&logged));
            prop_assert_eq!(series.last.place(), logged.last().unwrap().place());

            let within: Vec<Point> = store.within(series.id, (0, 3)).collect::<Result<_>>().unwrap();
            let wanted: Vec<Point> = logged.iter().copied().filter(|point| (0..=3).contains(&point.step)).collect();
            prop_assert_eq!(places(&within), places(&wanted));
            for most in 1..5 {
                let sampled = places(&store.spread(series.id, (0, 3), most).unwrap());
                let wanted = places(&wanted);
                prop_assert!(sampled.len() <= most && sampled.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(sampled.last(), wanted.last());
                prop_assert!(most == 1 || sampled.first() == wanted.first());
                prop_assert!(sampled.iter().all(|place| wanted.contains(place)));
            }

            let (mut by_time, mut cursor) = (vec![], Some(HistoryCursor::default()));
            while let Some(after) = cursor {
                let read = store.by_time(series.id, after, page).unwrap();
                by_time.extend(read.points);
                cursor = read.next;
            }
            logged.sort_by_key(Point::time_place);
            prop_assert_eq!(places(&by_time), places(&logged));
            Ok(())
        };

        let cases = (1_usize..4, requests(), 1_usize..5);
        proptest::test_runner::TestRunner::default().run(&cases, check).unwrap();
    }

    #[test]
    fn a_batch_of_one_metric_is_one_chunk_and_late_points_lie_beside() {
        let folder = tempfile::tempdir().unwrap();
        let mut thread = thread(folder.path());
        let (metrics, key) = (Arc::new(RunMetrics::new("run")), thread.keys.id("loss"));
        let at = |step, at_ms| Point { step, at_ms, value: 0.5 };
        let batch: Vec<Point> = (0..1_000).map(|step| at(step, step)).collect();

        thread.write(&[waiting(&metrics, key, &batch[..500]), waiting(&metrics, key, &batch[500..])]).unwrap();
        thread.write(&[waiting(&metrics, key, &batch)]).unwrap();
        thread.write(&[waiting(&metrics, key, &[at(7, 9), at(2_000, 3)])]).unwrap();

        let store = &thread.store;
        let counts = [&store.chunks, &store.late, &store.late_by_time].map(|keyspace| keyspace.iter().count());
        assert_eq!(counts, [1, 2, 2], "the same batch again is nothing new");
        assert_eq!(metrics.get(key).unwrap().last.step, 2_000);
    }
}
