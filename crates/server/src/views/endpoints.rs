//! Endpoints: what answers, how fast, how much.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;
use mainspring_lake::TableName;
use mainspring_serve::{EndpointStatus, table_of};
use mainspring_spec::{Field, Limits};
use schemars::JsonSchema;
use serde::Serialize;

use super::sources::rows_of;
use super::{Error, Look, Page, Result};

/// Into how many parts the time of the log is cut at most.
const BUCKETS: i64 = 60;

/// An endpoint.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: String,
    /// What it answers, in a sentence.
    pub description: String,
    /// Its model.
    pub model: String,
    /// The alias that picks the version.
    pub alias: String,
    /// The version that has the alias.
    pub version: Option<u64>,
    /// Predictions in its log.
    pub predictions: u64,
    /// Figures since the server started; absent outside the server.
    pub status: Option<EndpointStatus>,
}

/// The declared endpoints, by name.
///
/// # Errors
/// When catalog or lake fail.
pub async fn endpoints(look: &Look, page: &Page) -> Result<Vec<EndpointView>> {
    let mut shown = vec![];
    for name in page.of(look.project.endpoints.keys()) {
        shown.push(seen(look, name).await?);
    }
    Ok(shown)
}

async fn seen(look: &Look, name: &str) -> Result<EndpointView> {
    let declared = look.project.endpoints.get(name).ok_or_else(|| Error::missing("endpoint", name))?;
    let status = look.serve.as_ref().and_then(|serve| serve.endpoint(name).ok()).map(|endpoint| endpoint.status());
    let version = match &status {
        Some(status) => status.version,
        None => look.registry.live(&declared.model, &declared.alias).await?.map(|version| version.version),
    };
    let predictions = match log_of(name) {
        Some(table) => rows_of(look, &table).await?,
        None => 0,
    };
    Ok(EndpointView {
        endpoint: name.into(),
        description: declared.description.clone(),
        model: declared.model.clone(),
        alias: declared.alias.clone(),
        version,
        predictions,
        status,
    })
}

fn log_of(endpoint: &str) -> Option<TableName> {
    table_of(endpoint).ok()
}

/// Predictions in all logs.
///
/// # Errors
/// When the lake fails.
pub async fn predictions_logged(look: &Look) -> Result<u64> {
    let mut sum = 0;
    for table in look.lake.tables().await? {
        if table.schema() == "predictions" {
            sum += look.lake.statistics(&table).await?.rows;
        }
    }
    Ok(sum)
}

/// A part of an endpoint's time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrafficBucket {
    /// Where it starts.
    pub at: Timestamp,
    /// Predictions in it.
    pub predictions: u64,
    /// Degraded ones among them.
    pub degraded: u64,
    /// Half took at most this, in microseconds.
    pub latency_p50_us: Option<f64>,
    /// 99 of 100 took at most this, in microseconds.
    pub latency_p99_us: Option<f64>,
}

/// Everything about an endpoint.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EndpointDetail {
    /// The endpoint.
    #[serde(flatten)]
    pub view: EndpointView,
    /// What a request brings.
    pub fields: Vec<Field>,
    /// An example of a row.
    pub example: serde_json::Map<String, serde_json::Value>,
    /// Its bounds.
    pub limits: Limits,
    /// How long a bucket of traffic is, in seconds.
    pub bucket_seconds: i64,
    /// Its traffic by time, as far as it is logged.
    pub traffic: Vec<TrafficBucket>,
    /// Predictions by model version.
    pub by_version: Vec<(u64, u64)>,
}

/// An endpoint with traffic and request fields.
///
/// # Errors
/// When there is no such endpoint.
pub async fn endpoint(look: &Look, name: &str) -> Result<EndpointDetail> {
    let view = seen(look, name).await?;
    let declared = look.project.endpoints.get(name).ok_or_else(|| Error::missing("endpoint", name))?;
    let fields = if declared.registered {
        inputs_of(look, name)
    } else {
        look.project.request_fields(&declared.model).unwrap_or_default()
    };
    let (mut bucket_seconds, mut traffic, mut by_version, mut example) = (0, vec![], vec![], Default::default());
    if let Some(table) = log_of(name).filter(|_| view.predictions > 0) {
        (bucket_seconds, traffic) = traffic_of(look, &table).await?;
        by_version = versions_of(look, &table).await?;
        example = example_of(look, &table, &fields).await?;
    }
    for field in &fields {
        example.entry(field.name.clone()).or_insert(serde_json::Value::Null);
    }
    Ok(EndpointDetail { limits: declared.limits.clone(), view, fields, example, bucket_seconds, traffic, by_version })
}

/// What a request brings to a model that is only in the registry: its inputs, known once a version answers.
fn inputs_of(look: &Look, endpoint: &str) -> Vec<Field> {
    let deployed = look.serve.as_ref().and_then(|serve| serve.endpoint(endpoint).ok()).map(|it| it.deployed());
    let fields = deployed.as_ref().map(|deployed| deployed.plan.fields.as_slice()).unwrap_or_default();
    fields.iter().map(|field| Field { name: field.name.clone(), data_type: field.data_type }).collect()
}

