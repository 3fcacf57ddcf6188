//! Point-in-time join of 1 M labels with 10 M feature rows over 100 k entities, against DuckDB's ASOF JOIN.
//!
//!     point_in_time [FOLDER]
//!
//! Writes `labels.parquet` and `rows.parquet` to the folder (kept when it is named, so that the peer reads the same files),
//! joins them with two threads under several memory pools, and then starts `benches/point_in_time_duckdb.py` on them. Each
//! figure is the best of three runs, and the sums of the joined values must agree.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext, col, lit};
use mainspring_features::{FeaturePlan, Fold, From, LatestFold, Output, ViewSchema, ViewUse, join_timelines};
use mainspring_spec::{DataType, Field};
use parquet::arrow::ArrowWriter;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const LABELS: usize = 1_000_000;
const ROWS: usize = 10_000_000;
const ENTITIES: i64 = 100_000;
const SPAN_MICROS: i64 = 365 * 86_400 * 1_000_000;
const THREADS: usize = 2;
const RUNS: usize = 3;
/// The pools: the issue's, and one in which the labels fit.
const POOLS_MIB: [usize; 3] = [256, 1024, 4096];

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), Into::into);
    std::fs::create_dir_all(&folder)?;
    let (labels, rows) = (folder.join("labels.parquet"), folder.join("rows.parquet"));
    if !labels.exists() || !rows.exists() {
        write(&labels, LABELS, 1)?;
        write(&rows, ROWS, 2)?;
    }
    println!("{LABELS} labels, {ROWS} rows, {ENTITIES} entities, {THREADS} threads, best of {RUNS}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let mut best = f64::MAX;
    let mut answer = None;
    for pool in POOLS_MIB {
        let mut seconds = f64::MAX;
        for _ in 0..RUNS {
            let started = Instant::now();
            let found = runtime.block_on(join(&labels, &rows, pool << 20))?;
            seconds = seconds.min(started.elapsed().as_secs_f64());
            ensure!(found.0 == LABELS as i64, "rows out are rows in, not {}", found.0);
            answer = Some(found);
        }
        println!("mainspring, pool of {pool:>4} MiB  {seconds:>6.2} s");
        best = best.min(seconds);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("point_in_time_duckdb.py");
    let peer = Command::new("python3").arg(script).arg(&folder).arg(THREADS.to_string()).output();
    let peer = peer.context("starting python3 with the peer")?;
    ensure!(peer.status.success(), "the peer failed: {}", String::from_utf8_lossy(&peer.stderr));
    let peer: serde_json::Value = serde_json::from_slice(&peer.stdout)?;
    let seconds = peer["seconds"].as_f64().context("the peer prints its seconds")?;
    println!("DuckDB ASOF JOIN             {seconds:>6.2} s");
    println!("time of ours over its        {:>6.2}    (bar: 1.00)", best / seconds);
    let (joined, total) = answer.map(|(_, joined, total)| (joined, total)).context("no run")?;
    ensure!(peer["joined"].as_i64() == Some(joined), "labels with a value: ours {joined}, its {}", peer["joined"]);
    let its = peer["total"].as_f64().context("the peer prints its total")?;
    ensure!((total - its).abs() <= its.abs() * 1e-9, "sums differ: ours {total}, its {its}");
    Ok(())
}

/// Writes rows of an entity, a moment, an id and a value. Moments of one entity differ.
fn write(path: &Path, rows: usize, seed: u64) -> Result<()> {
    const BATCH: usize = 100_000;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut writer: Option<ArrowWriter<File>> = None;
    for start in (0..rows).step_by(BATCH) {
        let numbers = start..(start + BATCH).min(rows);
        let entities = Int64Array::from_iter_values(numbers.clone().map(|_| random.random_range(0..ENTITIES)));
        // The row's own number makes moments distinct, so that no tie lets the engines differ.
        let times = numbers.clone().map(|number| {
            let spread = i64::try_from(rows).unwrap_or(i64::MAX);
            random.random_range(0..SPAN_MICROS / spread) * spread + i64::try_from(number).unwrap_or_default()
        });
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        let ids = Int64Array::from_iter_values(numbers.clone().map(|number| i64::try_from(number).unwrap_or_default()));
        let values = Float64Array::from_iter_values(numbers.map(|_| random.random_range(0.0..1.0)));
        let batch = RecordBatch::try_from_iter([
            ("entity", Arc::new(entities) as ArrayRef),
            ("happened", Arc::new(times)),
            ("row_id", Arc::new(ids)),
            ("value", Arc::new(values)),
        ])?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?),
        };
        writer.write(&batch)?;
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}

fn plan() -> FeaturePlan {
    let entity = Field { name: "entity".into(), data_type: DataType::Int64 };
    let value = Field { name: "value".into(), data_type: DataType::Float64 };
    let schema = ViewSchema {
        view: "rows".into(),
        fingerprint: String::new(),
        keys: vec![entity.clone()],
        event_time: Some("happened".into()),
        known_at: None,
        payload: vec![value.clone()],
        features: vec![value.clone()],
    };
    let fold = Arc::new(Fold::Latest(LatestFold { columns: vec![0], ttl: None }));
    FeaturePlan {
        fields: vec![entity],
        views: vec![ViewUse { schema, keys: vec![0], features: vec![value.clone()], fold, online: true }],
        outputs: vec![Output { field: value, from: From::Stored(0, 0) }],
    }
}

/// Joins, and adds up the result: how many labels, how many of them with a value, and the sum of the values.
async fn join(labels: &Path, rows: &Path, pool: usize) -> Result<(i64, i64, f64)> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(pool))).build_arc()?;
    let config = SessionConfig::new().with_target_partitions(THREADS);
    let session = SessionContext::new_with_config_rt(config, runtime);
    let read =
        async |path: &Path| session.read_parquet(path.to_string_lossy().as_ref(), ParquetReadOptions::default()).await;
    let labels = read(labels).await?.select(vec![col("entity"), col("happened")])?;
    let joined = join_timelines(labels, Some("happened"), plan(), vec![read(rows).await?])?;
    let totals =
        [count(lit(1_i64)).alias("labels"), count(col("value")).alias("joined"), sum(col("value")).alias("total")];
    let batches = joined.aggregate(vec![], totals.to_vec())?.collect().await?;
    let batch = batches.first().context("an aggregate has a row")?;
    let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
    Ok((number(0), number(1), batch.column(2).as_primitive::<Float64Type>().value(0)))
}
