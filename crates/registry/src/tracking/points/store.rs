//! The tree and what lies in it.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode};

use super::chunk::Chunk;
use super::place::{PLACE_BYTES, Place, place_bytes, place_of};
use super::{Point, chunk};
use crate::{Error, Result};

/// The block cache: reads of history are rare and sequential.
const BLOCK_CACHE_BYTES: u64 = 32 << 20;
/// Memory for points not yet in a sorted file: a million in batches, or 100,000 that came alone.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journal's most: what is read again after a crash.
const JOURNAL_BYTES: u64 = 128 << 20;
/// Between the parts of a key; no name holds it.
const SEPARATOR: u8 = 0;

/// A metric of a run: which number its points are kept under, and where they end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) id: u64,
    /// The last by step: the metric's latest value.
    pub(crate) last: Point,
    /// The latest time of any point.
    pub(crate) at_ms_max: i64,
}

impl Series {
    /// Whether a point is behind all others in both orders.
    pub(super) fn is_continued_by(&self, point: &Point) -> bool {
        self.last.place() < point.place() && self.at_ms_max <= point.at_ms
    }
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
    /// The spines: by series and the place of the first point, the packed points.
    pub(super) chunks: Keyspace,
    /// Late points: by series and place, nothing.
    pub(super) late: Keyspace,
    /// The same by time.
    pub(super) late_by_time: Keyspace,
    models: Keyspace,
    /// All points of models: by a key of [`model_key`] and place, nothing.
    model_points: Keyspace,
}

/// What is written together.
pub(super) struct Batch<'a> {
    store: &'a PointStore,
    writes: OwnedWriteBatch,
}

impl Batch<'_> {
    /// Points that continue a spine, at most [`CHUNK_POINTS_MAX`](super::chunk::CHUNK_POINTS_MAX).
    pub(super) fn add_chunk(&mut self, series: u64, points: &[Point]) {
        let Some(first) = points.first() else { return };
        self.writes.insert(&self.store.chunks, key(series, first.place()), chunk::pack(points));
    }

    pub(super) fn add_late(&mut self, series: u64, point: &Point) {
        self.writes.insert(&self.store.late, key(series, point.place()), [0_u8; 0]);
        self.writes.insert(&self.store.late_by_time, key(series, point.time_place()), [0_u8; 0]);
    }

    pub(super) fn set_series(&mut self, run: &str, metric: &str, series: &Series) {
        self.writes.insert(&self.store.series, joined(&[run, metric]), series_bytes(series));
    }

    /// Sets the last point of a model under a key of [`model_key`].
    pub(super) fn set_model(&mut self, key: Vec<u8>, point: &Point) {
        self.writes.insert(&self.store.models, key, point.to_bytes());
    }

    /// Adds a point of a model under a key of [`model_key`].
    pub(super) fn add_model_point(&mut self, mut key: Vec<u8>, point: &Point) {
        key.push(SEPARATOR);
        key.extend(point.to_bytes());
        self.writes.insert(&self.store.model_points, key, [0_u8; 0]);
    }

    /// Writes, and returns when it is on disk. The journal's length is set when it is made, so that a sync of its data
    /// brings with it all that is needed to read it again.
    pub(super) fn commit(self) -> Result<()> {
        self.writes.durability(Some(PersistMode::SyncData)).commit().map_err(failed("writing"))
    }
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
        // chunks lie beside their keys: who seeks one passes over others, and reads none of them; a folder that was made
        // without keeps them together
        let apart = || sized().with_kv_separation(Some(KvSeparationOptions::default()));
        let keyspace = |name| database.keyspace(name, sized).map_err(failed);
        Ok(Self {
            series: keyspace("series")?,
            chunks: database.keyspace("chunks", apart).map_err(failed)?,
            late: keyspace("late")?,
            late_by_time: keyspace("late_by_time")?,
            models: keyspace("models")?,
            model_points: keyspace("model_points")?,
            database,
        })
    }

    pub(super) fn begin(&self) -> Batch<'_> {
        Batch { store: self, writes: self.database.batch() }
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
            found.push(model_metric(&key, &value).ok_or_else(|| damaged("a metric of a model"))?);
        }
        Ok(found)
    }

    /// The points of a metric of a logged model, up to `limit`.
    pub(crate) fn points_of_model(&self, model: &str, metric: &str, limit: usize) -> Result<Vec<ModelMetric>> {
        let prefix = joined(&[model, metric, ""]);
        let mut found = Vec::new();
        for guard in self.model_points.prefix(&prefix).take(limit) {
            let (key, _) = guard.into_inner().map_err(failed("reading"))?;
            let point = key.split_last_chunk::<PLACE_BYTES>();
            let read = point.and_then(|(named, place)| model_metric(named.strip_suffix(&[SEPARATOR])?, place));
            found.push(read.ok_or_else(|| damaged("a point of a model"))?);
        }
        Ok(found)
    }
}

/// A metric of a model, by a key of [`model_key`] and the bytes of a point.
fn model_metric(key: &[u8], point: &[u8]) -> Option<ModelMetric> {
    let parts: Option<Vec<&str>> =
        key.split(|byte| *byte == SEPARATOR).map(|part| std::str::from_utf8(part).ok()).collect();
    let (Some([_, metric, name, digest, run]), Some(point)) = (parts.as_deref(), Point::from_bytes(point)) else {
        return None;
    };
    let dataset = (!name.is_empty()).then(|| ((*name).to_owned(), (*digest).to_owned()));
    Some(ModelMetric { run: (*run).to_owned(), key: (*metric).to_owned(), dataset, point })
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

pub(super) const KEY_BYTES: usize = 8 + PLACE_BYTES;

/// The key of a place of a series.
pub(super) fn key(series: u64, place: Place) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&series.to_be_bytes());
    key[8..].copy_from_slice(&place_bytes(place));
    key
}

/// The place of a key of [`key`].
pub(super) fn place_of_key(key: &[u8]) -> Result<Place> {
    key.get(8..).and_then(place_of).ok_or_else(|| damaged("a point"))
}

/// A chunk, to look for places in it.
pub(super) fn chunk_of(guard: fjall::Guard) -> Result<Chunk> {
    let (key, packed) = guard.into_inner().map_err(failed("reading"))?;
    Ok(Chunk::of(place_of_key(&key)?, packed))
}

/// The points of a chunk.
pub(super) fn points_of(guard: fjall::Guard) -> Result<Vec<Point>> {
    let packed = guard.value().map_err(failed("reading"))?;
    chunk::unpack(&packed).ok_or_else(damaged_chunk)
}

fn series_bytes(series: &Series) -> [u8; 16 + PLACE_BYTES] {
    let mut bytes = [0; 16 + PLACE_BYTES];
    bytes[..8].copy_from_slice(&series.id.to_be_bytes());
    bytes[8..16].copy_from_slice(&series.at_ms_max.to_be_bytes());
    bytes[16..].copy_from_slice(&series.last.to_bytes());
    bytes
}

fn series_of(bytes: &[u8]) -> Option<Series> {
    let part = |from: usize| Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
    Some(Series { id: part(0)?, at_ms_max: part(8)?.cast_signed(), last: Point::from_bytes(bytes.get(16..)?)? })
}

pub(super) fn failed(doing: &'static str) -> impl Fn(fjall::Error) -> Error {
    move |error| Error::Points { doing, reason: error.to_string() }
}

pub(super) fn damaged_chunk() -> Error {
    damaged("a chunk of points")
}

fn damaged(what: &str) -> Error {
    Error::Points { doing: "reading", reason: format!("{what} is damaged; restore the folder from a backup") }
}
