//! Tampering: whatever is done to the database behind Mainspring's back, verifying finds it and says where.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::sync::OnceCell;

use crate::conformance::Note;
use crate::{AuditHead, AuditQuery, AuditVerdict, Catalog, Change, Expect, Fault, Principal};

const ENTRIES: i64 = 12;

/// A closed catalog of twelve entries and six notes, to be copied and spoilt.
struct Original {
    folder: tempfile::TempDir,
    head: AuditHead,
}

/// Made once: a hundred cases spoil copies of it.
static ORIGINAL: OnceCell<(Vec<u8>, AuditHead)> = OnceCell::const_new();

impl Original {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, head) = ORIGINAL.get_or_init(Self::written).await;
        std::fs::write(folder.path().join("original.db"), bytes).unwrap();
        Self { folder, head: head.clone() }
    }

    async fn written() -> (Vec<u8>, AuditHead) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("written.db");
        let catalog = Catalog::open(&url(&path)).await.unwrap();
        for number in 0..ENTRIES {
            let note = Note::new(&format!("note {}", number % 6));
            let principal = if number % 2 == 0 { Principal::user("ada") } else { Principal::system("flow") };
            let change = Change::new(&principal, "note.write", format!("note:{number}"))
                .detail(json!({"reason": "because", "number": number}))
                .put(&note, Expect::Any)
                .unwrap();
            catalog.commit(change).await.unwrap();
        }
        let head = catalog.audit_head().await.unwrap();
        catalog.close().await;
        (std::fs::read(path).unwrap(), head)
    }

    fn copy(&self) -> PathBuf {
        let copy = self.folder.path().join("spoilt.db");
        for suffix in ["", "-wal", "-shm"] {
            let _absent = std::fs::remove_file(format!("{}{suffix}", copy.display()));
        }
        std::fs::copy(self.folder.path().join("original.db"), &copy).unwrap();
        copy
    }

    async fn spoil(&self, sql: &[String]) -> PathBuf {
        let copy = self.copy();
        let mut connection =
            SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&copy)).await.unwrap();
        for statement in sql {
            sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        copy
    }

    async fn verdict(&self, sql: &[&str]) -> AuditVerdict {
        let copy = self.spoil(&sql.iter().map(ToString::to_string).collect::<Vec<_>>()).await;
        let catalog = Catalog::open(&url(&copy)).await.unwrap();
        let verdict = catalog.verify_audit().await.unwrap();
        catalog.close().await;
        verdict
    }
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn fault(verdict: AuditVerdict) -> (Fault, i64) {
    match verdict {
        AuditVerdict::Broken { fault, whole_until } => (fault, whole_until),
        AuditVerdict::Intact { .. } => panic!("tampering was not seen"),
    }
}

