//! The tree and what lies in it.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::Point;
use super::place::PLACE_BYTES;
use crate::{Error, Result};

/// The block cache: reads of history are rare and sequential.
const BLOCK_CACHE_BYTES: u64 = 32 << 20;
/// Memory for points not yet in a sorted file, about 300,000 of them.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journal's most: what is read again after a crash.
const JOURNAL_BYTES: u64 = 128 << 20;
/// Between the parts of a key; no name holds it.
const SEPARATOR: u8 = 0;

/// A metric of a run: which number its points are kept under, how many they are, and the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) id: u64,
    pub(crate) count: u64,
    pub(crate) last: Point,
}

/// A point that a client tied to a logged model and perhaps a dataset.
#[derive(Debug, Clone)]
pub(crate) struct ModelPoint {
    pub(crate) model: String,
    pub(crate) dataset: Option<(String, String)>,
}

/// The latest value of a metric of a logged model, by run and dataset.
#[derive(Debug, Clone)]
pub struct ModelMetric {
    /// The run that logged it.
    pub run: String,
    /// The metric's name.
    pub key: String,
    /// Name and digest of the dataset that it was measured on, if the client said so.
    pub dataset: Option<(String, String)>,
    /// The value.
    pub point: Point,
}

/// The store of points. One process at a time has it open.
pub(crate) struct PointStore {
    database: Database,
    series: Keyspace,
    points: Keyspace,
    models: Keyspace,
}

/// What is written together.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) points: Vec<(u64, Point)>,
    pub(super) series: Vec<(Vec<u8>, Series)>,
    pub(super) models: Vec<(Vec<u8>, Point)>,
}

impl PointStore {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let failed = |error: fjall::Error| Error::Points {
            doing: "opening",
            reason: format!("{}: {error}; is another mainspring server using this folder?", folder.display()),
        };
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(error.into()))?;
        }
        let database = Database::builder(folder)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let sized = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let points = database.keyspace("points", sized).map_err(failed)?;
        let series = database.keyspace("series", sized).map_err(failed)?;
        let models = database.keyspace("models", sized).map_err(failed)?;
        Ok(Self { database, series, points, models })
    }

    /// Writes, and returns when it is on disk.
    pub(super) fn write(&self, staged: &Staged) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (series, point) in &staged.points {
            batch.insert(&self.points, point_key(*series, point), [0_u8; 0]);
        }
        for (key, series) in &staged.series {
            batch.insert(&self.series, key.as_slice(), series_bytes(series));
        }
        for (key, point) in &staged.models {
            batch.insert(&self.models, key.as_slice(), point.to_bytes());
        }
        batch.commit().map_err(failed("writing"))
    }

    /// Whether a point is there already.
    pub(super) fn contains(&self, series: u64, point: &Point) -> Result<bool> {
        self.points.contains_key(point_key(series, point)).map_err(failed("reading"))
    }

    /// Every series: run, metric, what is known of it.
    pub(crate) fn each_series(&self, mut visit: impl FnMut(&str, &str, Series)) -> Result<()> {
        for guard in self.series.iter() {
            let (key, value) = guard.into_inner().map_err(failed("reading"))?;
            let mut parts = key.splitn(2, |byte| *byte == SEPARATOR).map(std::str::from_utf8);
            let (Some(Ok(run)), Some(Ok(metric)), Some(series)) = (parts.next(), parts.next(), series_of(&value))
            else {
                return Err(damaged("the record of a metric"));
            };
            visit(run, metric, series);
        }
        Ok(())
    }

    /// Points of a series in order, after one of them or from the start.
    pub(crate) fn history(&self, series: u64, after: Option<Point>, limit: usize) -> Result<Vec<Point>> {
        let start = match after {
            Some(point) => std::ops::Bound::Excluded(point_key(series, &point)),
            None => std::ops::Bound::Included(first_key(series, i64::MIN)),
        };
        let end = std::ops::Bound::Included(last_key(series, i64::MAX));
        self.points.range((start, end)).take(limit).map(point_of).collect()
    }

    /// The points of a series whose step is in a range, in order, lazily.
    pub(super) fn within(
        &self,
        series: u64,
        (from, to): (i64, i64),
    ) -> impl DoubleEndedIterator<Item = Result<Point>> + use<> {
        self.points.range(first_key(series, from)..=last_key(series, to)).map(point_of)
    }

    /// The first point at or behind a place.
    pub(super) fn at_or_after(&self, series: u64, place: &Point, to: i64) -> Result<Option<Point>> {
        self.points.range(point_key(series, place)..=last_key(series, to)).next().map(point_of).transpose()
    }

    /// The last point logged for a model under a key of [`model_key`].
    pub(super) fn model_point(&self, key: &[u8]) -> Result<Option<Point>> {
        let found = self.models.get(key).map_err(failed("reading"))?;
        found.map(|bytes| Point::from_bytes(&bytes).ok_or_else(|| damaged("a metric of a model"))).transpose()
    }

    /// The latest metrics of a logged model, up to `limit`.
    pub(crate) fn of_model(&self, model: &str, limit: usize) -> Result<Vec<ModelMetric>> {
        let prefix = joined(&[model, ""]);
        let mut found = Vec::new();
        for guard in self.models.prefix(&prefix).take(limit) {
            let (key, value) = guard.into_inner().map_err(failed("reading"))?;
            let parts: Option<Vec<&str>> =
                key.split(|byte| *byte == SEPARATOR).map(|part| std::str::from_utf8(part).ok()).collect();
            let (Some([_, metric, name, digest, run]), Some(point)) = (parts.as_deref(), Point::from_bytes(&value))
            else {
                return Err(damaged("a metric of a model"));
            };
            let dataset = (!name.is_empty()).then(|| ((*name).to_owned(), (*digest).to_owned()));
            found.push(ModelMetric { run: (*run).to_owned(), key: (*metric).to_owned(), dataset, point });
        }
        Ok(found)
    }
}

