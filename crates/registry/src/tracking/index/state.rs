//! All rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mainspring_catalog::Stored;
use parking_lot::RwLock;

use super::{ExperimentRow, Keys, RunMetrics, RunRow};
use crate::tracking::points::Series;
use crate::{Experiment, Run};

/// Every run and experiment. Readers take rows out and let go of the lock; rows do not change but for their metrics.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) keys: Arc<Keys>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// By key.
    experiments: HashMap<Arc<str>, Arc<ExperimentRow>>,
    keys_by_number: BTreeMap<u64, Arc<str>>,
    keys_by_name: HashMap<String, Arc<str>>,
    runs: HashMap<Box<str>, Arc<RunRow>>,
    /// By the key of the experiment, then by id.
    runs_of: HashMap<Arc<str>, BTreeMap<Box<str>, Arc<RunRow>>>,
    /// Metrics of runs that the catalog has not told of yet.
    early: HashMap<Box<str>, Arc<RunMetrics>>,
}

impl Index {
    /// Takes up what the store of points knows of a metric.
    pub(crate) fn put_series(&self, run: &str, metric: &str, series: Series) {
        let key = self.keys.id(metric);
        let mut guard = self.state.write();
        let state = &mut *guard;
        let metrics = match state.runs.get(run) {
            Some(row) => Arc::clone(&row.metrics),
            None => Arc::clone(state.early.entry(run.into()).or_insert_with(|| Arc::new(RunMetrics::new(run)))),
        };
        metrics.set(key, series);
    }

    pub(crate) fn put_experiment(&self, stored: Stored<Experiment>) {
        let Some(row) = ExperimentRow::of(stored) else { return };
        let key: Arc<str> = row.experiment.key().into();
        let mut state = self.state.write();
        if let Some(before) = state.experiments.get(&key) {
            let before = before.experiment.name.clone();
            if state.keys_by_name.get(&before) == Some(&key) {
                state.keys_by_name.remove(&before);
            }
        }
        state.keys_by_number.insert(row.number, Arc::clone(&key));
        state.keys_by_name.insert(row.experiment.name.clone(), Arc::clone(&key));
        state.experiments.insert(key, Arc::new(row));
    }

    pub(crate) fn put_run(&self, stored: Stored<Run>) {
        let mut guard = self.state.write();
        let state = &mut *guard;
        let known = state.runs.get(stored.document.id.as_str());
        if known.is_some_and(|row| row.version >= stored.version) {
            return;
        }
        let id: Box<str> = stored.document.id.as_str().into();
        let metrics = match known {
            Some(row) => Arc::clone(&row.metrics),
            None => state.early.remove(&id).unwrap_or_else(|| Arc::new(RunMetrics::new(&id))),
        };
        let experiment = match state.runs_of.get_key_value(stored.document.experiment.as_str()) {
            Some((key, _)) => Arc::clone(key),
            None => stored.document.experiment.as_str().into(),
        };
        let row = Arc::new(RunRow::of(stored, &self.keys, Arc::clone(&experiment), metrics));
        state.runs_of.entry(experiment).or_default().insert(id.clone(), Arc::clone(&row));
        state.runs.insert(id, row);
    }

    pub(crate) fn run(&self, id: &str) -> Option<Arc<RunRow>> {
        self.state.read().runs.get(id).cloned()
    }

    /// The runs of some experiments, by their keys, as they are now.
    pub(crate) fn runs_of(&self, experiments: &[Arc<str>]) -> Vec<Arc<RunRow>> {
        let state = self.state.read();
        let of = experiments.iter().filter_map(|key| state.runs_of.get(key));
        of.flat_map(|runs| runs.values().cloned()).collect()
    }

    pub(crate) fn experiment(&self, key: &str) -> Option<Arc<ExperimentRow>> {
        self.state.read().experiments.get(key).cloned()
    }

    pub(crate) fn experiment_of_number(&self, number: u64) -> Option<Arc<ExperimentRow>> {
        let state = self.state.read();
        state.keys_by_number.get(&number).and_then(|key| state.experiments.get(key)).cloned()
    }

    pub(crate) fn experiment_named(&self, name: &str) -> Option<Arc<ExperimentRow>> {
        let state = self.state.read();
        state.keys_by_name.get(name).and_then(|key| state.experiments.get(key)).cloned()
    }

    /// All experiments, by number.
    pub(crate) fn experiments(&self) -> Vec<Arc<ExperimentRow>> {
        let state = self.state.read();
        state.keys_by_number.values().filter_map(|key| state.experiments.get(key)).cloned().collect()
    }
}