#[tokio::test]
async fn each_kind_of_tampering_is_named() {
    let original = Original::new().await;
    let note = |id: &str| ("note".to_owned(), id.to_owned());
    let (kind, id) = note("note 2");

    let intact = original.verdict(&[]).await;
    assert_eq!(intact, AuditVerdict::Intact { head: original.head.clone(), documents: 6, edges: 0, metrics: 0 });

    let cases: Vec<(&[&str], Fault, i64)> = vec![
        (&["UPDATE audit SET subject = 'x' WHERE seq = 7"], Fault::Altered { seq: 7 }, 6),
        (&["UPDATE audit SET detail = detail || ' ' WHERE seq = 1"], Fault::Altered { seq: 1 }, 0),
        (&["UPDATE audit SET prev_hash = hash WHERE seq = 3"], Fault::Altered { seq: 3 }, 2),
        (&["DELETE FROM audit WHERE seq = 5"], Fault::Missing { seq: 5 }, 4),
        (&["DELETE FROM audit WHERE seq = 1"], Fault::Missing { seq: 1 }, 0),
        (&["DELETE FROM audit WHERE seq > 9"], Fault::CutOff { ends_at: 9, last: 12 }, 9),
        (&["DELETE FROM audit"], Fault::CutOff { ends_at: 0, last: 12 }, 0),
        (&["DELETE FROM audit_head"], Fault::Added { seq: 1 }, 12),
        (&["UPDATE audit_head SET hash = 'x'"], Fault::Rewritten { seq: 12 }, 11),
        (&["UPDATE audit_head SET seq = 10"], Fault::Added { seq: 11 }, 12),
        (
            &[
                "UPDATE audit SET seq = -1 WHERE seq = 6",
                "UPDATE audit SET seq = 6 WHERE seq = 8",
                "UPDATE audit SET seq = 8 WHERE seq = -1",
            ],
            Fault::Moved { seq: 6, written_as: 8 },
            5,
        ),
        (
            &[
                "UPDATE audit SET seq = -seq WHERE seq > 4",
                "DELETE FROM audit WHERE seq = -5",
                "UPDATE audit SET seq = -seq - 1 WHERE seq < 0",
            ],
            Fault::Moved { seq: 5, written_as: 6 },
            4,
        ),
        (
            &["UPDATE documents SET body = replace(body, '1.5', '5') WHERE id = 'note 2'"],
            Fault::DocumentAltered { kind: kind.clone(), id: id.clone(), seq: 9 },
            12,
        ),
        (
            &["UPDATE documents SET version = 12 WHERE id = 'note 2'"],
            Fault::DocumentAltered { kind: kind.clone(), id: id.clone(), seq: 9 },
            12,
        ),
        (
            &["DELETE FROM documents WHERE id = 'note 2'"],
            Fault::DocumentMissing { kind: kind.clone(), id: id.clone(), seq: 9 },
            12,
        ),
        (
            &["INSERT INTO documents SELECT 'note', 'new', parent, 12, 0, 0, body FROM documents LIMIT 1"],
            Fault::DocumentAdded { kind, id: "new".into() },
            12,
        ),
    ];
    for (sql, expected, whole_until) in cases {
        assert_eq!(fault(original.verdict(sql).await), (expected, whole_until), "{sql:?}");
    }
}

/// An intruder who knows the format can rewrite an entry with its hash; the next entry gives it away, and for the last
/// one the stored head. One who rewrites the whole chain and the head is given away by a head kept elsewhere.
#[tokio::test]
async fn a_forged_hash_is_seen_in_the_chain_and_a_forged_chain_by_a_witness() {
    let original = Original::new().await;

    for seq in [4, 12] {
        let copy = original.copy();
        forge(&copy, seq, seq).await;
        let catalog = Catalog::open(&url(&copy)).await.unwrap();
        let (found, whole_until) = fault(catalog.verify_audit().await.unwrap());
        assert_eq!((found, whole_until), (Fault::Rewritten { seq }, seq - 1));
        catalog.close().await;
    }

    let copy = original.copy();
    forge(&copy, 4, ENTRIES).await;
    let statement = "UPDATE audit_head SET hash = (SELECT hash FROM audit WHERE seq = 12)";
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&copy)).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let catalog = Catalog::open(&url(&copy)).await.unwrap();
    assert!(catalog.verify_audit().await.unwrap().is_intact(), "alone, a chain cannot show that all of it was forged");
    let (found, _) = fault(catalog.verify_audit_against(&original.head).await.unwrap());
    assert_eq!(found, Fault::NotWitnessed { seq: 12 });
}

