//! The check that training and serving agree: what was served is computed again, offline.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::DataFrame;
use jiff::Timestamp;
use mainspring_catalog::{AuditQuery, Document, ListQuery};
use mainspring_lake::{At, TableName};
use mainspring_spec::{Change, ChangeClass, InputRef, ObjectKind, Plan, ResolvedModel};
use serde::{Deserialize, Serialize};

use crate::base::inputs_of;
use crate::error::{Error, Result};
use crate::online::moment;
use crate::records::Materialization;
use crate::schema::{find_view, fingerprint};
use crate::store::FeatureStore;
use crate::value::{Value, arrow_type};

/// The most mismatches that a report shows in full; all are counted.
pub const MISMATCHES_SHOWN: usize = 100;
/// The log's column that says that a caller sent the model's inputs; older logs lack it.
const INPUTS_GIVEN: &str = "inputs_given";
/// The start of the names under which served values are put beside those computed again.
const SERVED: &str = "mainspring_served_";
/// The log's column of the version that answered; null where none did.
const VERSION: &str = "model_version";
/// Applied changes and computations of views read at once while the last one that matters is looked for.
const HISTORY_PAGE: usize = 100;
/// The action under which the audit log has what was applied.
const APPLIED: &str = "project.apply";

/// The names of the inputs that versions of a model were trained with, by the version's number.
pub type VersionInputs = BTreeMap<u64, BTreeSet<String>>;

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
    /// Predictions passed over because they are older than the declaration: a view that the features come from has been
    /// declared otherwise since, or the version that answered is not known any more.
    #[serde(default)]
    pub rows_older: u64,
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
    /// materialised shows as a mismatch too: it is one. Of each prediction those features are compared that the version
    /// which answered was given, by `inputs`; see [`Self::versions_logged`].
    ///
    /// # Errors
    /// When the endpoint has no log, or the log lacks columns.
    pub async fn check(&self, endpoint: &str, sample: usize, inputs: &VersionInputs) -> Result<CheckReport> {
        let wrong = |reason: String| Error::Check { endpoint: endpoint.to_owned(), reason };
        let model = self.model_of(endpoint)?;
        let is_given = |feature: &InputRef| inputs.values().any(|names| names.contains(feature.name()));
        let features: Vec<InputRef> = (model.inputs.iter())
            .filter(|input| matches!(input, InputRef::Feature { .. }) && is_given(input))
            .cloned()
            .collect();
        let log = self.log_of(endpoint).await?;
        let rows_logged = log.clone().count().await? as u64;
        let served = log.clone().filter(column("degraded").is_not_true())?;
        let rows_whole = served.clone().count().await? as u64;
        let served = match served.schema().index_of_column_by_name(None, INPUTS_GIVEN) {
            Some(_) => served.filter(column(INPUTS_GIVEN).is_not_true())?,
            None => served,
        };
        let rows_served = served.clone().count().await? as u64;
        let served = self.of_declaration(served, &model, inputs).await?;
        let rows_present = served.clone().count().await? as u64;
        let plan = self.plan(&features).await?;
        let sampled = sampled(served, sample)?;
        let logged = sampled.schema().clone();
        let mut columns = vec![column("prediction_id"), column("as_of"), column(VERSION)];
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
            rows_older: rows_served.saturating_sub(rows_present),
            values_compared: 0,
            values_different: 0,
            mismatches: vec![],
        };
        for batch in again.collect().await? {
            compare(&batch, &features, inputs, &mut report)?;
        }
        report.mismatches.sort_by(|a, b| (&a.prediction_id, &a.feature).cmp(&(&b.prediction_id, &b.feature)));
        Ok(report)
    }

    /// The versions of its model that answered for an endpoint, by its log.
    ///
    /// # Errors
    /// When the endpoint has no log.
    pub async fn versions_logged(&self, endpoint: &str) -> Result<BTreeSet<u64>> {
        let model = self.model_of(endpoint)?;
        let rows = self.log_of(endpoint).await?.filter(column("model").eq(lit(model.model.name.as_str())))?;
        let mut versions = BTreeSet::new();
        for batch in rows.select(vec![version()])?.distinct()?.collect().await? {
            let found = batch.column(0).as_primitive::<Int64Type>();
            versions.extend(found.iter().flatten().filter_map(|version| u64::try_from(version).ok()));
        }
        Ok(versions)
    }

    fn model_of(&self, endpoint: &str) -> Result<ResolvedModel> {
        let unknown = || Error::Check { endpoint: endpoint.to_owned(), reason: "there is no such endpoint".into() };
        let declared = self.project.endpoints.get(endpoint).ok_or_else(unknown)?;
        self.project.resolve_model(&declared.model).map_err(|error| Error::Project(error.to_string()))
    }

    async fn log_of(&self, endpoint: &str) -> Result<DataFrame> {
        let log = TableName::new("predictions", endpoint)?;
        if self.lake.version(&log).await?.is_none() {
            let reason = "no prediction has been logged yet".into();
            return Err(Error::Check { endpoint: endpoint.to_owned(), reason });
        }
        Ok(self.lake.read(&log, At::Latest).await?)
    }

    /// The predictions that features as they are declared now were served to, by versions whose inputs are known.
    async fn of_declaration(
        &self,
        served: DataFrame,
        model: &ResolvedModel,
        inputs: &VersionInputs,
    ) -> Result<DataFrame> {
        let versions = inputs.keys().filter_map(|&version| i64::try_from(version).ok()).map(lit).collect();
        let of_versions = column("model").eq(lit(model.model.name.as_str())).and(version().in_list(versions, false));
        let served = served.filter(of_versions)?;
        Ok(match self.declared_since(model).await? {
            Some(since) => served.filter(column("predicted_at").gt_eq(moment(since.as_microsecond())))?,
            None => served,
        })
    }

    /// Since when all views below a model are declared and computed as they are now. `None`: from the beginning.
    async fn declared_since(&self, model: &ResolvedModel) -> Result<Option<Timestamp>> {
        let mut views: BTreeSet<String> = BTreeSet::new();
        let mut open = self.project.views_used(model);
        while let Some(name) = open.pop() {
            let tables = inputs_of(&self.project, find_view(&self.project, &name)?)?;
            if views.insert(name) {
                let upstream = tables.iter().filter(|table| table.schema() == "features");
                open.extend(upstream.map(|table| table.name().to_owned()));
            }
        }
        let mut since = self.applied_since(&views).await?;
        for view in &views {
            since = since.max(self.computed_since(view).await?);
        }
        Ok(since)
    }

    /// When what one of some views computes was last declared otherwise. What a fingerprint leaves out is found so: functions
    /// of aggregates, times to live, expressions. A feature that came or went changes no other.
    async fn applied_since(&self, views: &BTreeSet<String>) -> Result<Option<Timestamp>> {
        let is_meant = |change: &Change| {
            let mut details = change.details.iter().filter(|detail| detail.class >= ChangeClass::Recompute);
            change.object.kind == ObjectKind::FeatureView
                && views.contains(&change.object.name)
                && details.any(|detail| detail.path != "online" && !detail.path.starts_with("features."))
        };
        let mut query = AuditQuery { action: Some(APPLIED.into()), ..AuditQuery::default() }.limit(HISTORY_PAGE);
        loop {
            let page = self.catalog.audit(query.clone()).await?;
            query.before = page.last().map(|entry| entry.seq);
            let is_last = page.len() < HISTORY_PAGE;
            for entry in page {
                // A plan of a shape that this release does not know tells nothing.
                let plan: Plan = serde_json::from_value(entry.detail).unwrap_or_default();
                if plan.changes.iter().any(is_meant) {
                    return Ok(Some(entry.at));
                }
            }
            if is_last {
                return Ok(None);
            }
        }
    }

    /// Since when a view's table has rows by its present declaration only. `None`: it never had others.
    async fn computed_since(&self, view: &str) -> Result<Option<Timestamp>> {
        let present = fingerprint(&self.project, find_view(&self.project, view)?);
        let mut query = ListQuery::of(view).newest_first().limit(HISTORY_PAGE);
        // Until it is computed by it, nothing was served by it.
        let mut since = Timestamp::now();
        loop {
            let page = self.catalog.list::<Materialization>(query.clone()).await?;
            let is_last = page.len() < HISTORY_PAGE;
            for stored in page {
                if stored.document.fingerprint != present {
                    return Ok(Some(since));
                }
                since = stored.document.at;
                query.after = Some(stored.document.id());
            }
            if is_last {
                return Ok(None);
            }
        }
    }
}

