//! Labels that somebody pushes, by prediction or by the key of what was predicted. They lie in `monitoring.labels`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_spec::{DataType as ColumnType, Field as Column, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The schema and name of the table of pushed labels.
pub(crate) const LABELS_TABLE: (&str, &str) = ("monitoring", "labels");
/// The most labels in one push: each is checked in memory before any is written.
pub const LABELS_MAX: usize = 10_000;
/// Stands between the values of a key of several columns; no text of a key is likely to hold it.
pub(crate) const KEY_SEPARATOR: char = '\u{1f}';

/// What came of a prediction, pushed by whoever knows. It names the prediction by `prediction_id`, or by the `key` of the
/// model's observations; exactly one of them is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedLabel {
    /// The identifier that came with the prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction_id: Option<String>,
    /// The values of the observation's key columns, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Map<String, Value>>,
    /// True or false, a class, or a number, as the model's task has it.
    pub label: Value,
    /// When it became known. By default the moment of the push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<Timestamp>,
}

/// A pushed label as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredLabel {
    /// The model.
    pub model: String,
    /// The prediction, when it was named.
    pub prediction_id: Option<String>,
    /// The key's values as text, when it was named by key.
    pub key: Option<Vec<String>>,
    /// The label as text.
    pub label: String,
    /// When it became known.
    pub known_at: Timestamp,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// By whom.
    pub pushed_by: String,
}

/// What a push came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LabelsPushed {
    /// How many labels were given.
    pub given: u64,
    /// How many of them are new and durable now; the others were known already.
    pub landed: u64,
}

/// A label that can be used, as it will lie in the table.
#[derive(Debug)]
pub(crate) struct Checked {
    target: Target,
    label: String,
    known_at: Option<Timestamp>,
}

/// What a label is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Prediction(String),
    Key(String),
}

impl Target {
    /// What a stored label is of.
    fn of(stored: &StoredLabel) -> Option<Self> {
        let key = || stored.key.as_ref().map(|key| Self::Key(key.join(&KEY_SEPARATOR.to_string())));
        stored.prediction_id.clone().map(Self::Prediction).or_else(key)
    }

    pub(crate) fn prediction(&self) -> Option<&str> {
        match self {
            Self::Prediction(id) => Some(id),
            Self::Key(_) => None,
        }
    }

    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Prediction(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

impl Checked {
    /// What it is of.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }
}

fn schema() -> SchemaRef {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("model", DataType::Utf8, true),
        Field::new("prediction_id", DataType::Utf8, true),
        Field::new("key", DataType::Utf8, true),
        Field::new("label", DataType::Utf8, true),
        Field::new("known_at", moment.clone(), true),
        Field::new("pushed_at", moment, true),
        Field::new("pushed_by", DataType::Utf8, true),
    ]))
}

/// Checks labels. All or none are good.
pub(crate) fn checked(model: &str, task: Task, key: &[Column], labels: &[PushedLabel]) -> Result<Vec<Checked>> {
    if labels.len() > LABELS_MAX {
        return Err(Error::TooManyLabels { given: labels.len(), most: LABELS_MAX });
    }
    let check = |pushed: &PushedLabel| -> Result<Checked, String> {
        let target = match (&pushed.prediction_id, &pushed.key) {
            (Some(id), None) if id.is_empty() => return Err("has an empty `prediction_id`".to_owned()),
            (Some(id), None) => Target::Prediction(id.clone()),
            (None, Some(values)) => Target::Key(key_text(key, values)?),
            _ => return Err("must have either `prediction_id` or `key`".into()),
        };
        Ok(Checked { target, label: label_text(task, &pushed.label)?, known_at: pushed.known_at })
    };
    let mut said: HashMap<(Target, Option<Timestamp>), (usize, String)> = HashMap::new();
    let mut all = Vec::with_capacity(labels.len());
    for (pushed, position) in labels.iter().zip(1..) {
        let invalid = |reason: String| Error::InvalidLabel { model: model.to_owned(), position, reason };
        let label = check(pushed).map_err(invalid)?;
        let said = said.entry((label.target.clone(), label.known_at)).or_insert((position, label.label.clone()));
        if said.1 != label.label {
            let reason = format!("contradicts label {}: the later one needs a later `known_at`", said.0);
            return Err(invalid(reason));
        }
        all.push(label);
    }
    Ok(all)
}

