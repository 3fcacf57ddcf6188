//! The check that training and serving agree: what was served is computed again, offline.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::prelude::DataFrame;
use mainspring_lake::{At, TableName};
use mainspring_spec::InputRef;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::FeatureStore;
use crate::value::{Value, arrow_type};

/// The most mismatches that a report shows in full; all are counted.
pub const MISMATCHES_SHOWN: usize = 100;
/// The log's column that says that a caller sent the model's inputs; older logs lack it.
const INPUTS_GIVEN: &str = "inputs_given";
/// The start of the names under which served values are put beside those computed again.
const SERVED: &str = "mainspring_served_";

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The endpoint.
    pub endpoint: String,
    /// Predictions in the log.
    pub rows_logged: u64,
    /// Predictions that were computed again.
    pub rows_checked: u64,
    /// Predictions passed over because they were served without some of their features, and said so.
    pub rows_degraded: u64,
    /// Predictions passed over because the caller sent the model's inputs, so that no feature was looked up.
    pub rows_given: u64,
    /// Values compared.
    pub values_compared: u64,
    /// Values that differ.
    pub values_different: u64,
    /// The first of them.
    pub mismatches: Vec<Mismatch>,
}

/// A feature that was served with another value than the one computed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The prediction.
    pub prediction_id: String,
    /// The moment it was made for.
    pub as_of: serde_json::Value,
    /// The feature.
    pub feature: String,
    /// The value served.
    pub served: serde_json::Value,
    /// The value computed from the tables as they are now, as known at that moment.
    pub recomputed: serde_json::Value,
}

impl FeatureStore {
    /// Computes a sample of an endpoint's predictions' features again from the tables, as known at the moment each was made
    /// for, and compares them bit for bit. A row that became known by that moment but was served before it was
    /// materialised shows as a mismatch too: it is one.
    ///
    /// # Errors
    /// When the endpoint has no log, or the log lacks columns.
    pub async fn check(&self, endpoint: &str, sample: usize) -> Result<CheckReport> {
        let wrong = |reason: String| Error::Check { endpoint: endpoint.to_owned(), reason };
        let declared = self.project.endpoints.get(endpoint).ok_or_else(|| wrong("there is no such endpoint".into()))?;
        let model = self.project.resolve_model(&declared.model).map_err(|error| Error::Project(error.to_string()))?;
        let features: Vec<InputRef> =
            model.inputs.into_iter().filter(|input| matches!(input, InputRef::Feature { .. })).collect();
        let log = TableName::new("predictions", endpoint)?;
        if self.lake.version(&log).await?.is_none() {
            return Err(wrong("no prediction has been logged yet".into()));
        }
        let log = self.lake.read(&log, At::Latest).await?;
        let rows_logged = log.clone().count().await? as u64;
        let served = log.clone().filter(column("degraded").is_not_true())?;
        let rows_whole = served.clone().count().await? as u64;
        let served = match served.schema().index_of_column_by_name(None, INPUTS_GIVEN) {
            Some(_) => served.filter(column(INPUTS_GIVEN).is_not_true())?,
            None => served,
        };
        let rows_served = served.clone().count().await? as u64;
        let plan = self.plan(&features).await?;
        let sampled = sampled(served, sample)?;
        let logged = sampled.schema().clone();
        let mut columns = vec![column("prediction_id"), column("as_of")];
        for field in &plan.fields {
            logged.index_of_column_by_name(None, &field.name).ok_or_else(|| {
                wrong(format!(
                    "its log has no column `{}`, which the features need; it was written by an older declaration",
                    field.name
                ))
            })?;
            columns.push(column(&field.name));
        }
        let features: Vec<InputRef> = features
            .into_iter()
            .filter(|feature| logged.index_of_column_by_name(None, feature.name()).is_some())
            .collect();
        for (place, feature) in features.iter().enumerate() {
            columns.push(column(feature.name()).alias(format!("{SERVED}{place}")));
        }
        // Held in memory, so that both sides of the comparison are of the same rows.
        let sampled = sampled.select(columns)?.cache().await?;
        let again = self.point_in_time(sampled, Some("as_of"), &features, &BTreeMap::new()).await?;
        let mut report = CheckReport {
            endpoint: endpoint.to_owned(),
            rows_logged,
            rows_checked: 0,
            rows_degraded: rows_logged.saturating_sub(rows_whole),
            rows_given: rows_whole.saturating_sub(rows_served),
            values_compared: 0,
            values_different: 0,
            mismatches: vec![],
        };
        for batch in again.collect().await? {
            compare(&batch, &features, &mut report)?;
        }
        report.mismatches.sort_by(|a, b| (&a.prediction_id, &a.feature).cmp(&(&b.prediction_id, &b.feature)));
        Ok(report)
    }
}

/// An arbitrary but repeatable choice of predictions: the last characters of their ids are random.
fn sampled(log: DataFrame, sample: usize) -> Result<DataFrame> {
    let order = datafusion::functions::unicode::expr_fn::reverse(column("prediction_id")).sort(true, false);
    Ok(log.sort(vec![order])?.limit(0, Some(sample))?)
}

fn compare(batch: &RecordBatch, features: &[InputRef], report: &mut CheckReport) -> Result<()> {
    report.rows_checked += batch.num_rows() as u64;
    let named = |name: &str| {
        batch.column_by_name(name).cloned().ok_or_else(|| Error::Check {
            endpoint: report.endpoint.clone(),
            reason: format!("the joined rows have no column `{name}`"),
        })
    };
    let (ids, moments) = (named("prediction_id")?, named("as_of")?);
    let (ids, moments) = (canonical(&ids)?, canonical(&moments)?);
    let mut pairs = vec![];
    for (place, feature) in features.iter().enumerate() {
        let again = named(feature.name())?;
        let served = arrow::compute::cast(&named(&format!("{SERVED}{place}"))?, again.data_type())?;
        pairs.push((feature.name(), served, again));
    }
    for (name, served, again) in pairs {
        for row in 0..batch.num_rows() {
            let (served, again) = (Value::from_array(&served, row), Value::from_array(&again, row));
            report.values_compared += 1;
            if served.same(&again) {
                continue;
            }
            report.values_different += 1;
            if report.mismatches.len() < MISMATCHES_SHOWN {
                let id = Value::from_array(&ids, row);
                report.mismatches.push(Mismatch {
                    prediction_id: if let Value::Text(id) = id { id.to_string() } else { String::new() },
                    as_of: Value::from_array(&moments, row).to_json(),
                    feature: name.to_owned(),
                    served: served.to_json(),
                    recomputed: again.to_json(),
                });
            }
        }
    }
    Ok(())
}

fn canonical(array: &arrow::array::ArrayRef) -> Result<arrow::array::ArrayRef> {
    let wanted = crate::value::declared_type(array.data_type()).map_or_else(|| array.data_type().clone(), arrow_type);
    Ok(arrow::compute::cast(array, &wanted)?)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}
