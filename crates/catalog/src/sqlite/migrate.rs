//! Bringing the schema up to date: numbered steps, forward only, each applied once.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqlitePool};

use super::failure::storage;
use crate::{Error, Result};

/// Never edited once released: a database remembers the digest of what it was given.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../migrations/sqlite/0001_catalog.sql"),
    include_str!("../../migrations/sqlite/0002_changed_since.sql"),
];

/// Applies what is missing, in one transaction under the write lock, so that two processes may open at once.
pub(super) async fn migrate(pool: &SqlitePool) -> Result<()> {
    let doing = "bringing the catalog's schema up to date";
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(storage(doing))?;
    sqlx::raw_sql(include_str!("sql/migrations.sql")).execute(&mut *transaction).await.map_err(storage(doing))?;
    let applied = sqlx::query("SELECT version, digest FROM migrations ORDER BY version")
        .fetch_all(&mut *transaction)
        .await
        .map_err(storage(doing))?;
    for row in &applied {
        let version: i64 = row.try_get(0).map_err(storage(doing))?;
        let digest: String = row.try_get(1).map_err(storage(doing))?;
        let known = usize::try_from(version - 1).ok().and_then(|index| MIGRATIONS.get(index));
        match known {
            None => return Err(Error::Newer { found: version, known: MIGRATIONS.len() as i64 }),
            Some(text) if digest != digest_of(text) => return Err(Error::MigrationChanged { version }),
            Some(_) => {}
        }
    }
    for (text, version) in MIGRATIONS.iter().zip(1_i64..).skip(applied.len()) {
        sqlx::raw_sql(*text).execute(&mut *transaction).await.map_err(storage(doing))?;
        sqlx::query("INSERT INTO migrations (version, digest, applied_at) VALUES (?1, ?2, ?3)")
            .bind(version)
            .bind(digest_of(text))
            .bind(Timestamp::now().as_microsecond())
            .execute(&mut *transaction)
            .await
            .map_err(storage(doing))?;
    }
    transaction.commit().await.map_err(storage(doing))
}

fn digest_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
