//! Answered rows on their way to the log, close together.
//!
//! A request leaves nothing behind but its rows' values: what it was made of is given back on the thread that made it, while
//! it is still in its cache, and the writer reads rows one after the other instead of looking for them all over the memory.

use std::sync::Arc;

use mainspring_catalog::Principal;
use mainspring_features::Value;
use mainspring_spec::DataType;
use uuid::Uuid;

use super::columns::{LogColumns, Source};
use crate::answer::{Prediction, prediction};
use crate::deployed::Deployed;
use crate::plan::InputFrom;
use crate::{Given, PlannedInput, Question};

/// Rows of a lot, unless one request brings more: what it holds is copied when it grows, by a request that waits meanwhile.
const LOT_ROWS: usize = 512;

/// An answered request.
pub(crate) struct Entry<'a> {
    pub(crate) deployed: &'a Arc<Deployed>,
    pub(crate) question: Arc<Question>,
    pub(crate) ids: &'a [Uuid],
    /// Shape `[rows, features]`; empty when none were looked up.
    pub(crate) features: Vec<Value>,
    /// Shape `[rows, outputs]`, or `[rows]` for the fallback.
    pub(crate) scores: &'a [f64],
    pub(crate) is_fallback: bool,
    pub(crate) degraded: bool,
    pub(crate) predicted_at: i64,
    pub(crate) as_of: i64,
    pub(crate) caller: &'a Principal,
    pub(crate) latency_us: i64,
}

/// Rows that were asked in one form and answered by one version.
pub(crate) struct Lot {
    kind: Kind,
    deployed: Arc<Deployed>,
    pub(super) requests: Vec<Request>,
    pub(super) callers: Vec<Principal>,
    pub(super) ids: Vec<Uuid>,
    scores: Vec<f64>,
    /// What was given, row by row: as numbers, or as values.
    numbers: Vec<f64>,
    values: Vec<Value>,
    features: Vec<Value>,
}

/// What the rows of one request have in common.
pub(super) struct Request {
    pub(super) rows: usize,
    /// Among the lot's callers.
    pub(super) caller: usize,
    pub(super) predicted_at: i64,
    pub(super) as_of: i64,
    pub(super) latency_us: i64,
    pub(super) degraded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    form: Form,
    has_features: bool,
    is_fallback: bool,
}

/// The forms of [`Given`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Fields,
    Inputs,
    Numbers,
}

impl Entry<'_> {
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    fn kind(&self) -> Kind {
        let form = match &self.question.given {
            Given::Fields(_) => Form::Fields,
            Given::Inputs(_) => Form::Inputs,
            Given::Numbers(_) => Form::Numbers,
        };
        Kind { form, has_features: !self.features.is_empty(), is_fallback: self.is_fallback }
    }
}

impl Lot {
    /// Room for rows like those of an entry.
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        Self {
            kind: entry.kind(),
            deployed: Arc::clone(entry.deployed),
            requests: vec![],
            callers: vec![],
            ids: vec![],
            scores: vec![],
            numbers: vec![],
            values: vec![],
            features: vec![],
        }
    }

    /// Whether an entry belongs here, among rows of which there are at most so many.
    pub(super) fn takes(&self, entry: &Entry<'_>, rows_max: usize) -> bool {
        self.rows() + entry.rows() <= rows_max.min(LOT_ROWS)
            && Arc::ptr_eq(&self.deployed, entry.deployed)
            && self.kind == entry.kind()
    }

    /// Appends the rows of an entry that belongs here.
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        let known = self.callers.iter().rposition(|caller| caller == entry.caller);
        let caller = known.unwrap_or_else(|| {
            self.callers.push(entry.caller.clone());
            self.callers.len() - 1
        });
        self.requests.push(Request {
            rows: entry.rows(),
            caller,
            predicted_at: entry.predicted_at,
            as_of: entry.as_of,
            latency_us: entry.latency_us,
            degraded: entry.degraded,
        });
        self.ids.extend_from_slice(entry.ids);
        self.scores.extend_from_slice(entry.scores);
        self.features.extend(entry.features);
        // work that was given up may still read the question
        match Arc::try_unwrap(entry.question).map(|question| question.given) {
            Ok(Given::Numbers(numbers)) => self.numbers.extend_from_slice(&numbers),
            Ok(Given::Fields(values) | Given::Inputs(values)) => self.values.extend(values),
            Err(shared) => match &shared.given {
                Given::Numbers(numbers) => self.numbers.extend_from_slice(numbers),
                Given::Fields(values) | Given::Inputs(values) => self.values.extend_from_slice(values),
            },
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn columns(&self) -> &Arc<LogColumns> {
        &self.deployed.columns
    }

    pub(super) fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    pub(super) fn is_fallback(&self) -> bool {
        self.kind.is_fallback
    }

    /// Whether the model's inputs were given, and not entity keys and request values.
    pub(super) fn inputs_given(&self) -> bool {
        self.kind.form != Form::Fields
    }

    /// What was given as numbers, shape `[rows, inputs]`.
    pub(super) fn numbers(&self) -> Option<&[f64]> {
        (self.kind.form == Form::Numbers).then_some(&self.numbers)
    }

    pub(super) fn prediction(&self, row: usize) -> Prediction<'_> {
        prediction(&self.deployed, self.kind.is_fallback, &self.scores, row)
    }

    /// The value of a logged column in a row.
    pub(super) fn value(&self, row: usize, source: Source) -> Value {
        let plan = &self.deployed.plan;
        let at = |values: &[Value], width: usize, place: usize| values.get(row * width + place).cloned();
        let found = match (self.kind.form, source) {
            (Form::Fields, Source::Field { field, .. }) => at(&self.values, plan.fields.len(), field),
            (Form::Fields, Source::Input { input, .. }) => match plan.inputs[input].from {
                InputFrom::Feature(feature) => at(&self.features, plan.features.len(), feature),
                InputFrom::Field(_) => None,
            },
            (Form::Inputs, Source::Field { input: Some(input), .. } | Source::Input { input }) => {
                at(&self.values, plan.inputs.len(), input)
            }
            (Form::Numbers, Source::Field { input: Some(input), .. } | Source::Input { input }) => {
                let number = self.numbers.get(row * plan.inputs.len() + input).copied();
                number.map(|number| named(number, &plan.inputs[input]))
            }
            (Form::Inputs | Form::Numbers, Source::Field { input: None, .. }) => None,
        };
        found.unwrap_or_default()
    }
}

/// What a number given for an input stands for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, or saturating as it should")]
fn named(number: f64, input: &PlannedInput) -> Value {
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
