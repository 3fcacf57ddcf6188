//! The handle on tracking, and how it keeps up with the catalog.

use std::path::Path;
use std::sync::Arc;

use mainspring_catalog::{Catalog, Principal, Seen};
use tokio::sync::{Mutex, MutexGuard};

use super::experiments;
use super::index::Index;
use super::points::{PointStore, Writer};
use crate::{Error, Experiment, Result, Run};

/// Documents taken from the catalog at once: some milliseconds of parsing.
const PAGE: usize = 2_000;
/// Changes of one run wait for each other under one of so many locks, so that they do not meet in the catalog.
const LOCKS: usize = 64;

/// Experiments, runs and metrics as clients over the wire track them. Clones share everything.
#[derive(Clone)]
pub struct Tracking(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub(super) catalog: Catalog,
    pub(super) index: Index,
    pub(super) points: Arc<PointStore>,
    pub(super) writer: Writer,
    followed: Mutex<Followed>,
    locks: [Mutex<()>; LOCKS],
}

/// How far the index has come in the catalog.
#[derive(Default)]
struct Followed {
    experiments: Seen,
    runs: Seen,
    adopted: bool,
}

impl Tracking {
    /// Opens the store of points in a folder, which one process at a time may do, and makes the default experiment. Needs
    /// a Tokio runtime.
    ///
    /// # Errors
    /// When the folder cannot be written, is damaged, or is open in another process; when the catalog fails.
    pub async fn open(catalog: Catalog, folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let points = PointStore::open(&folder)?;
            let index = Index::default();
            let mut next = 1;
            points.each_series(|run, metric, series| {
                next = next.max(series.id + 1);
                index.put_series(run, metric, series);
            })?;
            Ok::<_, Error>((Arc::new(points), index, next))
        });
        let (points, index, next) =
            opened.await.map_err(|error| Error::Points { doing: "opening", reason: error.to_string() })??;
        let writer = Writer::start(Arc::clone(&points), Arc::clone(&index.keys), next)?;
        let parts = Parts {
            catalog,
            index,
            points,
            writer,
            followed: Mutex::default(),
            locks: std::array::from_fn(|_| Mutex::default()),
        };
        let tracking = Self(Arc::new(parts));
        tracking.ensure_default_experiment().await?;
        Ok(tracking)
    }

    /// Takes up what changed in the catalog since the last time; the first time everything, which takes about a second for
    /// a hundred thousand runs.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn follow(&self) -> Result<()> {
        let Parts { catalog, index, followed, .. } = &*self.0;
        let mut followed = followed.lock().await;
        loop {
            let (page, seen) = catalog.changed_since::<Experiment>(&followed.experiments, PAGE).await?;
            let unknown = page.iter().any(|stored| stored.document.number.is_none());
            if unknown && !followed.adopted {
                // numbers for experiments of before there were numbers; they come again as changed
                experiments::adopt(catalog, &Principal::system("tracking")).await?;
                followed.adopted = true;
            }
            let last = page.len() < PAGE && !unknown;
            page.into_iter().for_each(|stored| index.put_experiment(stored));
            followed.experiments = seen;
            if last {
                break;
            }
        }
        loop {
            let (page, seen) = catalog.changed_since::<Run>(&followed.runs, PAGE).await?;
            let last = page.len() < PAGE;
            page.into_iter().for_each(|stored| index.put_run(stored));
            followed.runs = seen;
            if last {
                return Ok(());
            }
        }
    }

    /// Waits until nobody else in this process changes the thing of that name.
    pub(super) async fn locked(&self, name: &str) -> MutexGuard<'_, ()> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
        let at = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        self.0.locks[at].lock().await
    }
}

impl std::fmt::Debug for Tracking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking").finish_non_exhaustive()
    }
}