/// Rewrites entry `from` and makes the hashes of `from..=to` fit.
async fn forge(path: &Path, from: i64, to: i64) {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let rows = sqlx::query(include_str!("sql/chain.sql")).fetch_all(&mut connection).await.unwrap();
    let mut rows: Vec<_> = rows.iter().map(|row| super::read::entry_row(row).unwrap()).collect();
    for index in (from - 1) as usize..to as usize {
        if rows[index].seq == from {
            rows[index].action = "note.praise".into();
        } else {
            rows[index].prev_hash = rows[index - 1].hash.clone();
        }
        rows[index].hash = rows[index].hash_at(rows[index].seq);
        let row = &rows[index];
        sqlx::query("UPDATE audit SET action = ?2, prev_hash = ?3, hash = ?4 WHERE seq = ?1")
            .bind(row.seq)
            .bind(&row.action)
            .bind(&row.prev_hash)
            .bind(&row.hash)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any one character of any field of any entry.
    #[test]
    fn one_changed_character_is_found_in_its_entry(seq in 1..=ENTRIES, field in 0..9_usize, place in any::<prop::sample::Index>(), with in "[a-z0-9 \"\\\\ß]") {
        let fields =
            ["principal_kind", "principal", "action", "subject", "outcome", "detail", "changes", "prev_hash", "hash"];
        let runtime = runtime();
        runtime.block_on(async {
            let original = Original::new().await;
            let field = fields[field];
            let copy = original.copy();
            let mut connection =
                SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&copy)).await.unwrap();
            let read = AssertSqlSafe(format!("SELECT {field} FROM audit WHERE seq = {seq}"));
            let text: String = sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap();
            let mut characters: Vec<char> = text.chars().collect();
            let place = place.index(characters.len());
            let with = with.chars().next().unwrap();
            prop_assume!(characters[place] != with);
            characters[place] = with;
            let write = AssertSqlSafe(format!("UPDATE audit SET {field} = ?1 WHERE seq = {seq}"));
            let spoilt: String = characters.into_iter().collect();
            sqlx::query(write).bind(spoilt).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();

            let verdict = Catalog::open(&url(&copy)).await.unwrap().verify_audit().await.unwrap();

            prop_assert_eq!(fault(verdict), (Fault::Altered { seq }, seq - 1));
            Ok(())
        })?;
    }

    /// Rows deleted, doubled and swapped in any combination.
    #[test]
    fn rows_shuffled_or_dropped_are_found(mut order in Just((1..=ENTRIES).collect::<Vec<_>>()).prop_shuffle(), kept in 0..=ENTRIES as usize) {
        order.truncate(kept);
        prop_assume!(order != (1..=ENTRIES).collect::<Vec<_>>());
        let runtime = runtime();
        runtime.block_on(async {
            let original = Original::new().await;
            let mut sql = vec!["CREATE TABLE was AS SELECT * FROM audit".to_owned(), "DELETE FROM audit".to_owned()];
            for (place, seq) in (1..).zip(&order) {
                sql.push(format!("UPDATE was SET seq = {} WHERE seq = {seq}", 100 + place));
            }
            sql.push("INSERT INTO audit SELECT * FROM was WHERE seq > 100".into());
            sql.push("UPDATE audit SET seq = seq - 100".into());
            let copy = original.spoil(&sql).await;

            let verdict = Catalog::open(&url(&copy)).await.unwrap().verify_audit().await.unwrap();

            let first_wrong = (1..).zip(&order).find(|(place, seq)| place != *seq);
            let expected = match first_wrong {
                Some((seq, &written_as)) => Fault::Moved { seq, written_as },
                None => Fault::CutOff { ends_at: kept as i64, last: ENTRIES },
            };
            prop_assert_eq!(fault(verdict).0, expected);
            Ok(())
        })?;
    }

    /// Any byte of the file itself. What is not found did not change what is read.
    #[test]
    fn a_flipped_byte_of_the_file_is_found_or_changes_nothing(offset in any::<prop::sample::Index>(), mask in 1..=255_u8) {
        let runtime = runtime();
        runtime.block_on(async {
            let original = Original::new().await;
            let entries = {
                let catalog = Catalog::open(&url(&original.folder.path().join("original.db"))).await.unwrap();
                let entries = catalog.audit(AuditQuery::default()).await.unwrap();
                catalog.close().await;
                entries
            };
            let copy = original.copy();
            let mut bytes = std::fs::read(&copy).unwrap();
            let offset = offset.index(bytes.len());
            bytes[offset] ^= mask;
            std::fs::write(&copy, bytes).unwrap();

            if let Ok(catalog) = Catalog::open(&url(&copy)).await
                && let Ok(AuditVerdict::Intact { .. }) = catalog.verify_audit_against(&original.head).await
                && let Ok(read) = catalog.audit(AuditQuery::default()).await
            {
                prop_assert_eq!(read, entries);
            }
            Ok(())
        })?;
    }
}