/// Those labels that say something new. One is known already when it was stored with the same moment; and, where it
/// says no moment, when it repeats what was known last of its prediction: so a push that is tried again lands once, and
/// a label that is taken back and then given again lands again.
pub(crate) fn new_among(labels: Vec<Checked>, stored: &[StoredLabel], now: Timestamp) -> Vec<Checked> {
    let mut known: HashMap<Target, Vec<(Timestamp, String)>> = HashMap::new();
    for label in stored {
        if let Some(target) = Target::of(label) {
            known.entry(target).or_default().push((label.known_at, label.label.clone()));
        }
    }
    let mut new = vec![];
    for label in labels {
        let known = known.entry(label.target.clone()).or_default();
        let is_known = match label.known_at {
            Some(at) => {
                let at = microseconds(at);
                known.iter().any(|(known_at, text)| *known_at == at && *text == label.label)
            }
            None => {
                let last = known.iter().filter(|(at, _)| *at <= now).max_by_key(|(at, _)| *at);
                last.is_some_and(|(_, text)| *text == label.label)
            }
        };
        if !is_known {
            known.push((microseconds(label.known_at.unwrap_or(now)), label.label.clone()));
            new.push(label);
        }
    }
    new
}

/// A moment as the table keeps it.
fn microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Lays labels out as rows of the table.
pub(crate) fn batch_of(model: &str, labels: &[Checked], now: Timestamp, principal: &Principal) -> Result<RecordBatch> {
    let rows = labels.len();
    let moments = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let same = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
    let by = format!("{}:{}", principal.kind.as_str(), principal.name);
    let texts = |of: fn(&Checked) -> Option<&str>| Arc::new(labels.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let columns = vec![
        same(model),
        texts(|label| label.target.prediction()),
        texts(|label| label.target.key()),
        texts(|label| Some(label.label.as_str())),
        moments(labels.iter().map(|label| label.known_at.unwrap_or(now).as_microsecond()).collect()),
        moments(vec![now.as_microsecond(); rows]),
        same(&by),
    ];
    RecordBatch::try_new(schema(), columns)
        .map_err(|error| Error::Table { table: "monitoring.labels".into(), reason: error.to_string() })
}

/// The label as the text that the join casts back.
fn label_text(task: Task, label: &Value) -> Result<String, String> {
    match task {
        Task::Binary => match label {
            Value::Bool(value) => Ok(value.to_string()),
            Value::Number(number) if number.as_f64() == Some(0.0) => Ok("false".into()),
            Value::Number(number) if number.as_f64() == Some(1.0) => Ok("true".into()),
            Value::String(text) if matches!(text.as_str(), "true" | "false") => Ok(text.clone()),
            other => Err(format!("is {other}, which is neither true nor false")),
        },
        Task::Regression => match label.as_f64() {
            Some(value) => Ok(value.to_string()),
            None => Err(format!("is {label}, which is not a number")),
        },
        Task::Multiclass => match label {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            other => Err(format!("is {other}, which is not a class; write its name")),
        },
    }
}

/// The key's values, each as the query engine writes it as text, in the order of the key's columns.
fn key_text(key: &[Column], values: &Map<String, Value>) -> Result<String, String> {
    if key.is_empty() {
        return Err(
            "is named by key, but the model's observations have none; declare `key:` there, or push by prediction_id"
                .into(),
        );
    }
    if let Some(unknown) = values.keys().find(|name| !key.iter().any(|column| column.name == **name)) {
        let known: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        return Err(format!("has `{unknown}` in its key; the key is {}", known.join(", ")));
    }
    let mut parts = Vec::with_capacity(key.len());
    for column in key {
        let value = values.get(&column.name).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| format!("has no `{}` in its key", column.name))?;
        let text = canonical_text(column, value).ok_or_else(|| {
            format!("has {value} for `{}` in its key, which is not a {}", column.name, column.data_type)
        })?;
        parts.push(text);
    }
    Ok(parts.join(&KEY_SEPARATOR.to_string()))
}

/// A JSON value as the query engine writes the column's value as text: `CAST(column AS VARCHAR)`.
fn canonical_text(column: &Column, value: &Value) -> Option<String> {
    let target = match column.data_type {
        ColumnType::String => return Some(value.as_str()?.to_owned()),
        ColumnType::Bool => return Some(value.as_bool()?.to_string()),
        ColumnType::Int64 => return Some(value.as_i64()?.to_string()),
        ColumnType::Float64 => {
            let array: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![value.as_f64()?]));
            return first_text(&array);
        }
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Date => DataType::Date32,
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec![value.as_str()?]));
    first_text(&cast(&text, &target).ok()?)
}

fn first_text(array: &ArrayRef) -> Option<String> {
    let texts = cast(array, &DataType::Utf8).ok()?;
    let texts = texts.as_string_opt::<i32>()?;
    texts.is_valid(0).then(|| texts.value(0).to_owned())
}

