//! The columns of a prediction log, and how entries become them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Array, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use mainspring_features::{Value, array_of, arrow_type};
use mainspring_spec::{DataType, PREDICTION_LOG_COLUMNS};
use uuid::Uuid;

use crate::answer::prediction;
use crate::deployed::Deployed;
use crate::plan::{InputFrom, Plan};
use crate::{Given, Question};

/// The column under which a request field or feature is logged: its own name, unless that is taken.
#[must_use]
pub fn log_column(name: &str) -> String {
    if PREDICTION_LOG_COLUMNS.contains(&name) { format!("input_{name}") } else { name.to_owned() }
}

/// An answered request.
pub(crate) struct Entry {
    pub(crate) deployed: Arc<Deployed>,
    pub(crate) question: Arc<Question>,
    pub(crate) ids: Vec<Uuid>,
    /// Shape `[rows, features]`; empty when none were looked up.
    pub(crate) features: Vec<Value>,
    pub(crate) scores: Arc<[f64]>,
    pub(crate) is_fallback: bool,
    pub(crate) degraded: bool,
    pub(crate) predicted_at: i64,
    pub(crate) as_of: i64,
    pub(crate) caller: String,
    pub(crate) latency_us: i64,
}

impl Entry {
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn columns(&self) -> &Arc<LogColumns> {
        &self.deployed.columns
    }

    /// The value of a logged column in a row.
    fn value(&self, row: usize, source: Source) -> Value {
        let plan = &self.deployed.plan;
        let at = |values: &[Value], width: usize, place: usize| values.get(row * width + place).cloned();
        let found = match (&self.question.given, source) {
            (Given::Fields(fields), Source::Field { field, .. }) => at(fields, plan.fields.len(), field),
            (Given::Fields(_), Source::Input { input, .. }) => match plan.inputs[input].from {
                InputFrom::Feature(feature) => at(&self.features, plan.features.len(), feature),
                InputFrom::Field(_) => None,
            },
            (Given::Inputs(values), Source::Field { input: Some(input), .. } | Source::Input { input }) => {
                at(values, plan.inputs.len(), input)
            }
            (Given::Numbers(numbers), Source::Field { input: Some(input), .. } | Source::Input { input }) => {
                let number = numbers.get(row * plan.inputs.len() + input).copied();
                number.map(|number| named(number, &plan.inputs[input]))
            }
            (Given::Inputs(_) | Given::Numbers(_), Source::Field { input: None, .. }) => None,
        };
        found.unwrap_or_default()
    }
}

/// What a number given for an input stands for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, or saturating as it should")]
fn named(number: f64, input: &crate::PlannedInput) -> Value {
    if number.is_nan() {
        return Value::Null;
    }
    if let Some(categories) = &input.categories {
        let known = (number >= 0.0 && number.fract() == 0.0).then(|| categories.get(number as usize)).flatten();
        return known.map_or(Value::Null, |text| Value::Text(text.as_str().into()));
    }
    match input.data_type {
        DataType::Bool => Value::Bool(number != 0.0),
        DataType::Int64 => Value::Int(number as i64),
        DataType::Float64 => Value::Float(number),
        DataType::Timestamp => Value::Timestamp(number as i64),
        DataType::Date => Value::Date(number as i32),
        DataType::String => Value::Null,
    }
}

/// Where a logged column's values are.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A request field, which may also be an input.
    Field { field: usize, input: Option<usize> },
    /// An input that is no field.
    Input { input: usize },
}

/// The columns of one plan.
#[derive(Debug)]
pub(crate) struct LogColumns {
    schema: SchemaRef,
    /// After the fixed ones.
    sources: Vec<(Source, DataType)>,
}

impl LogColumns {
    pub(crate) fn of(plan: &Plan) -> Self {
        let time = || ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fixed = PREDICTION_LOG_COLUMNS.map(|name| {
            let kind = match name {
                "predicted_at" | "as_of" => time(),
                "model_version" | "latency_us" => ArrowType::Int64,
                "degraded" | "inputs_given" => ArrowType::Boolean,
                "prediction" => ArrowType::Float64,
                _ => ArrowType::Utf8,
            };
            Field::new(name, kind, true)
        });
        let mut fields: Vec<Field> = fixed.into();
        let mut sources = Vec::new();
        let mut names: HashSet<&str> = HashSet::new();
        for (at, field) in plan.fields.iter().enumerate() {
            names.insert(&field.name);
            let input = plan.inputs.iter().position(|input| input.from == InputFrom::Field(at));
            sources.push((Source::Field { field: at, input }, field.data_type));
            fields.push(Field::new(log_column(&field.name), arrow_type(field.data_type), true));
        }
        for (at, input) in plan.inputs.iter().enumerate() {
            if names.insert(&input.name) {
                sources.push((Source::Input { input: at }, input.data_type));
                fields.push(Field::new(log_column(&input.name), arrow_type(input.data_type), true));
            }
        }
        Self { schema: Arc::new(Schema::new(fields)), sources }
    }

