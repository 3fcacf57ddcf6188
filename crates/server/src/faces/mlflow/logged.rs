//! Metrics and batches as they come.
//!
//! A batch of a thousand metrics is the largest request that comes often. In the form that MLflow's clients send it is read
//! right into what the registry takes, names as slices of the request, in some 100 µs. Any other form, numbers as texts or
//! an escape in a name, is read by way of a tree of values, which also words what is wrong; the two agree where both can
//! read.

use std::collections::BTreeSet;
use std::fmt;

use mainspring_registry::{BatchOfLabels, LoggedPoint, MetricSource, Point, Registry};
use serde::Deserialize;
use serde_json::Value;

use super::error::{Refused, Result};
use super::extract::{Fields, integer};
use super::limits;

/// All that a run reports in one request.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) run: &'a str,
    pub(super) labels: BatchOfLabels,
    pub(super) metrics: Vec<LoggedPoint<'a>>,
}

/// A batch in the form that clients send, and no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainBatch<'a> {
    run_id: &'a str,
    #[serde(borrow, default)]
    metrics: Vec<PlainMetric<'a>>,
    #[serde(default)]
    params: Vec<PlainPair>,
    #[serde(default)]
    tags: Vec<PlainPair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainMetric<'a> {
    key: &'a str,
    value: f64,
    timestamp: i64,
    #[serde(default)]
    step: i64,
    #[serde(default)]
    model_id: &'a str,
    #[serde(default)]
    dataset_name: &'a str,
    #[serde(default)]
    dataset_digest: &'a str,
    /// That of the batch once more.
    #[serde(default)]
    #[expect(dead_code, reason = "clients repeat it, and nobody needs it")]
    run_id: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPair {
    key: String,
    value: String,
}

impl<'a> PlainBatch<'a> {
    /// Reads a body, if it is of this form.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let batch: Self = serde_json::from_slice(bytes).ok()?;
        let is_plain = !batch.run_id.is_empty() && batch.metrics.iter().all(|metric| !metric.key.is_empty());
        is_plain.then_some(batch)
    }
}

impl<'a> Batch<'a> {
    /// Checks a batch that was read already.
    pub(super) fn of_plain(plain: PlainBatch<'a>) -> Result<Self> {
        let pair = |pair: PlainPair| (pair.key, pair.value);
        let params = plain.params.into_iter().map(pair).collect();
        let tags = plain.tags.into_iter().map(pair).collect();
        let labels = BatchOfLabels { params, tags };
        counts(plain.metrics.len(), &labels)?;
        let mut metrics: Vec<LoggedPoint<'a>> = Vec::with_capacity(plain.metrics.len());
        for (at, metric) in plain.metrics.iter().enumerate() {
            let place = Place::InList(at);
            // metrics of one name mostly stand together
            if metrics.last().is_none_or(|before| before.key != metric.key) {
                name(metric.key, place)?;
            }
            if metric.timestamp < 0 {
                return Err(bad_timestamp(metric.key, &metric.timestamp.into(), place));
            }
            let point = Point { step: metric.step, at_ms: metric.timestamp, value: metric.value };
            let source = source_of(metric.model_id, metric.dataset_name, metric.dataset_digest)?;
            metrics.push(LoggedPoint { key: metric.key, point, source });
        }
        Self { run: plain.run_id, labels, metrics }.checked()
    }

    /// Reads and checks a batch of any form.
    pub(super) fn of_fields(fields: &'a Fields) -> Result<Self> {
        let run = fields.run_id()?;
        let labels = BatchOfLabels { params: fields.pairs("params")?, tags: fields.pairs("tags")? };
        let listed = match fields.get("metrics") {
            None => &[][..],
            Some(Value::Array(all)) => all,
            Some(other) => return Err(Refused::bad_value("metrics", other, "it must be a list.")),
        };
        counts(listed.len(), &labels)?;
        let read = |(at, metric): (usize, &'a Value)| match metric.as_object() {
            Some(fields) => metric_of(|name| fields.get(name).filter(|value| !value.is_null()), Place::InList(at)),
            None => Err(Refused::bad_value(&format!("metrics[{at}]"), metric, "it must be an object.")),
        };
        let metrics = listed.iter().enumerate().map(read).collect::<Result<_>>()?;
        Self { run, labels, metrics }.checked()
    }