/// The number of the version that answered.
fn version() -> Expr {
    cast(column(VERSION), ArrowType::Int64)
}

/// An arbitrary but repeatable choice of predictions: the last characters of their ids are random.
fn sampled(log: DataFrame, sample: usize) -> Result<DataFrame> {
    let order = datafusion::functions::unicode::expr_fn::reverse(column("prediction_id")).sort(true, false);
    Ok(log.sort(vec![order])?.limit(0, Some(sample))?)
}

fn compare(batch: &RecordBatch, features: &[InputRef], inputs: &VersionInputs, report: &mut CheckReport) -> Result<()> {
    report.rows_checked += batch.num_rows() as u64;
    let named = |name: &str| {
        batch.column_by_name(name).cloned().ok_or_else(|| Error::Check {
            endpoint: report.endpoint.clone(),
            reason: format!("the joined rows have no column `{name}`"),
        })
    };
    let (ids, moments) = (named("prediction_id")?, named("as_of")?);
    let (ids, moments) = (canonical(&ids)?, canonical(&moments)?);
    let versions = arrow::compute::cast(&named(VERSION)?, &ArrowType::Int64)?;
    let versions = versions.as_primitive::<Int64Type>();
    let given: Vec<Option<&BTreeSet<String>>> = (versions.iter())
        .map(|version| inputs.get(&version.and_then(|version| u64::try_from(version).ok())?))
        .collect();
    let mut pairs = vec![];
    for (place, feature) in features.iter().enumerate() {
        let again = named(feature.name())?;
        let served = arrow::compute::cast(&named(&format!("{SERVED}{place}"))?, again.data_type())?;
        pairs.push((feature.name(), served, again));
    }
    for (name, served, again) in pairs {
        for (row, given) in given.iter().enumerate() {
            // A version answers without what it was not trained with.
            if given.is_none_or(|names| !names.contains(name)) {
                continue;
            }
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

fn canonical(array: &ArrayRef) -> Result<ArrayRef> {
    let wanted = crate::value::declared_type(array.data_type()).map_or_else(|| array.data_type().clone(), arrow_type);
    Ok(arrow::compute::cast(array, &wanted)?)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}
