//! The facets that events carry, each with the address of its schema.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mainspring_govern::{ColumnSource, Marked};
use mainspring_ingest::{ColumnProfile, Profile};
use serde_json::{Map, Value, json};

use super::event::PRODUCER;

type Named = (&'static str, Value);

/// A facet of a version of the specification: its name in an event, and what it says.
fn facet(name: &'static str, schema: &str, mut said: Value) -> Named {
    said["_producer"] = PRODUCER.into();
    said["_schemaURL"] = format!("https://openlineage.io/spec/facets/{schema}").into();
    (name, said)
}

/// The version of a dataset.
pub fn version(version: impl ToString) -> Named {
    let schema = "1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";
    facet("version", schema, json!({ "datasetVersion": version.to_string() }))
}

/// The columns of a dataset: name, type, and what it says where that is told.
pub fn schema(fields: impl Iterator<Item = (String, String, Option<String>)>) -> Named {
    let fields = fields.map(|(name, data_type, description)| match description {
        Some(description) => json!({ "name": name, "type": data_type, "description": description }),
        None => json!({ "name": name, "type": data_type }),
    });
    let fields: Vec<Value> = fields.collect();
    facet("schema", "1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet", json!({ "fields": fields }))
}

/// The other name of a table that is named by where it lies.
pub fn symlink(namespace: &str, name: &str) -> Named {
    let schema = "1-0-1/SymlinksDatasetFacet.json#/$defs/SymlinksDatasetFacet";
    facet("symlinks", schema, json!({ "identifiers": [{ "namespace": namespace, "name": name, "type": "TABLE" }] }))
}

/// From which columns each column was made; `place` says how the table of a column is called.
pub fn column_lineage(
    columns: &BTreeMap<String, BTreeSet<ColumnSource>>,
    place: impl Fn(&str) -> (String, String),
) -> Named {
    let mut fields = Map::new();
    for (column, sources) in columns {
        let inputs: Vec<Value> = sources
            .iter()
            .map(|source| {
                let (namespace, name) = place(&source.table);
                json!({ "namespace": namespace, "name": name, "field": source.column })
            })
            .collect();
        fields.insert(column.clone(), json!({ "inputFields": inputs }));
    }
    let schema = "1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet";
    facet("columnLineage", schema, json!({ "fields": fields }))
}

/// Counts and bounds of a table's columns. Of `personal` columns no value is told.
fn quality(profile: &Profile, personal: &Marked) -> Value {
    let columns: Map<String, Value> = profile
        .columns
        .iter()
        .map(|column| (column.name.clone(), metrics_of(column, personal.covers(&column.name))))
        .collect();
    json!({ "rowCount": profile.rows, "columnMetrics": columns })
}

fn metrics_of(column: &ColumnProfile, is_personal: bool) -> Value {
    let mut metrics = json!({ "nullCount": column.nulls, "count": column.count, "distinctCount": column.distinct });
    if is_personal {
        return metrics;
    }
    for (name, bound) in [("min", &column.min), ("max", &column.max)] {
        if let Some(number) = bound.as_ref().filter(|bound| bound.is_number()) {
            metrics[name] = number.clone();
        }
    }
    if let Some(mean) = column.mean.filter(|mean| mean.is_finite() && metrics.get("min").is_some()) {
        #[expect(clippy::cast_precision_loss, reason = "a sum of so many numbers is not exact anyway")]
        let sum = mean * column.finite() as f64;
        if sum.is_finite() {
            metrics["sum"] = sum.into();
        }
    }
    let quantiles: Map<String, Value> = column
        .quantiles
        .iter()
        .filter(|quantile| quantile.value.is_finite() && metrics.get("min").is_some())
        .map(|quantile| (quantile.share.to_string(), quantile.value.into()))
        .collect();
    if !quantiles.is_empty() {
        metrics["quantiles"] = quantiles.into();
    }
    metrics
}

/// The quality of a table that was written.
pub fn quality_of_output(profile: &Profile, personal: &Marked) -> Named {
    let schema = "1-0-1/DataQualityMetricsDatasetFacet.json#/$defs/DataQualityMetricsDatasetFacet";
    facet("dataQualityMetrics", schema, quality(profile, personal))
}

/// The quality of a table that was read.
pub fn quality_of_input(profile: &Profile, personal: &Marked) -> Named {
    let schema = "1-0-3/DataQualityMetricsInputDatasetFacet.json#/$defs/DataQualityMetricsInputDatasetFacet";
    facet("dataQualityMetrics", schema, quality(profile, personal))
}

/// How much was written.
pub fn written(rows: u64, bytes: Option<u64>) -> Named {
    let schema = "1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet";
    let mut said = json!({ "rowCount": rows });
    if let Some(bytes) = bytes {
        said["size"] = bytes.into();
    }
    facet("outputStatistics", schema, said)
}

/// The run that a task is part of.
pub fn parent(run: &str, namespace: &str, job: &str) -> Named {
    let schema = "1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet";
    facet("parent", schema, json!({ "run": { "runId": run }, "job": { "namespace": namespace, "name": job } }))
}

/// When a run was meant to begin.
pub fn nominal_time(at: Timestamp) -> Named {
    let schema = "1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet";
    facet("nominalTime", schema, json!({ "nominalStartTime": at.to_string() }))
}

/// What runs tasks.
pub fn engine() -> Named {
    let schema = "1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet";
    let version = env!("CARGO_PKG_VERSION");
    facet("processing_engine", schema, json!({ "name": "Mainspring", "version": version }))
}

/// Why a run failed.
pub fn error(message: &str) -> Named {
    let schema = "1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet";
    facet("errorMessage", schema, json!({ "message": message, "programmingLanguage": "Rust" }))
}

/// What kind of job a task is.
pub fn job_type(kind: &str) -> Named {
    let schema = "2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet";
    facet(
        "jobType",
        schema,
        json!({ "processingType": "BATCH", "integration": "MAINSPRING", "jobType": kind.to_uppercase() }),
    )
}

#[cfg(test)]
mod tests {
    use mainspring_ingest::Quantile;
    use mainspring_spec::DataType;

    use super::*;

    #[test]
    fn of_personal_columns_only_counts_are_told() {
        let column = |name: &str| ColumnProfile {
            name: name.into(),
            data_type: DataType::Int64,
            count: 3,
            nulls: 1,
            distinct: 2,
            distinct_is_exact: true,
            min: Some(1.into()),
            max: Some(5.into()),
            mean: Some(3.0),
            std: None,
            quantiles: vec![Quantile { share: 0.5, value: 3.0 }],
            not_finite: 0,
            histogram: None,
            top: vec![],
        };
        // two of its three values are no numbers
        let odd = ColumnProfile { not_finite: 2, ..column("odd") };
        let profile = Profile { rows: 4, columns: vec![column("Age"), column("seats"), odd] };

        let (_, told) = quality_of_output(&profile, &Marked::only(["age".to_owned()]));

        let metrics = &told["columnMetrics"];
        assert_eq!(metrics["Age"], json!({ "nullCount": 1, "count": 3, "distinctCount": 2 }));
        assert_eq!(metrics["seats"]["max"], 5);
        assert_eq!((&metrics["seats"]["sum"], &metrics["seats"]["quantiles"]), (&json!(9.0), &json!({ "0.5": 3.0 })));
        assert_eq!(metrics["odd"]["sum"], 3.0);
    }
}