/// Reads rows of the table back.
pub(crate) fn stored_labels(batches: &[RecordBatch]) -> Vec<StoredLabel> {
    let mut labels = Vec::new();
    for batch in batches {
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let moment = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
            Timestamp::from_microsecond(column.value(row)).ok()
        };
        for row in 0..batch.num_rows() {
            labels.push(StoredLabel {
                model: text("model", row).unwrap_or_default(),
                prediction_id: text("prediction_id", row),
                key: text("key", row).map(|key| key.split(KEY_SEPARATOR).map(str::to_owned).collect()),
                label: text("label", row).unwrap_or_default(),
                known_at: moment("known_at", row).unwrap_or_default(),
                pushed_at: moment("pushed_at", row).unwrap_or_default(),
                pushed_by: text("pushed_by", row).unwrap_or_default(),
            });
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column(name: &str, data_type: ColumnType) -> Column {
        Column { name: name.into(), data_type }
    }

    fn push(key: &[Column], task: Task, label: Value) -> Result<Vec<StoredLabel>> {
        let labels: Vec<PushedLabel> = serde_json::from_value(json!([label])).unwrap();
        let now = "2013-08-01T00:00:00Z".parse().unwrap();
        let batch = batch_of("delay", &checked("delay", task, key, &labels)?, now, &Principal::local_owner())?;
        Ok(stored_labels(&[batch]))
    }

    #[test]
    fn key_is_written_as_the_engine_writes_it() {
        let key = [
            column("flight", ColumnType::Int64),
            column("origin", ColumnType::String),
            column("scheduled", ColumnType::Timestamp),
        ];
        let label = json!({"key": {"scheduled": "2013-07-01T05:15:00Z", "origin": "JFK", "flight": 11}, "label": true});

        let stored = push(&key, Task::Binary, label).unwrap();

        assert_eq!(stored[0].key.as_deref().unwrap(), ["11", "JFK", "2013-07-01T05:15:00Z"]);
        assert_eq!((stored[0].label.as_str(), stored[0].known_at), ("true", "2013-08-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn labels_that_cannot_be_used_are_named() {
        let key = [column("flight", ColumnType::Int64)];
        let cases = [
            (Task::Binary, json!({"label": true}), "either `prediction_id` or `key`"),
            (Task::Binary, json!({"prediction_id": "", "label": true}), "empty `prediction_id`"),
            (Task::Binary, json!({"prediction_id": "p", "label": "late"}), "neither true nor false"),
            (Task::Regression, json!({"prediction_id": "p", "label": "late"}), "not a number"),
            (Task::Multiclass, json!({"prediction_id": "p", "label": [1]}), "not a class"),
            (Task::Binary, json!({"key": {"flight": "x"}, "label": true}), "is not a int64"),
            (Task::Binary, json!({"key": {}, "label": true}), "no `flight`"),
            (Task::Binary, json!({"key": {"flight": 1, "tail": "N1"}, "label": true}), "has `tail`"),
        ];
        for (task, label, words) in cases {
            let error = push(&key, task, label.clone()).unwrap_err().to_string();

            assert!(error.contains(words) && error.contains("label 1"), "{label}: {error}");
        }
    }

    #[test]
    fn labels_of_one_push_do_not_contradict_each_other() {
        let labels = json!([{"prediction_id": "p", "label": true}, {"prediction_id": "p", "label": 0}]);
        let labels: Vec<PushedLabel> = serde_json::from_value(labels).unwrap();

        let error = checked("delay", Task::Binary, &[], &labels).unwrap_err().to_string();

        assert!(error.starts_with("label 2 of those pushed") && error.contains("contradicts label 1"), "{error}");
    }

    #[test]
    fn what_is_known_already_is_passed_over_and_what_was_taken_back_lands_again() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut stored: Vec<StoredLabel> = vec![];
        let mut push = |label: Value, now: i64| {
            let labels: Vec<PushedLabel> = serde_json::from_value(json!([label, label])).unwrap();
            let new = new_among(checked("delay", Task::Binary, &[], &labels).unwrap(), &stored, at(now));
            let batch = batch_of("delay", &new, at(now), &Principal::local_owner()).unwrap();
            stored.extend(stored_labels(&[batch]));
            new.len()
        };
        let late = json!({"prediction_id": "p", "label": true});

        let landed = [
            push(late.clone(), 10),
            push(late.clone(), 20),
            push(json!({"prediction_id": "p", "label": false}), 30),
            push(late.clone(), 40),
            push(json!({"prediction_id": "p", "label": true, "known_at": "1970-01-01T00:00:05Z"}), 50),
            push(json!({"prediction_id": "p", "label": true, "known_at": "1970-01-01T00:00:05Z"}), 60),
            push(json!({"prediction_id": "q", "label": true}), 70),
        ];

        assert_eq!(landed, [1, 0, 1, 1, 1, 0, 1]);
    }
}
