//! Writers that meet.

use super::*;

/// Two lakes over one folder know nothing of each other, as two processes would.
async fn strangers(folder: &Path, number: usize) -> Vec<Lake> {
    let mut lakes = vec![];
    for _ in 0..number {
        lakes.push(open(folder).await);
    }
    lakes
}

#[tokio::test]
async fn another_process_sees_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()).await, open(folder.path()).await);
    one.append(&events(), stream(rows(0..1, "a")), id(1)).await.unwrap();
    assert_eq!(other.version(&events()).await.unwrap(), one.version(&events()).await.unwrap());

    one.append(&events(), stream(rows(1..5, "a")), id(2)).await.unwrap();

    assert_eq!(count(other.sql("select * from events").await.unwrap()).await, 5);
}

#[tokio::test]
async fn a_table_that_was_removed_and_made_anew_is_seen_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..3, "a")), id(1)).await.unwrap();
    lake.append(&events(), stream(rows(3..5, "a")), id(2)).await.unwrap();

    std::fs::remove_dir_all(folder.path().join("lake/sources/events")).unwrap();

    assert!(!lake.exists(&events()).await.unwrap());
    lake.append(&events(), stream(rows(0..1, "b")), id(1)).await.unwrap();
    assert_eq!(contents(lake.read(&events(), At::Latest).await.unwrap()).await, [(0, "b".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_race_all_land_and_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    race(&folder.path().join("lake").display().to_string(), folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_race_in_a_bucket_all_land_and_none_twice() {
    let (Some(root), spill) = (bucket(), tempfile::tempdir().unwrap()) else { return };
    race(&root, spill.path()).await;
}

/// Four writers that know nothing of each other, as four processes would, append to one table.
async fn race(root: &str, folder: &Path) {
    let spill = folder.join("spill");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_i64 {
        let lake = open_at(root, &spill).await;
        writers.spawn(async move {
            for sequence in 0..8 {
                let first = writer * 100 + sequence;
                let id = WriteId { app: format!("writer {writer}"), sequence };
                let done = lake.append(&events(), stream(rows(first..first + 1, "a")), id).await.unwrap();
                assert!(!done.replayed);
            }
        });
    }
    writers.join_all().await;

    let lake = open_at(root, &spill).await;
    let expected: Vec<_> = (0..4).flat_map(|w| (0..8).map(move |s| (w * 100 + s, "a".to_owned()))).collect();
    assert_eq!(contents(lake.read(&events(), At::Latest).await.unwrap()).await, expected);
    assert_eq!(lake.version(&events()).await.unwrap(), Some(31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_write_tried_by_many_lands_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for lake in strangers(folder.path(), 4).await {
        writers.spawn(async move { lake.append(&events(), stream(rows(0..5, "a")), id(1)).await.unwrap() });
    }
    let done = writers.join_all().await;

    assert_eq!(done.iter().filter(|done| !done.replayed).count(), 1, "{done:?}");
    assert!(done.iter().all(|done| done.version == 0 && done.rows == 5), "{done:?}");
    let lake = open(folder.path()).await;
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 5);
    let files = std::fs::read_dir(folder.path().join("lake/sources/events")).unwrap();
    let left = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet"));
    assert_eq!(left.count(), 1, "the files of the losers are removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_worked_out_from_rows_are_worked_out_again_when_the_rows_change() {
    let folder = tempfile::tempdir().unwrap();
    let lakes = strangers(folder.path(), 3).await;
    lakes[0].append(&events(), stream(rows(0..10, "first")), id(0)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for (writer, lake) in lakes.into_iter().enumerate() {
        writers.spawn(async move {
            for sequence in 0..4 {
                let id = WriteId { app: format!("writer {writer}"), sequence };
                let batch = stream(rows(0..20, &format!("{writer}.{sequence}")));
                lake.replace_keys(&events(), &["id".into()], batch, id).await.unwrap();
            }
        });
    }
    writers.join_all().await;

    let left = contents(open(folder.path()).await.read(&events(), At::Latest).await.unwrap()).await;
    assert_eq!(left.iter().map(|row| row.0).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>(), "each key is there once");
    assert!(left.iter().all(|row| row.1 == left[0].1), "and all are of the last write: {left:?}");
    assert!(left[0].1.ends_with(".3"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn maintenance_and_writers_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (writing, keeping) = (open(folder.path()).await, open(folder.path()).await);
    writing.append(&events(), stream(rows(0..1, "a")), id(0)).await.unwrap();

    let writer = tokio::spawn(async move {
        for sequence in 1..20 {
            writing.append(&events(), stream(rows(sequence..sequence + 1, "a")), id(sequence)).await.unwrap();
        }
    });
    while !writer.is_finished() {
        keeping.maintain(MaintainOptions::default()).await.unwrap();
    }
    writer.await.unwrap();

    let expected: Vec<_> = (0..20).map(|id| (id, "a".to_owned())).collect();
    assert_eq!(contents(keeping.read(&events(), At::Latest).await.unwrap()).await, expected);
}