    fn checked(mut self) -> Result<Self> {
        let BatchOfLabels { params, tags } = &mut self.labels;
        for (at, (key, value)) in params.iter_mut().enumerate() {
            let kept = limits::param(key, value, &format!("params[{at}]"))?.len();
            value.truncate(kept);
        }
        for (at, (key, value)) in tags.iter_mut().enumerate() {
            let kept = limits::run_tag(key, value, &format!("tags[{at}]"))?.len();
            value.truncate(kept);
        }
        let mut keys: Vec<&str> = params.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        let twice: Vec<&str> = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if !twice.is_empty() {
            return Err(Refused::invalid(format!(
                "Duplicate parameter keys have been submitted: {twice:?}. Please ensure the request contains only one \
                 param value per param key."
            )));
        }
        Ok(self)
    }
}

fn counts(metrics: usize, BatchOfLabels { params, tags }: &BatchOfLabels) -> Result<()> {
    limits::batch("metrics", limits::BATCH_METRICS_MAX, metrics)?;
    limits::batch("params", limits::BATCH_LABELS_MAX, params.len())?;
    limits::batch("tags", limits::BATCH_LABELS_MAX, tags.len())?;
    limits::batch("metrics, params, and tags", limits::BATCH_MAX, metrics + params.len() + tags.len())
}

/// Refuses metrics of logged models that never were; each is looked up once, and most metrics name none.
pub(super) async fn check_models(registry: &Registry, metrics: &[LoggedPoint<'_>]) -> Result<()> {
    let named = |metric: &LoggedPoint<'_>| metric.source.as_ref().map(|source| source.model.to_owned());
    let models: BTreeSet<String> = metrics.iter().filter_map(named).collect();
    for model in &models {
        registry.logged_model_or_deleted(model).await?;
    }
    Ok(())
}

/// The one metric of a request.
pub(super) fn metric(fields: &Fields) -> Result<LoggedPoint<'_>> {
    metric_of(|name| fields.get(name), Place::Request)
}

/// Where in a request a metric stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Request,
    InList(usize),
}

/// A field of a metric, for messages.
struct Field(Place, &'static str);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Request => f.write_str(self.1),
            Place::InList(at) => write!(f, "metrics[{at}].{}", self.1),
        }
    }
}

fn metric_of<'a>(get: impl Fn(&str) -> Option<&'a Value>, place: Place) -> Result<LoggedPoint<'a>> {
    let at = |field| Field(place, field).to_string();
    let required = |field| get(field).ok_or_else(|| Refused::missing(&at(field)));
    let text = |field| match get(field) {
        None => Ok(None),
        Some(Value::String(text)) if text.chars().any(char::is_control) => {
            Err(Refused::bad_value(&at(field), &text.as_str().into(), "it holds a control character."))
        }
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(Refused::bad_value(&at(field), other, "it must be a string.")),
    };
    let key = text("key")?.ok_or_else(|| Refused::missing(&at("key")))?;
    name(key, place)?;
    let value = required("value")?;
    let value = number(value).ok_or_else(|| {
        Refused::bad_value(&at("value"), value, "Please specify value as a valid double (64-bit floating point)")
    })?;
    let timestamp = required("timestamp")?;
    let at_ms = integer(timestamp).filter(|at_ms| *at_ms >= 0);
    let at_ms = at_ms.ok_or_else(|| bad_timestamp(key, timestamp, place))?;
    let step = match get("step") {
        None => 0,
        Some(step) => integer(step).ok_or_else(|| {
            let why = format!("metric '{key}'. Step must be a valid long (64-bit integer).");
            Refused::bad_value(&at("step"), step, why)
        })?,
    };
    let digest = text("dataset_digest")?.unwrap_or_default();
    let dataset = text("dataset_name")?.unwrap_or_default();
    let source = source_of(text("model_id")?.unwrap_or_default(), dataset, digest)?;
    Ok(LoggedPoint { key, point: Point { step, at_ms, value }, source })
}

/// The logged model that a metric was measured of, and on which dataset; empty where the client says nothing. Both become
/// part of a key of the store of points, whose length has a bound.
fn source_of<'a>(model: &'a str, dataset: &'a str, digest: &'a str) -> Result<Option<MetricSource<'a>>> {
    limits::length("dataset_name", limits::DATASET_NAME_CHARS_MAX, dataset)?;
    limits::length("dataset_digest", limits::DATASET_DIGEST_CHARS_MAX, digest)?;
    let named = (!dataset.is_empty()).then_some((dataset, digest));
    Ok((!model.is_empty()).then_some(MetricSource { model, dataset: named }))
}