    /// The entries, which all have these columns, as a batch.
    pub(super) fn batch(&self, endpoint: &str, entries: &[Entry]) -> Result<RecordBatch, ArrowError> {
        let mut columns = fixed_columns(endpoint, entries);
        for (source, data_type) in &self.sources {
            if let Some(numbers) = numbers_of(*source, *data_type, entries) {
                columns.push(Arc::new(numbers));
                continue;
            }
            let values: Vec<Value> = entries
                .iter()
                .flat_map(|entry| (0..entry.rows()).map(|row| fitting(entry.value(row, *source), *data_type)))
                .collect();
            columns.push(array_of(&values, *data_type));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// A column of numbers from requests that brought numbers only, which are most of those that come in great numbers: copied
/// without becoming values one by one. `None` when it is no such column.
fn numbers_of(source: Source, data_type: DataType, entries: &[Entry]) -> Option<Float64Array> {
    let (Source::Field { input: Some(input), .. } | Source::Input { input }) = source else { return None };
    let fits = |entry: &Entry| {
        let planned = &entry.deployed.plan.inputs[input];
        matches!(entry.question.given, Given::Numbers(_))
            && planned.data_type == DataType::Float64
            && planned.categories.is_none()
    };
    if data_type != DataType::Float64 || !entries.iter().all(fits) {
        return None;
    }
    Some(entries.iter().flat_map(|entry| numbers_in(entry, input)).collect())
}

/// What a request of numbers brought for an input, row by row.
fn numbers_in(entry: &Entry, input: usize) -> impl Iterator<Item = Option<f64>> + '_ {
    let width = entry.deployed.plan.inputs.len();
    let numbers = match &entry.question.given {
        Given::Numbers(numbers) => numbers.as_slice(),
        Given::Fields(_) | Given::Inputs(_) => &[],
    };
    let given = (0..entry.rows()).map(move |row| numbers.get(row * width + input).copied());
    given.map(|number| number.filter(|number| !number.is_nan()))
}

/// A value that a caller sent as another number type than the column's, as the column's; null when it is none.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "checked, or what the model saw")]
fn fitting(value: Value, data_type: DataType) -> Value {
    match (value, data_type) {
        (value @ Value::Bool(_), DataType::Bool)
        | (value @ Value::Int(_), DataType::Int64)
        | (value @ Value::Float(_), DataType::Float64)
        | (value @ Value::Text(_), DataType::String)
        | (value @ Value::Timestamp(_), DataType::Timestamp)
        | (value @ Value::Date(_), DataType::Date) => value,
        (Value::Int(whole), DataType::Float64) => Value::Float(whole as f64),
        (Value::Float(number), DataType::Int64) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
            Value::Int(number as i64)
        }
        (Value::Int(flag @ (0 | 1)), DataType::Bool) => Value::Bool(flag == 1),
        (Value::Bool(flag), DataType::Int64) => Value::Int(i64::from(flag)),
        (Value::Bool(flag), DataType::Float64) => Value::Float(f64::from(u8::from(flag))),
        (Value::Int(micros), DataType::Timestamp) => Value::Timestamp(micros),
        _ => Value::Null,
    }
}

fn fixed_columns(endpoint: &str, entries: &[Entry]) -> Vec<ArrayRef> {
    let times = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut ids, mut predicted_at, mut as_of) = (StringBuilder::new(), times(), times());
    let (mut endpoints, mut models, mut versions) = (StringBuilder::new(), StringBuilder::new(), Int64Builder::new());
    let (mut callers, mut latencies, mut degraded) = (StringBuilder::new(), Int64Builder::new(), BooleanBuilder::new());
    let (mut values, mut classes, mut shares, mut given) =
        (Float64Builder::new(), StringBuilder::new(), StringBuilder::new(), BooleanBuilder::new());
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    for entry in entries {
        let live = entry.deployed.live.as_ref().filter(|_| !entry.is_fallback);
        for (row, id) in entry.ids.iter().enumerate() {
            ids.append_value(id.as_hyphenated().encode_lower(&mut text));
            predicted_at.append_value(entry.predicted_at);
            as_of.append_value(entry.as_of);
            endpoints.append_value(endpoint);
            models.append_option(live.map(|live| live.model.as_str()));
            versions.append_option(live.and_then(|live| i64::try_from(live.version).ok()));
            callers.append_value(&entry.caller);
            latencies.append_value(entry.latency_us);
            degraded.append_value(entry.degraded);
            let answer = prediction(&entry.deployed, entry.is_fallback, &entry.scores, row);
            values.append_value(answer.value);
            classes.append_option(answer.class);
            shares.append_option(answer.probabilities.and_then(|shares| serde_json::to_string(shares).ok()));
            given.append_value(!matches!(entry.question.given, Given::Fields(_)));
        }
    }
    vec![
        Arc::new(ids.finish()),
        Arc::new(predicted_at.finish()),
        Arc::new(as_of.finish()),
        Arc::new(endpoints.finish()),
        Arc::new(models.finish()),
        Arc::new(versions.finish()),
        Arc::new(callers.finish()),
        Arc::new(latencies.finish()),
        Arc::new(degraded.finish()),
        Arc::new(values.finish()),
        Arc::new(classes.finish()),
        Arc::new(shares.finish()),
        Arc::new(given.finish()),
    ]
}
