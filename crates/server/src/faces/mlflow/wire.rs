//! Experiments, runs and metrics as MLflow writes them. Absent fields and empty lists are left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use mainspring_registry::{Dataset, DatasetInput, ExperimentRow, Point, RunRow, Tracking};
use serde::{Serialize, Serializer};

use super::error::Result;

/// A name with a text.
#[derive(Debug, Serialize)]
pub(super) struct Pair<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// An experiment.
#[derive(Debug, Serialize)]
pub(super) struct Experiment {
    experiment_id: String,
    name: String,
    artifact_location: String,
    lifecycle_stage: &'static str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<String, String>>,
}

impl Experiment {
    pub(super) fn of(row: &ExperimentRow) -> Self {
        let experiment = &row.experiment;
        let tags = experiment.tags.iter().map(|(key, value)| Pair { key: key.clone(), value: value.clone() });
        Self {
            experiment_id: row.number.to_string(),
            name: experiment.name.clone(),
            artifact_location: experiment.artifact_location(),
            lifecycle_stage: experiment.stage.as_str(),
            last_update_time: row.updated_at.as_millisecond(),
            creation_time: row.created_at.as_millisecond(),
            tags: tags.collect(),
        }
    }
}

/// What is known of a run beside its data.
#[derive(Debug, Serialize)]
pub(super) struct RunInfo<'a> {
    run_id: &'a str,
    run_uuid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_name: Option<&'a str>,
    experiment_id: String,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

impl<'a> RunInfo<'a> {
    pub(super) fn of(row: &'a RunRow, tracking: &Tracking) -> Self {
        let experiment = tracking.experiment_of_key(&row.experiment);
        Self {
            run_id: &row.id,
            run_uuid: &row.id,
            run_name: row.name.as_deref(),
            experiment_id: experiment.as_ref().map(|row| row.number.to_string()).unwrap_or_default(),
            user_id: &row.user,
            status: row.status.mlflow_word(),
            start_time: row.started_ms,
            end_time: row.ended_ms,
            artifact_uri: experiment.map(|of| of.experiment.run_artifact_uri(&row.id)).unwrap_or_default(),
            lifecycle_stage: tracking.stage_of(row).as_str(),
        }
    }
}

/// A value of a metric.
#[derive(Debug, Serialize)]
pub(super) struct Metric<K> {
    pub(super) key: K,
    pub(super) value: Number,
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

impl<K> Metric<K> {
    pub(super) fn of(key: K, point: &Point) -> Self {
        Self { key, value: Number(point.value), timestamp: point.at_ms, step: point.step }
    }
}

/// A value of a metric, with its run.
#[derive(Debug, Serialize)]
pub(super) struct MetricOfRun<'a> {
    #[serde(flatten)]
    pub(super) metric: Metric<&'a str>,
    pub(super) run_id: &'a str,
}

/// A number as MLflow writes it: NaN as a text, infinities as the largest numbers there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            return to.serialize_str("NaN");
        }
        to.serialize_f64(self.0.clamp(f64::MIN, f64::MAX))
    }
}

#[derive(Debug, Serialize)]
struct RunData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric<Arc<str>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair<Arc<str>, &'a str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<Arc<str>, &'a str>>,
}

#[derive(Debug, Serialize)]
struct RunInputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<InputOfDataset<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<InputOfModel<'a>>,
}

#[derive(Debug, Serialize)]
struct InputOfDataset<'a> {
    tags: Vec<Pair<&'a str, &'a str>>,
    dataset: DatasetOf<'a>,
}

#[derive(Debug, Serialize)]
struct DatasetOf<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
}

#[derive(Debug, Serialize)]
struct InputOfModel<'a> {
    model_id: &'a str,
}

#[derive(Debug, Serialize)]
struct RunOutputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<OutputOfModel<'a>>,
}

#[derive(Debug, Serialize)]
struct OutputOfModel<'a> {
    model_id: &'a str,
    step: i64,
}

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct Run<'a> {
    info: RunInfo<'a>,
    data: RunData<'a>,
    inputs: RunInputs<'a>,
    outputs: RunOutputs<'a>,
}

/// What is known of the datasets of some runs, each looked up once.
#[derive(Default)]
pub(super) struct Datasets(HashMap<(Arc<str>, String, String), Option<Dataset>>);

impl Datasets {
    /// Looks up the datasets of a run.
    pub(super) async fn take_up(&mut self, row: &RunRow, tracking: &Tracking) -> Result<()> {
        for input in &row.inputs {
            let key = (row.experiment.clone(), input.name.clone(), input.digest.clone());
            if let Entry::Vacant(place) = self.0.entry(key) {
                place.insert(tracking.dataset(&row.experiment, &input.name, &input.digest).await?);
            }
        }
        Ok(())
    }

    fn of<'a>(&self, row: &RunRow, input: &'a DatasetInput) -> InputOfDataset<'a> {
        let key = (row.experiment.clone(), input.name.clone(), input.digest.clone());
        let known = self.0.get(&key).and_then(Option::as_ref);
        InputOfDataset {
            tags: input.tags.iter().map(|(key, value)| Pair { key: key.as_str(), value: value.as_str() }).collect(),
            dataset: DatasetOf {
                name: &input.name,
                digest: &input.digest,
                source_type: known.map(|dataset| dataset.source_type.clone()).unwrap_or_default(),
                source: known.map(|dataset| dataset.source.clone()).unwrap_or_default(),
                schema: known.and_then(|dataset| dataset.schema.clone()),
                profile: known.and_then(|dataset| dataset.profile.clone()),
            },
        }
    }
}

impl<'a> Run<'a> {
    pub(super) fn of(row: &'a RunRow, tracking: &Tracking, datasets: &Datasets) -> Self {
        let metrics = tracking.named_metrics(row).into_iter().map(|(key, point)| Metric::of(key, &point));
        let pair = |(key, value)| Pair { key, value };
        Self {
            info: RunInfo::of(row, tracking),
            data: RunData {
                metrics: metrics.collect(),
                params: tracking.named_params(row).into_iter().map(pair).collect(),
                tags: tracking.named_tags(row).into_iter().map(pair).collect(),
            },
            inputs: RunInputs {
                dataset_inputs: row.inputs.iter().map(|input| datasets.of(row, input)).collect(),
                model_inputs: row.model_inputs.iter().map(|model_id| InputOfModel { model_id }).collect(),
            },
            outputs: RunOutputs {
                model_outputs: row
                    .model_outputs
                    .iter()
                    .map(|output| OutputOfModel { model_id: &output.model_id, step: output.step })
                    .collect(),
            },
        }
    }
}