async fn traffic_of(look: &Look, table: &TableName) -> Result<(i64, Vec<TrafficBucket>)> {
    let span = format!("SELECT min(predicted_at), max(predicted_at) FROM {table}");
    let span = look.lake.sql(&span).await?.collect().await?;
    let at = |column: usize| {
        let values = span.first()?.column(column).as_primitive_opt::<TimestampMicrosecondType>()?;
        (!values.is_empty()).then(|| values.value(0))
    };
    let (Some(first), Some(last)) = (at(0), at(1)) else { return Ok((0, vec![])) };
    let seconds = bucket_of((last - first) / 1_000_000);
    let query = format!(
        "SELECT arrow_cast(date_bin(interval '{seconds} seconds', predicted_at), 'Timestamp(Microsecond, None)') AS at, count(*) AS predictions, \
         sum(CASE WHEN degraded THEN 1 ELSE 0 END) AS degraded, \
         approx_percentile_cont(CAST(latency_us AS DOUBLE), 0.5) AS p50, \
         approx_percentile_cont(CAST(latency_us AS DOUBLE), 0.99) AS p99 \
         FROM {table} GROUP BY 1 ORDER BY 1"
    );
    let mut buckets = vec![];
    for batch in look.lake.sql(&query).await?.collect().await? {
        let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
        let count = |column: usize, row: usize| {
            let values = batch.column(column).as_primitive_opt::<Int64Type>();
            values.map_or(0, |values| values.value(row).unsigned_abs())
        };
        let float = |column: usize, row: usize| {
            batch.column(column).as_primitive_opt::<Float64Type>().map(|values| values.value(row))
        };
        for row in 0..batch.num_rows() {
            let Some(at) = times.and_then(|times| Timestamp::from_microsecond(times.value(row)).ok()) else { continue };
            buckets.push(TrafficBucket {
                at,
                predictions: count(1, row),
                degraded: count(2, row),
                latency_p50_us: float(3, row),
                latency_p99_us: float(4, row),
            });
        }
    }
    Ok((seconds, buckets))
}

/// A round length that cuts a span into not too many buckets.
fn bucket_of(span_seconds: i64) -> i64 {
    let rounded = [1, 2, 5, 10, 15, 30, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800];
    let fine = span_seconds.max(1) / BUCKETS;
    rounded.into_iter().find(|seconds| *seconds > fine).unwrap_or(2_592_000)
}

async fn versions_of(look: &Look, table: &TableName) -> Result<Vec<(u64, u64)>> {
    let query = format!("SELECT CAST(model_version AS BIGINT), count(*) FROM {table} GROUP BY 1 ORDER BY 1 DESC");
    let mut versions = vec![];
    for batch in look.lake.sql(&query).await?.collect().await? {
        let numbers = [0, 1].map(|column| batch.column(column).as_primitive_opt::<Int64Type>());
        if let [Some(version), Some(count)] = numbers {
            let rows = version.values().iter().zip(count.values());
            versions.extend(rows.map(|(version, count)| (version.unsigned_abs(), count.unsigned_abs())));
        }
    }
    Ok(versions)
}

/// A request that was asked, as an example; personal columns are left out.
async fn example_of(
    look: &Look,
    table: &TableName,
    fields: &[Field],
) -> Result<serde_json::Map<String, serde_json::Value>> {
    let marks = mainspring_govern::PrivacyMarks::of(&look.project).columns(&table.to_string());
    let schema = look.lake.schema(table, mainspring_lake::At::Latest).await?;
    let shown = fields.iter().map(|field| field.name.as_str());
    let shown: Vec<&str> = shown.filter(|name| schema.field_with_name(name).is_ok() && !marks.covers(name)).collect();
    if shown.is_empty() {
        return Ok(serde_json::Map::new());
    }
    let rows = look.lake.read(table, mainspring_lake::At::Latest).await?;
    let rows = rows.select_columns(&shown)?.limit(0, Some(1))?.collect().await?;
    let mut example = serde_json::Map::new();
    for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let text = datafusion::arrow::util::display::array_value_to_string(column, 0).unwrap_or_default();
            let declared = fields.iter().find(|declared| declared.name == *field.name());
            example.insert(field.name().clone(), json_of(&text, declared.map(|declared| declared.data_type)));
        }
    }
    Ok(example)
}

fn json_of(text: &str, data_type: Option<mainspring_spec::DataType>) -> serde_json::Value {
    use mainspring_spec::DataType::{Bool, Float64, Int64};
    match data_type {
        Some(Bool | Float64 | Int64) => serde_json::from_str(text).unwrap_or_default(),
        _ if text.is_empty() => serde_json::Value::Null,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_into_few_round_buckets() {
        for span in [0, 1, 59, 100, 3_600, 86_400, 30 * 86_400, 365 * 86_400] {
            let bucket = bucket_of(span);
            assert!(span / bucket <= BUCKETS, "{span} s in buckets of {bucket} s");
        }
        assert_eq!(bucket_of(10), 1);
        assert_eq!(bucket_of(86_400), 3_600);
    }

    #[test]
    fn examples_have_the_types_of_their_fields() {
        use mainspring_spec::DataType;
        assert_eq!(json_of("12", Some(DataType::Int64)), serde_json::json!(12));
        assert_eq!(json_of("12", Some(DataType::String)), serde_json::json!("12"));
        assert_eq!(json_of("", Some(DataType::Int64)), serde_json::Value::Null);
        assert_eq!(json_of("", Some(DataType::String)), serde_json::Value::Null);
    }
}