fn name(key: &str, place: Place) -> Result<()> {
    limits::name(key, Field(place, "name"))?;
    limits::length("Metric name", limits::KEY_CHARS_MAX, key)
}

fn bad_timestamp(key: &str, timestamp: &Value, place: Place) -> Refused {
    let why = format!("metric '{key}'. Timestamp must be a nonnegative long (64-bit integer)");
    Refused::bad_value(&Field(place, "timestamp").to_string(), timestamp, why)
}

/// A number, or one of the texts by which clients write what JSON cannot.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" | "nan" => Some(f64::NAN),
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            other => other.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What is taken of a body either way, or the refusal.
    fn taken(batch: Result<Batch<'_>>) -> String {
        match batch {
            Ok(batch) => format!("{batch:?}"),
            Err(refused) => format!("{refused:?}"),
        }
    }

    fn any_form(bytes: &[u8]) -> String {
        match Fields::of_json(bytes) {
            Ok(fields) => taken(Batch::of_fields(&fields)),
            Err(refused) => format!("{refused:?}"),
        }
    }

    fn metric() -> impl Strategy<Value = Value> {
        let keys =
            prop_oneof![Just("loss"), Just(""), Just("a/b"), Just("../a"), Just("a;b"), Just("größe"), Just("a\nb")];
        let values = prop_oneof![
            any::<f64>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            Just(json!("NaN")),
            Just(Value::Null),
            Just(json!(true))
        ];
        let times = prop_oneof![any::<i64>().prop_map(|at| json!(at)), Just(json!("5")), Just(json!(3.0))];
        let steps = prop_oneof![any::<i64>().prop_map(|step| json!(step)), Just(Value::Null), Just(json!("x"))];
        let models = prop_oneof![3 => Just(json!("")), 1 => Just(json!("m-1")), 1 => Just(json!(5))];
        (keys, values, times, steps, models).prop_map(|(key, value, timestamp, step, model_id)| {
            json!({
                "key": key, "value": value, "timestamp": timestamp, "step": step, "model_id": model_id,
                "dataset_name": "flights", "dataset_digest": "abc",
            })
        })
    }

    proptest! {
        #[test]
        fn the_quick_reading_agrees_with_the_other(
            metrics in proptest::collection::vec(metric(), 0..3),
            run in prop_oneof![Just(""), Just("r1")],
            params in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("")], 0..3),
        ) {
            let params: Vec<Value> = params.iter().map(|key| json!({ "key": key, "value": "1" })).collect();
            let bytes = serde_json::to_vec(&json!({ "run_id": run, "metrics": metrics, "params": params })).unwrap();

            if let Some(plain) = PlainBatch::of(&bytes) {
                prop_assert_eq!(taken(Batch::of_plain(plain)), any_form(&bytes));
            }
        }
    }

    #[test]
    fn what_a_metric_was_measured_on_has_bounds() {
        let measured_on = |name: String, digest: String| {
            let metric = json!({
                "key": "loss", "value": 1.0, "timestamp": 5, "model_id": "m-1", "dataset_name": name,
                "dataset_digest": digest,
            });
            let bytes = serde_json::to_vec(&json!({ "run_id": "r1", "metrics": [metric] })).unwrap();
            let answer = taken(Batch::of_plain(PlainBatch::of(&bytes).expect("it is plain")));
            assert_eq!(answer, any_form(&bytes));
            answer
        };

        assert!(measured_on("n".repeat(500), "d".repeat(36)).contains("m-1"));
        for (name, digest) in [("n".repeat(501), String::new()), ("n".into(), "d".repeat(37))] {
            let answer = measured_on(name, digest);
            assert!(answer.contains("exceeds the maximum length"), "{answer}");
        }
    }

    #[test]
    fn what_clients_send_is_read_quickly() {
        let metric = json!({ "key": "loss", "value": 1, "timestamp": 5, "step": 2, "run_id": "r1" });
        let body = json!({ "run_id": "r1", "metrics": [metric], "tags": [{ "key": "a", "value": "b" }] });
        let bytes = serde_json::to_vec(&body).unwrap();

        let plain = PlainBatch::of(&bytes).expect("it is plain");

        assert_eq!(taken(Batch::of_plain(plain)), any_form(&bytes));
    }
}
