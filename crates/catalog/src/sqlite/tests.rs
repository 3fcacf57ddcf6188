//! The SQLite backend: the conformance suite, and what only a file can show.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::SqliteBackend;
use crate::conformance::{Note, change, suite};
use crate::{Backend, Catalog, Error, Expect};

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("deep/catalog.db").display())
}

async fn raw(folder: &tempfile::TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.path().join("deep/catalog.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_passes_the_conformance_suite() {
    let folders = std::sync::Mutex::new(Vec::new());
    suite(async || {
        let folder = tempfile::tempdir().unwrap();
        let backend: Arc<dyn Backend> = Arc::new(SqliteBackend::open(&url(&folder)).await.unwrap());
        folders.lock().unwrap().push(folder);
        backend
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes_the_conformance_suite() {
    suite(async || Arc::new(SqliteBackend::open("sqlite::memory:").await.unwrap()) as Arc<dyn Backend>).await;
}

#[tokio::test]
async fn two_memory_catalogs_share_nothing() {
    let one = Catalog::open("sqlite::memory:").await.unwrap();
    let other = Catalog::open("sqlite::memory:").await.unwrap();

    one.commit(change("a").put(&Note::new("a"), Expect::Absent).unwrap()).await.unwrap();

    assert_eq!(other.count::<Note>(None).await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&url(&folder)).await.unwrap();
    catalog.commit(change("a").put(&Note::new("a"), Expect::Absent).unwrap()).await.unwrap();
    let head = catalog.audit_head().await.unwrap();
    catalog.close().await;
    assert!(matches!(catalog.get::<Note>("a").await, Err(Error::Closed)));
    assert!(matches!(catalog.commit(change("a")).await, Err(Error::Closed)));

    let again = Catalog::open(&url(&folder)).await.unwrap();

    assert_eq!(again.get::<Note>("a").await.unwrap().unwrap().document, Note::new("a"));
    assert!(again.verify_audit_against(&head).await.unwrap().is_intact());
}

/// Ten handles on one new file at once stand for ten processes: SQLite locks the file between connections alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_may_open_and_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let writer = |number: usize| {
        let url = url(&folder);
        tokio::spawn(async move {
            let catalog = Catalog::open(&url).await.unwrap();
            for round in 0..5 {
                let name = format!("{number}-{round}");
                catalog.commit(change(&name).put(&Note::new(&name), Expect::Absent).unwrap()).await.unwrap();
            }
        })
    };

    for task in (0..10).map(writer).collect::<Vec<_>>() {
        task.await.unwrap();
    }

    let catalog = Catalog::open(&url(&folder)).await.unwrap();
    assert_eq!(catalog.count::<Note>(None).await.unwrap(), 50);
    assert_eq!(catalog.audit_head().await.unwrap().seq, 50);
    assert!(catalog.verify_audit().await.unwrap().is_intact());
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&url(&folder)).await.unwrap();
    catalog.commit(change("a")).await.unwrap();

    for name in ["deep/catalog.db", "deep/catalog.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn commits_are_synced_to_disk() {
    let folder = tempfile::tempdir().unwrap();
    let backend = SqliteBackend::open(&url(&folder)).await.unwrap();

    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&backend.writer).await.unwrap();
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&backend.writer).await.unwrap();

    assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    let refused = sqlx::query("DELETE FROM audit").execute(&backend.readers).await;
    assert!(refused.is_err(), "a reading connection must not write");
}

#[tokio::test]
async fn a_newer_or_changed_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Catalog::open(&url(&folder)).await.unwrap());
    let mut raw = raw(&folder).await;

    sqlx::query("INSERT INTO migrations VALUES (99, 'x', 0)").execute(&mut raw).await.unwrap();
    let newer = Catalog::open(&url(&folder)).await.unwrap_err();
    sqlx::query("DELETE FROM migrations WHERE version = 99").execute(&mut raw).await.unwrap();
    sqlx::query("UPDATE migrations SET digest = 'x'").execute(&mut raw).await.unwrap();
    let changed = Catalog::open(&url(&folder)).await.unwrap_err();

    assert!(matches!(newer, Error::Newer { found: 99, .. }), "{newer}");
    assert!(matches!(changed, Error::MigrationChanged { version: 1 }), "{changed}");
}

#[tokio::test]
async fn what_is_no_catalog_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not-a-database");
    std::fs::write(&path, "hello, I am a text file and not a database at all").unwrap();

    let postgres = Catalog::open("postgres://db").await.unwrap_err();
    let nothing = Catalog::open("sqlite:").await.unwrap_err();
    let text = Catalog::open(&format!("sqlite:{}", path.display())).await.unwrap_err();

    assert_eq!(
        postgres.to_string(),
        "`postgres://db` is not a catalog: its kind is not known; write `sqlite:PATH` or `sqlite::memory:`"
    );
    assert!(matches!(nothing, Error::Url { .. }), "{nothing}");
    assert!(matches!(text, Error::Damaged { .. }), "{text}");
}

#[tokio::test]
async fn an_unreadable_document_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&url(&folder)).await.unwrap();
    catalog.commit(change("a").put(&Note::new("a"), Expect::Absent).unwrap()).await.unwrap();
    sqlx::query("UPDATE documents SET body = '{}'").execute(&mut raw(&folder).await).await.unwrap();

    let error = catalog.get::<Note>("a").await.unwrap_err();

    assert!(error.to_string().starts_with("note `a` in the catalog cannot be read: missing field `name`"), "{error}");
}

#[tokio::test]
async fn a_list_by_parent_uses_its_index() {
    let backend = SqliteBackend::open("sqlite::memory:").await.unwrap();
    for (sql, index) in [
        (include_str!("sql/list_of_parent.sql"), "documents_by_parent"),
        (include_str!("sql/list_newest.sql"), "documents_by_age"),
        (include_str!("sql/list_newest_of_parent.sql"), "documents_by_parent_and_age"),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&backend.writer).await.unwrap();
        let plan: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
        assert!(plan.len() == 1 && plan[0].contains(&format!("{index} ")), "{plan:?}");
    }
}
