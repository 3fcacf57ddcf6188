//! The columns of a prediction log, and how answered rows become them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Array, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use mainspring_catalog::Principal;
use mainspring_features::{Value, array_of, arrow_type};
use mainspring_spec::{DataType, PREDICTION_LOG_COLUMNS};

use super::lot::Lot;
use crate::plan::{InputFrom, Plan};

/// The column under which a request field or feature is logged: its own name, unless that is taken.
#[must_use]
pub fn log_column(name: &str) -> String {
    if PREDICTION_LOG_COLUMNS.contains(&name) { format!("input_{name}") } else { name.to_owned() }
}

/// Where a logged column's values are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
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

    /// The rows of lots, which all have these columns, as a batch.
    pub(super) fn batch(&self, endpoint: &str, lots: &[Lot]) -> Result<RecordBatch, ArrowError> {
        let mut columns = fixed_columns(endpoint, lots);
        let numbers: Option<Vec<&[f64]>> = lots.iter().map(Lot::numbers).collect();
        let plan = lots.first().map(|lot| &lot.deployed().plan).filter(|_| numbers.is_some());
        let number_of = |(source, data_type): &(Source, DataType)| number_input(*source, *data_type, plan?);
        let inputs: Vec<usize> = self.sources.iter().filter_map(number_of).collect();
        let width = plan.map_or(0, |plan| plan.inputs.len());
        let mut numbers = numbers_of(&inputs, width, &numbers.unwrap_or_default()).into_iter();
        for column in &self.sources {
            if number_of(column).is_some()
                && let Some(numbers) = numbers.next()
            {
                columns.push(Arc::new(numbers));
                continue;
            }
            let (source, data_type) = column;
            let values: Vec<Value> = lots
                .iter()
                .flat_map(|lot| (0..lot.rows()).map(|row| fitting(lot.value(row, *source), *data_type)))
                .collect();
            columns.push(array_of(&values, *data_type));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// The input behind a column that is copied from requests of numbers, which are most of those that come in great numbers:
/// its values do not become [`Value`]s one by one. `None` when it is no such column.
fn number_input(source: Source, data_type: DataType, plan: &Plan) -> Option<usize> {
    let (Source::Field { input: Some(input), .. } | Source::Input { input }) = source else { return None };
    let planned = &plan.inputs[input];
    let is_number = data_type == DataType::Float64 && planned.data_type == data_type && planned.categories.is_none();
    is_number.then_some(input)
}

/// The columns of inputs, from rows of so many numbers: lot by lot, so that one is read from the cache for all but the first.
fn numbers_of(inputs: &[usize], width: usize, lots: &[&[f64]]) -> Vec<Float64Array> {
    let rows = lots.iter().map(|numbers| numbers.len() / width.max(1)).sum();
    let mut columns: Vec<Vec<f64>> = inputs.iter().map(|_| Vec::with_capacity(rows)).collect();
    for numbers in lots {
        for (column, input) in columns.iter_mut().zip(inputs) {
            column.extend(numbers.iter().skip(*input).step_by(width.max(1)));
        }
    }
    columns.into_iter().map(nullable).collect()
}

/// Not-a-numbers stand for what is not known.
fn nullable(numbers: Vec<f64>) -> Float64Array {
    let known = NullBuffer::from_iter(numbers.iter().map(|number| !number.is_nan()));
    let has_nulls = known.null_count() > 0;
    Float64Array::new(numbers.into(), has_nulls.then_some(known))
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

fn fixed_columns(endpoint: &str, lots: &[Lot]) -> Vec<ArrayRef> {
    let times = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut ids, mut predicted_at, mut as_of) = (StringBuilder::new(), times(), times());
    let (mut endpoints, mut models, mut versions) = (StringBuilder::new(), StringBuilder::new(), Int64Builder::new());
    let (mut callers, mut latencies, mut degraded) = (StringBuilder::new(), Int64Builder::new(), BooleanBuilder::new());
    let (mut values, mut classes, mut shares, mut given) =
        (Float64Builder::new(), StringBuilder::new(), StringBuilder::new(), BooleanBuilder::new());
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    for lot in lots {
        let live = lot.deployed().live.as_ref().filter(|_| !lot.is_fallback());
        let version = live.and_then(|live| i64::try_from(live.version).ok());
        let names: Vec<String> = lot.callers.iter().map(Principal::to_string).collect();
        let requests = lot.requests.iter().flat_map(|request| std::iter::repeat_n(request, request.rows));
        for (row, (id, request)) in lot.ids.iter().zip(requests).enumerate() {
            ids.append_value(id.as_hyphenated().encode_lower(&mut text));
            predicted_at.append_value(request.predicted_at);
            as_of.append_value(request.as_of);
            endpoints.append_value(endpoint);
            models.append_option(live.map(|live| live.model.as_str()));
            versions.append_option(version);
            callers.append_value(&names[request.caller]);
            latencies.append_value(request.latency_us);
            degraded.append_value(request.degraded);
            let answer = lot.prediction(row);
            values.append_value(answer.value);
            classes.append_option(answer.class);
            shares.append_option(answer.probabilities.and_then(|shares| serde_json::to_string(shares).ok()));
            given.append_value(lot.inputs_given());
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
