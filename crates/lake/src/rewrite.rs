//! Writes that change rows which are there: replacing by key, deleting by condition.
//!
//! Only the files that hold such rows are written anew, without them. Which files those are, and what stays of them, are
//! two queries; they run under the memory pool and spill. Row order within a table is not kept.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SessionContext, col};
use deltalake::kernel::Remove;

use crate::commit::{Effect, Outcome};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::reshape::Reshape;
use crate::scan::{FILE_COLUMN, FileTable};
use crate::stage::Staged;
use crate::state::TableState;
use crate::write::{Committed, WriteId, writable};

/// How often a change is worked out again because other processes wrote to the table meanwhile.
const ATTEMPTS_MAX: u32 = 20;
/// From so many new rows on, joins sort and spill instead of holding a hash table.
const HASHED_ROWS_MAX: u64 = 2_000_000;

/// Which rows are taken away.
enum Taken<'a> {
    /// Those with the same values in these columns as one of the staged rows.
    SameKey(&'a [String]),
    /// Those for which this SQL condition is true.
    Where(&'a str),
}

impl Lake {
    /// Adds rows to a table, each in the place of those with the same values in the key columns, in one commit. Keys with
    /// a null never match. Of two new rows with one key both land: the caller keeps keys apart.
    ///
    /// # Errors
    ///
    /// As [`Lake::append`].
    pub async fn replace_keys(
        &self,
        name: &TableName,
        key: &[String],
        rows: SendableRecordBatchStream,
        id: WriteId,
    ) -> Result<Committed> {
        let schema = rows.schema();
        let absent = key.iter().find(|part| schema.field_with_name(part).is_err());
        if key.is_empty() || absent.is_some() {
            let reason = match absent {
                Some(part) => format!("key column `{part}` is not among them"),
                None => "a replacing write needs key columns".to_owned(),
            };
            return Err(Error::schema(name)(reason));
        }
        let Some(state) = self.newest(name).await? else { return self.append(name, rows, id).await };
        if let Some(done) = self.replayed(&state, &id).await? {
            return Ok(done);
        }
        writable(&state)?;
        let reshape = Reshape::onto(&schema, &state.schema).map_err(Error::schema(name))?;
        let fresh = self.stage(name, reshape, rows).await?;
        self.rewrite(name, &id, fresh, Taken::SameKey(key)).await
    }

    /// Removes the rows for which a SQL condition is true, in one commit.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`]; [`Error::Query`] when the condition cannot be read.
    pub async fn delete(&self, name: &TableName, condition: &str, id: WriteId) -> Result<Committed> {
        let state = self.require(name).await?;
        if let Some(done) = self.replayed(&state, &id).await? {
            return Ok(done);
        }
        writable(&state)?;
        self.rewrite(name, &id, Staged::nothing(state.schema.clone()), Taken::Where(condition)).await
    }

    async fn rewrite(&self, name: &TableName, id: &WriteId, mut fresh: Staged, taken: Taken<'_>) -> Result<Committed> {
        // writers of this process wait, so that only those of others make us start again
        let slot = self.slot(name);
        let _committing = slot.committing.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            let state = self.require(name).await?;
            let worked_out = self.without_taken(&state, &fresh, &taken).await;
            let (kept, removed) = match worked_out {
                Ok(worked_out) => worked_out,
                Err(error) => {
                    self.discard(name, fresh).await;
                    return Err(error);
                }
            };
            let (rows, bytes) = (fresh.rows, fresh.bytes);
            let fresh_files = fresh.files.len();
            let effect = Effect::Replace { version: state.version(), removed };
            match self.commit(name, Some(id), fresh.and(kept), effect).await? {
                Outcome::Landed(done) if done.replayed => return Ok(done),
                Outcome::Landed(done) => return Ok(Committed { rows, bytes, ..done }),
                Outcome::Outdated(staged) => {
                    let (again, outdated) = staged.split(fresh_files, rows, bytes);
                    self.discard(name, outdated).await;
                    fresh = again;
                }
            }
        }
        self.discard(name, fresh).await;
        Err(Error::Contended { table: name.clone(), attempts: ATTEMPTS_MAX })
    }

    /// Stages what stays of the files that hold rows to be taken; and those files.
    async fn without_taken(
        &self,
        state: &Arc<TableState>,
        fresh: &Staged,
        taken: &Taken<'_>,
    ) -> Result<(Staged, Vec<Remove>)> {
        let session = self.rewriting_session(state, fresh);
        let all = FileTable::of(self.root(), state)?.with_file_column();
        let places = places(self.matching(&session, state, &all, fresh, taken, Matched::Taken)?).await?;
        if places.is_empty() {
            return Ok((Staged::nothing(state.schema.clone()), vec![]));
        }
        let touched = all.only(&places);
        let kept = self.matching(&session, state, &touched, fresh, taken, Matched::Kept)?;
        let kept = kept.drop_columns(&[FILE_COLUMN])?.execute_stream().await?;
        let reshape = Reshape::onto(&kept.schema(), &state.schema).map_err(Error::schema(&state.name))?;
        let kept = self.stage(&state.name, reshape, kept).await?;
        let is_touched = |path: &str| places.iter().any(|place| state.files[*place as usize].logged_path == path);
        let removed = (state.delta.log_data().iter())
            .filter(|file| is_touched(&file.path()))
            .map(|file| file.remove_action(true))
            .collect();
        Ok((kept, removed))
    }

    fn rewriting_session(&self, state: &TableState, fresh: &Staged) -> SessionContext {
        let session = self.session();
        let rows: u64 = state.files.iter().filter_map(|file| file.rows).sum();
        if fresh.rows.min(rows) > HASHED_ROWS_MAX {
            session.state_ref().write().config_mut().options_mut().optimizer.prefer_hash_join = false;
        }
        session
    }

    fn matching(
        &self,
        session: &SessionContext,
        state: &TableState,
        old: &FileTable,
        fresh: &Staged,
        taken: &Taken<'_>,
        matched: Matched,
    ) -> Result<DataFrame> {
        let rows = session.read_table(Arc::new(old.clone()))?;
        match taken {
            Taken::Where(condition) => {
                let condition = rows.parse_sql_expr(condition)?;
                Ok(match matched {
                    Matched::Taken => rows.filter(condition)?,
                    Matched::Kept => rows.filter(condition.is_not_true())?,
                })
            }
            Taken::SameKey(key) => {
                let prefix = self.root().table_path(&state.name);
                let new = FileTable::of_files(self.root(), prefix, fresh.schema.clone(), fresh.data_files())?;
                let key_columns: Vec<Expr> = key.iter().map(|part| quoted(part)).collect();
                let new = session.read_table(Arc::new(new))?.select(key_columns)?;
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                let kind = match matched {
                    Matched::Taken => JoinType::LeftSemi,
                    Matched::Kept => JoinType::LeftAnti,
                };
                join_on(rows, new, kind, &key)
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Matched {
    Taken,
    Kept,
}

fn quoted(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(name))
}

fn join_on(rows: DataFrame, new: DataFrame, kind: JoinType, key: &[&str]) -> Result<DataFrame> {
    let (rows, new) = (rows.alias("old")?, new.alias("new")?);
    let column = |side: &str, part: &str| Expr::Column(datafusion::common::Column::new(Some(side), part));
    let same = key.iter().map(|part| column("old", part).eq(column("new", part))).reduce(Expr::and);
    Ok(rows.join_on(new, kind, [same.unwrap_or_else(|| lit(true))])?)
}

/// The places of the files that rows lie in.
async fn places(rows: DataFrame) -> Result<Vec<u32>> {
    let mut places = vec![];
    for batch in rows.select(vec![col(FILE_COLUMN)])?.distinct()?.collect().await? {
        places.extend(batch.column(0).as_primitive::<UInt32Type>().values().iter().copied());
    }
    places.sort_unstable();
    Ok(places)
}
