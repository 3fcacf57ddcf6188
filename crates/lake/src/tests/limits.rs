//! Bounds on memory, and what happens at them.

use datafusion::physical_plan::{ExecutionPlan, collect};

use super::*;

fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or_default();
    own + plan.children().into_iter().map(spills).sum::<usize>()
}

#[tokio::test]
async fn a_query_larger_than_memory_spills_and_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let config = LakeConfig {
        root: folder.path().join("lake").display().to_string(),
        memory_bytes: 64 << 20,
        spill_dir: folder.path().join("spill"),
        threads: 2,
    };
    let lake = Lake::open(config).await.unwrap();
    let value = "x".repeat(100);
    let batches: Vec<_> = (0..100).map(|part| rows(part * 10_000..(part + 1) * 10_000, &value)).collect();
    lake.append(&events(), stream_of(batches[0].schema(), batches), id(1)).await.unwrap();

    let frame = lake.sql("select id, value from events order by value, id desc").await.unwrap();
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.unwrap();
    let sorted = collect(plan.clone(), context).await.unwrap();

    assert!(spills(&plan) > 0, "a hundred megabytes do not fit in sixty-four");
    assert_eq!(sorted.iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000_000);
    let left = std::fs::read_dir(folder.path().join("spill").join(std::process::id().to_string())).unwrap();
    drop((plan, lake));
    for entry in left {
        assert_eq!(std::fs::read_dir(entry.unwrap().path()).map_or(0, Iterator::count), 0, "spilled files are removed");
    }
}

#[tokio::test]
async fn a_thousand_columns_are_written_in_little_memory() {
    use arrow::array::{ArrayRef, Float64Array};
    let folder = tempfile::tempdir().unwrap();
    let config = LakeConfig {
        root: folder.path().join("lake").display().to_string(),
        memory_bytes: 256 << 20,
        spill_dir: folder.path().join("spill"),
        threads: 2,
    };
    let lake = Lake::open(config).await.unwrap();
    // digits that do not compress: 320 MB in all
    let column = |seed: u64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            (0..2000_u64).map(|row| ((row + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64).sin()),
        ))
    };
    let columns: Vec<(String, ArrayRef)> = (0..1000).map(|place| (format!("c{place}"), column(place))).collect();
    let batch = RecordBatch::try_from_iter(columns).unwrap();

    let done = lake.append(&events(), stream_of(batch.schema(), vec![batch; 20]), id(1)).await.unwrap();

    assert_eq!(done.rows, 40_000);
    assert_eq!(count(lake.sql("select c0, c999 from events where c500 is not null").await.unwrap()).await, 40_000);
}

#[tokio::test]
async fn what_a_killed_process_spilled_is_removed_at_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    // no process has so great a number
    let left = folder.path().join("spill/4194999");
    std::fs::create_dir_all(left.join("datafusion-x")).unwrap();
    std::fs::create_dir_all(folder.path().join("spill/mine")).unwrap();

    open(folder.path()).await;

    assert!(!left.exists());
    assert!(folder.path().join("spill/mine").exists(), "what no lake made stays");
}

#[tokio::test]
async fn filters_skip_files_and_counts_open_none() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for part in 0..4 {
        lake.append(&events(), stream(rows(part * 1000..(part + 1) * 1000, "a")), id(part)).await.unwrap();
    }
    // were it opened, the query would fail
    let state = lake.newest(&events()).await.unwrap().unwrap();
    for file in &state.files {
        std::fs::write(folder.path().join("lake/sources/events").join(file.path.as_ref()), b"no parquet").unwrap();
    }

    let counted = lake.sql("select count(*) from events").await.unwrap().collect().await.unwrap();

    use arrow::array::AsArray;
    assert_eq!(counted[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 4000);
    assert!(lake.sql("select max(id) from events where id > 3500").await.unwrap().collect().await.is_err());
}

#[tokio::test]
async fn only_columns_that_repeat_are_written_with_a_dictionary() {
    use parquet::basic::Encoding;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    lake.append(&events(), stream(rows(0..10_000, "a")), id(1)).await.unwrap();

    let state = lake.newest(&events()).await.unwrap().unwrap();
    let path = folder.path().join("lake/sources/events").join(state.files[0].path.as_ref());
    let file = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let encodings =
        |column: usize| -> Vec<Encoding> { file.metadata().row_group(0).column(column).encodings().collect() };
    assert!(encodings(0).contains(&Encoding::DELTA_BINARY_PACKED), "{:?}", encodings(0));
    assert!(!encodings(0).contains(&Encoding::RLE_DICTIONARY), "{:?}", encodings(0));
    assert!(encodings(1).contains(&Encoding::RLE_DICTIONARY), "{:?}", encodings(1));
    assert_eq!(count(lake.sql("select * from events where id = 9999 and value = 'a'").await.unwrap()).await, 1);
}
