//! The lake as its users meet it.

mod concurrency;
mod conformance;
mod crash;
mod functions;
mod limits;
mod model;
mod refusals;
mod show;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use mainspring_objects::testing::bucket;

use crate::*;

async fn open_at(root: &str, spill_dir: &Path) -> Lake {
    let config =
        LakeConfig { root: root.to_owned(), memory_bytes: 256 << 20, spill_dir: spill_dir.to_owned(), threads: 2 };
    Lake::open(config).await.unwrap()
}

async fn open(folder: &Path) -> Lake {
    open_at(&folder.join("lake").display().to_string(), &folder.join("spill")).await
}

/// Rows with these identities and one value.
fn rows(ids: std::ops::Range<i64>, value: &str) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("value", DataType::Utf8, true)]);
    let values: Vec<Option<&str>> = ids.clone().map(|_| Some(value)).collect();
    RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(StringArray::from(values))],
    )
    .unwrap()
}

fn stream(batch: RecordBatch) -> SendableRecordBatchStream {
    stream_of(batch.schema(), vec![batch])
}

fn id(sequence: i64) -> WriteId {
    WriteId { app: "test".into(), sequence }
}

fn events() -> TableName {
    "sources.events".parse().unwrap()
}

async fn count(frame: DataFrame) -> usize {
    frame.count().await.unwrap()
}

/// The identities and values of rows, sorted.
async fn contents(frame: DataFrame) -> Vec<(i64, String)> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let mut contents = vec![];
    for batch in frame.select_columns(&["id", "value"]).unwrap().collect().await.unwrap() {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let values = batch.column(1).as_string::<i32>();
        contents.extend((0..batch.num_rows()).map(|row| (ids.value(row), values.value(row).to_owned())));
    }
    contents.sort();
    contents
}