/// The key of a series' record.
pub(super) fn series_key(run: &str, metric: &str) -> Vec<u8> {
    joined(&[run, metric])
}

/// The key of a model's metric.
pub(super) fn model_key(of: &ModelPoint, metric: &str, run: &str) -> Vec<u8> {
    let (name, digest) = of.dataset.as_ref().map_or(("", ""), |(name, digest)| (name, digest));
    joined(&[&of.model, metric, name, digest, run])
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for (count, part) in parts.iter().enumerate() {
        if count > 0 {
            bytes.push(SEPARATOR);
        }
        bytes.extend(part.as_bytes());
    }
    bytes
}

const KEY_BYTES: usize = 8 + PLACE_BYTES;

fn point_key(series: u64, point: &Point) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&series.to_be_bytes());
    key[8..].copy_from_slice(&point.to_bytes());
    key
}

fn first_key(series: u64, step: i64) -> [u8; KEY_BYTES] {
    let mut key = point_key(series, &Point { step, at_ms: 0, value: 0.0 });
    key[16..].fill(0);
    key
}

fn last_key(series: u64, step: i64) -> [u8; KEY_BYTES] {
    let mut key = point_key(series, &Point { step, at_ms: 0, value: 0.0 });
    key[16..].fill(u8::MAX);
    key
}

fn point_of(guard: fjall::Guard) -> Result<Point> {
    let key = guard.key().map_err(failed("reading"))?;
    key.get(8..).and_then(Point::from_bytes).ok_or_else(|| damaged("a point"))
}

fn series_bytes(series: &Series) -> [u8; 16 + PLACE_BYTES] {
    let mut bytes = [0; 16 + PLACE_BYTES];
    bytes[..8].copy_from_slice(&series.id.to_be_bytes());
    bytes[8..16].copy_from_slice(&series.count.to_be_bytes());
    bytes[16..].copy_from_slice(&series.last.to_bytes());
    bytes
}

fn series_of(bytes: &[u8]) -> Option<Series> {
    let part = |from: usize| Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
    Some(Series { id: part(0)?, count: part(8)?, last: Point::from_bytes(bytes.get(16..)?)? })
}

fn failed(doing: &'static str) -> impl Fn(fjall::Error) -> Error {
    move |error| Error::Points { doing, reason: error.to_string() }
}

fn damaged(what: &str) -> Error {
    Error::Points { doing: "reading", reason: format!("{what} is damaged; restore the folder from a backup") }
}
