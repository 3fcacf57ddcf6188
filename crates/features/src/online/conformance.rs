//! What every online store must do. An implementation's test calls [`check`] with a function that opens an empty store.

use super::store::{OnlineChange, OnlineStore, RowKey, TailRow};

fn row(event_time: i64, known_at: i64, row_id: i64, payload: &[u8]) -> TailRow {
    TailRow { key: RowKey { event_time, known_at, row_id }, payload: payload.to_vec() }
}

fn put(entity: &[u8], row: &TailRow) -> OnlineChange {
    OnlineChange::Put { entity: entity.to_vec(), row: row.clone() }
}

/// Runs the whole suite.
///
/// # Panics
/// When the store does not do what it must.
pub fn check<S: OnlineStore>(mut open: impl FnMut() -> S) {
    rows_come_in_order(&open());
    same_place_is_replaced(&open());
    entities_and_spaces_are_apart(&open());
    deleted_rows_are_gone(&open());
    notes_are_written_with_their_rows(&open());
    several_spaces_are_written_together(&open());
    cleared_spaces_are_empty(&open());
    scan_visits_entity_by_entity(&open());
}

fn rows_come_in_order(store: &impl OnlineStore) {
    let rows = [
        row(i64::MIN, i64::MIN, 0, b"a"),
        row(-1, -1, 0, b"b"),
        row(-1, 5, -9, b"c"),
        row(-1, 5, 9, b"d"),
        row(0, 0, 0, b""),
        row(i64::MAX, 0, 0, b"f"),
    ];

    store.write("v#1", [4, 1, 5, 3, 0, 2].map(|place: usize| put(b"e", &rows[place])).to_vec(), None).expect("writes");

    assert_eq!(store.tail("v#1", b"e").expect("reads"), rows);
}

fn same_place_is_replaced(store: &impl OnlineStore) {
    store.write("v#1", vec![put(b"e", &row(1, 1, 1, b"old"))], None).expect("writes");

    store.write("v#1", vec![put(b"e", &row(1, 1, 1, b"new"))], None).expect("writes");

    assert_eq!(store.tail("v#1", b"e").expect("reads"), [row(1, 1, 1, b"new")]);
}

fn entities_and_spaces_are_apart(store: &impl OnlineStore) {
    let mine = row(1, 1, 1, b"mine");
    store.write("v#1", vec![put(b"ab", &mine)], None).expect("writes");

    store
        .write(
            "v#1",
            vec![put(b"a", &row(2, 2, 2, b"")), put(b"abc", &row(3, 3, 3, b"")), put(b"", &row(4, 4, 4, b""))],
            None,
        )
        .expect("writes");
    store.write("v#2", vec![put(b"ab", &row(5, 5, 5, b""))], None).expect("writes");
    store.write("v#11", vec![put(b"ab", &row(6, 6, 6, b""))], None).expect("writes");

    assert_eq!(store.tail("v#1", b"ab").expect("reads"), [mine]);
    assert!(store.tail("v#1", b"b").expect("reads").is_empty());
}

fn deleted_rows_are_gone(store: &impl OnlineStore) {
    let (first, second) = (row(1, 1, 1, b""), row(2, 2, 2, b""));
    store.write("v#1", vec![put(b"e", &first), put(b"e", &second)], None).expect("writes");

    let missing = OnlineChange::Delete { entity: b"e".to_vec(), key: row(9, 9, 9, b"").key };
    store
        .write("v#1", vec![OnlineChange::Delete { entity: b"e".to_vec(), key: first.key }, missing], None)
        .expect("writes");

    assert_eq!(store.tail("v#1", b"e").expect("reads"), [second]);
}

fn notes_are_written_with_their_rows(store: &impl OnlineStore) {
    assert_eq!(store.note("v").expect("reads"), None);

    store.write("v#1", vec![put(b"e", &row(1, 1, 1, b""))], Some(("v", b"one"))).expect("writes");
    store.write("v#1", vec![], Some(("v", b"two"))).expect("writes");
    store.persist().expect("syncs");

    assert_eq!(store.note("v").expect("reads").as_deref(), Some(&b"two"[..]));
    store.forget("v").expect("forgets");
    assert_eq!(store.note("v").expect("reads"), None);
    assert_eq!(store.tail("v#1", b"e").expect("reads").len(), 1);
}

fn several_spaces_are_written_together(store: &impl OnlineStore) {
    let (first, second) = (row(1, 1, 1, b"a"), row(2, 2, 2, b"b"));

    let writes = vec![("v#1", vec![put(b"e", &first)]), ("w#1", vec![put(b"e", &second)])];
    store.write_all(writes, &[("v", b"one"), ("w", b"two")]).expect("writes");

    assert_eq!(store.tail("v#1", b"e").expect("reads"), [first]);
    assert_eq!(store.tail("w#1", b"e").expect("reads"), [second]);
    assert_eq!(store.note("w").expect("reads").as_deref(), Some(&b"two"[..]));
}

fn cleared_spaces_are_empty(store: &impl OnlineStore) {
    let rows = (0..25_000).map(|time| put(&[u8::try_from(time % 7).unwrap_or(0)], &row(time, time, 0, b"x"))).collect();
    store.write("v#1", rows, None).expect("writes");
    store.write("v#2", vec![put(b"e", &row(1, 1, 1, b""))], None).expect("writes");

    store.clear("v#1").expect("clears");

    let mut left = 0;
    let mut count = |_: &[u8], _| {
        left += 1;
        Ok(())
    };
    store.scan("v#1", &mut count).expect("scans");
    assert_eq!(left, 0);
    assert_eq!(store.tail("v#2", b"e").expect("reads").len(), 1);
}

fn scan_visits_entity_by_entity(store: &impl OnlineStore) {
    let changes =
        (0..30_i64).map(|time| put(&[u8::try_from(time % 3).unwrap_or(0)], &row(30 - time, 0, 0, b"x"))).collect();
    store.write("v#1", changes, None).expect("writes");

    let mut seen: Vec<(Vec<u8>, RowKey)> = vec![];
    let mut note = |entity: &[u8], row: TailRow| {
        seen.push((entity.to_vec(), row.key));
        Ok(())
    };
    store.scan("v#1", &mut note).expect("scans");

    assert_eq!(seen.len(), 30);
    assert!(seen.is_sorted(), "{seen:?}");
}
