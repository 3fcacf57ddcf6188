//! The latest metrics of a run.

use parking_lot::RwLock;

use super::KeyId;
use crate::tracking::points::{Point, Series};

/// The metrics of one run that lie in the store of points. Only the writer of points changes them.
pub(crate) struct RunMetrics {
    run: Box<str>,
    series: RwLock<Vec<(KeyId, Series)>>,
}

impl RunMetrics {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.into(), series: RwLock::default() }
    }

    /// The run's id.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn get(&self, key: KeyId) -> Option<Series> {
        let series = self.series.read();
        let at = series.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        series.get(at).map(|(_, series)| *series)
    }

    pub(crate) fn set(&self, key: KeyId, changed: Series) {
        let mut series = self.series.write();
        match series.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => series[at].1 = changed,
            Err(at) => series.insert(at, (key, changed)),
        }
    }

    pub(crate) fn latest(&self) -> Vec<(KeyId, Point)> {
        self.series.read().iter().map(|(key, series)| (*key, series.last)).collect()
    }
}
