//! The middle of the way: features, then scores. Pure computation over what was parsed, so that it runs on the request's
//! thread when it is short and on another when it is long.

use std::time::{Duration, Instant};

use mainspring_features::Value;
use mainspring_kernel::{Matrix, Value as Encodable};

use crate::deployed::Live;
use crate::plan::{InputFrom, Plan};
use crate::{Error, Given, Question};

/// What came of the computation.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    /// Shape `[rows, features]` by the plan; empty when features were given or could not be had.
    pub(crate) features: Vec<Value>,
    /// Shape `[rows, outputs]`.
    pub(crate) scores: Vec<f64>,
    /// Why features could not be read, when the answer was made without them.
    pub(crate) without_features: Option<String>,
    pub(crate) misses: u64,
    pub(crate) features_took: Duration,
    pub(crate) score_took: Duration,
}

/// Looks features up and scores.
///
/// # Errors
/// [`Error::Features`] when they cannot be read and `may_miss_features` is not set; [`Error::Kernel`] otherwise.
pub(crate) fn work(
    endpoint: &str,
    plan: &Plan,
    live: &Live,
    question: &Question,
    at: i64,
    may_miss_features: bool,
) -> Result<Worked, Error> {
    let mut worked = Worked::default();
    let started = Instant::now();
    if let (Given::Fields(fields), Some(lookup), false) = (&question.given, &live.lookup, plan.features.is_empty()) {
        match lookup.look_up(fields, &vec![at; question.rows]) {
            Ok(found) => {
                (worked.features, worked.misses, worked.without_features) =
                    (found.features, found.misses, found.unavailable);
            }
            Err(reason) => worked.without_features = Some(reason),
        }
        if let (Some(reason), false) = (&worked.without_features, may_miss_features) {
            return Err(Error::Features { endpoint: endpoint.to_owned(), reason: reason.clone() });
        }
    }
    let looked_up = Instant::now();
    worked.features_took = looked_up - started;
    worked.scores = score(plan, live, question, &worked.features)?;
    worked.score_took = looked_up.elapsed();
    Ok(worked)
}

fn score(plan: &Plan, live: &Live, question: &Question, features: &[Value]) -> Result<Vec<f64>, Error> {
    let (scorer, rows) = (&live.scorer, question.rows);
    let mut scores = vec![0.0; rows * scorer.outputs()];
    if let (Given::Numbers(numbers), true) = (&question.given, live.numbers_are_encoded) {
        scorer.score_batch(rows, numbers, &mut scores)?;
        return Ok(scores);
    }
    let encoder = scorer.encoder();
    let columns = encoder.columns();
    let mut matrix = Matrix { rows, columns, values: vec![f64::NAN; rows * columns] };
    let inputs = plan.inputs.len();
    for (number, row) in matrix.values.chunks_exact_mut(columns.max(1)).enumerate() {
        match &question.given {
            Given::Numbers(numbers) => encoder.encode_numbers(&numbers[number * inputs..(number + 1) * inputs], row),
            Given::Inputs(values) => {
                encoder.encode_row(values[number * inputs..(number + 1) * inputs].iter().map(encodable), row);
            }
            Given::Fields(fields) => {
                let fields = fields.get(number * plan.fields.len()..).unwrap_or_default();
                let features = features.get(number * plan.features.len()..).unwrap_or_default();
                let values = plan.inputs.iter().map(|input| match input.from {
                    InputFrom::Field(at) => fields.get(at),
                    InputFrom::Feature(at) => features.get(at),
                });
                encoder.encode_row(values.map(|value| value.map_or(Encodable::Null, encodable)), row);
            }
        }
    }
    scorer.score_batch(rows, &matrix.values, &mut scores)?;
    Ok(scores)
}

fn encodable(value: &Value) -> Encodable<'_> {
    match value {
        Value::Null => Encodable::Null,
        Value::Bool(flag) => Encodable::Bool(*flag),
        Value::Int(whole) => Encodable::Int(*whole),
        Value::Float(number) => Encodable::Float(*number),
        Value::Text(text) => Encodable::Text(text),
        Value::Timestamp(micros) => Encodable::Timestamp(*micros),
        Value::Date(days) => Encodable::Int(i64::from(*days)),
    }
}
