//! Ingest of 10 M rows with six checks, against DataFusion only scanning and rewriting the same file.
//!
//! Both read the same Parquet file and write Parquet with the same compression, with two threads. Ingest does more: it
//! hashes the file, casts, checks, finds duplicates, profiles every column, and commits to the lake and the catalog.
//! The bar is half the speed. `MAINSPRING_BENCH_ROWS` sets another number of rows.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use mainspring_catalog::{Catalog, Principal};
use mainspring_ingest::Ingestor;
use mainspring_lake::{Lake, LakeConfig, NoProgress};
use mainspring_spec::{Project, ProjectFile, Source};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const ROWS: u64 = 10_000_000;
const BATCH: u64 = 100_000;
const THREADS: usize = 2;
const RUNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let rows = match std::env::var("MAINSPRING_BENCH_ROWS") {
        Ok(rows) => rows.parse()?,
        Err(_) => ROWS,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(bench(rows))
}

async fn bench(rows: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.parquet");
    generate(&file, rows)?;
    println!(
        "{rows} rows of 8 columns, {} MB of Parquet, {THREADS} threads, best of {RUNS}",
        std::fs::metadata(&file)?.len() >> 20
    );

    let (mut rewrite, mut ingest) = (Duration::MAX, Duration::MAX);
    for run in 0..RUNS {
        rewrite = rewrite.min(rewritten(&file, &folder.path().join(format!("copy{run}"))).await?);
        ingest = ingest.min(ingested(folder.path(), &folder.path().join(format!("state{run}")), rows).await?);
    }
    let rate = |time: Duration| rows as f64 / time.as_secs_f64() / 1e6;
    println!("DataFusion, scan and rewrite  {:>7.2} s  {:>6.2} M rows/s", rewrite.as_secs_f64(), rate(rewrite));
    println!("ingest with six checks        {:>7.2} s  {:>6.2} M rows/s", ingest.as_secs_f64(), rate(ingest));
    println!("ratio of speeds               {:>7.2}    (bar: 0.50)", rewrite.as_secs_f64() / ingest.as_secs_f64());
    Ok(())
}

/// Reads the file and writes it again; nothing else.
async fn rewritten(file: &Path, to: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut config = SessionConfig::new().with_target_partitions(THREADS);
    config.options_mut().execution.parquet.compression = Some("zstd(1)".into());
    let session = SessionContext::new_with_config(config);
    let started = Instant::now();
    let rows = session.read_parquet(file.to_string_lossy().as_ref(), ParquetReadOptions::default()).await?;
    rows.write_parquet(&to.to_string_lossy(), DataFrameWriteOptions::new(), None).await?;
    Ok(started.elapsed())
}

/// Ingests the file into a new lake.
async fn ingested(folder: &Path, state: &Path, rows: u64) -> Result<Duration, Box<dyn Error>> {
    let lake = Lake::open(LakeConfig {
        root: state.join("lake").to_string_lossy().into_owned(),
        memory_bytes: 1 << 30,
        spill_dir: state.join("spill"),
        threads: THREADS,
    })
    .await?;
    let catalog = Catalog::open(&format!("sqlite:{}", state.join("catalog.db").display())).await?;
    let ingestor = Ingestor::new(lake, catalog, Arc::new(project(folder)?));
    let started = Instant::now();
    let report = ingestor.ingest("events", &Principal::local_owner(), &NoProgress).await?;
    let took = started.elapsed();
    if report.rows_landed != rows || !report.is_clean() {
        return Err(format!("{} of {rows} rows landed: {report:?}", report.rows_landed).into());
    }
    Ok(took)
}

fn project(folder: &Path) -> Result<Project, Box<dyn Error>> {
    let column = |name: &str, data_type: &str| serde_json::json!({"name": name, "type": data_type});
    let source: Source = serde_json::from_value(serde_json::json!({
        "source": "events",
        "path": "events.parquet",
        "columns": [
            column("id", "int64"), column("at", "timestamp"), column("origin", "string"), column("code", "string"),
            column("distance", "float64"), column("delay", "float64"), column("seats", "int64"), column("flight", "int64"),
        ],
        "checks": [
            {"not_null": ["id", "at", "origin"]},
            {"unique": ["id"]},
            {"range": {"column": "distance", "min": 0, "max": 10000}},
            {"in_set": {"column": "origin", "values": ["EWR", "JFK", "LGA"]}},
            {"regex": {"column": "code", "pattern": "^[A-Z]{2}[0-9]+$"}},
            {"sql": "delay < 2000 or distance > 0"},
        ],
    }))?;
    let file: ProjectFile = serde_json::from_value(serde_json::json!({"project": "bench"}))?;
    Ok(Project {
        file,
        folder: folder.to_path_buf(),
        sources: BTreeMap::from([(source.name.clone(), source)]),
        entities: BTreeMap::new(),
        feature_views: BTreeMap::new(),
        feature_services: BTreeMap::new(),
        models: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        monitors: BTreeMap::new(),
        workflows: BTreeMap::new(),
        policies: BTreeMap::new(),
    })
}

fn generate(file: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer: Option<ArrowWriter<File>> = None;
    for start in (0..rows).step_by(usize::try_from(BATCH)?) {
        let batch = batch(start, BATCH.min(rows - start))?;
        if writer.is_none() {
            writer = Some(ArrowWriter::try_new(File::create(file)?, batch.schema(), Some(properties.clone()))?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch)?;
        }
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}

/// Rows that look drawn, the same in every run. The ids are not in order: the check for duplicates has to work.
fn batch(start: u64, rows: u64) -> Result<RecordBatch, Box<dyn Error>> {
    let draw = |row: u64, salt: u64| {
        let mixed = (row ^ salt.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    };
    let span = start..start + rows;
    let id = |row: u64| i64::try_from(row.wrapping_mul(2_654_435_761) % (1 << 40)).unwrap_or(0);
    let second = |row: u64| i64::try_from(row).unwrap_or(0) * 3_000_000;
    let small = |row: u64, salt: u64, below: u64| i64::try_from(draw(row, salt) % below).unwrap_or(0);
    let real = |row: u64, salt: u64, below: u64| (draw(row, salt) % (below * 1000)) as f64 / 1000.0;
    let origin = |row: u64| ["EWR", "JFK", "LGA"].get((draw(row, 1) % 3) as usize).copied();
    let code = |row: u64| format!("AB{}", draw(row, 2) % 5_000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(span.clone().map(id)))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(span.clone().map(second)).with_timezone("UTC"))),
        ("origin", Arc::new(StringArray::from_iter(span.clone().map(origin)))),
        ("code", Arc::new(StringArray::from_iter_values(span.clone().map(code)))),
        ("distance", Arc::new(Float64Array::from_iter_values(span.clone().map(|row| real(row, 3, 5_000))))),
        (
            "delay",
            Arc::new(Float64Array::from_iter(span.clone().map(|row| (row % 37 != 0).then(|| real(row, 4, 300))))),
        ),
        ("seats", Arc::new(Int64Array::from_iter_values(span.clone().map(|row| small(row, 5, 400))))),
        ("flight", Arc::new(Int64Array::from_iter_values(span.map(|row| small(row, 6, 9_000))))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
