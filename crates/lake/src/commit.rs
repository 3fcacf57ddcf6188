//! Makes staged files visible: the second half of every write.
//!
//! One log entry holds everything a write does: the files it adds and removes, the columns it brings, and its identifier.
//! An entry is put where no entry is yet, which one writer wins. Who loses looks at what the winners did and tries the
//! next version: additions never conflict, what replaces all rows takes the winners' rows away too, and what was worked
//! out from rows that have changed is given back to its caller to be worked out again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Metadata, MetadataExt, Protocol, Remove, StructType, Transaction, new_metadata};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::reshape::evolved;
use crate::stage::Staged;
use crate::state::{Slot, TableState};
use crate::write::{Committed, WriteId};

/// How often a write goes for the next version before it gives up: at 20 ms a version, that is seconds of being outrun.
const ATTEMPTS_MAX: u32 = 100;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Each so many versions the log is summed up, so that loading a table reads at most so many entries.
const CHECKPOINT_EVERY: u64 = 50;
/// Properties of the tables we make. Old versions stay readable for as long as their files do: what trained a model must
/// be found again. Reading the log stays quick by its checkpoints.
const PROPERTIES: [(&str, &str); 2] =
    [("delta.logRetentionDuration", "interval 3650 days"), ("delta.deletedFileRetentionDuration", "interval 30 days")];

/// What a commit does beside adding files.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// Nothing.
    Add,
    /// Takes all rows that are there away, and their columns.
    ReplaceAll,
    /// Takes files away, worked out from this version.
    Replace { version: u64, removed: Vec<Remove> },
    /// Takes files away whose rows are all in the files added: no row changes.
    Compact { target_bytes: u64, removed: Vec<Remove> },
}

/// How a commit came out.
pub(crate) enum Outcome {
    Landed(Committed),
    /// The table has changed since what was removed was worked out.
    Outdated(Staged),
}

impl Lake {
    /// Commits, or finds that the write has landed before. The caller holds the slot's lock when it has worked something
    /// out from the table's rows.
    pub(crate) async fn commit(
        &self,
        name: &TableName,
        id: Option<&WriteId>,
        staged: Staged,
        effect: Effect,
    ) -> Result<Outcome> {
        for attempt in 0..ATTEMPTS_MAX {
            let state = self.newest(name).await?;
            if let (Some(state), Some(id)) = (&state, id)
                && let Some(done) = self.replayed(state, id).await?
            {
                self.discard(name, staged).await;
                return Ok(Outcome::Landed(done));
            }
            if is_outdated(&effect, state.as_deref()) {
                return Ok(Outcome::Outdated(staged));
            }
            let actions = match actions(name, id, state.as_deref(), &staged, &effect) {
                Ok(actions) => actions,
                Err(error) => {
                    self.discard(name, staged).await;
                    return Err(error);
                }
            };
            match self.try_commit(name, id, state.as_deref(), actions, &effect).await {
                Ok(state) => {
                    self.after_commit(&state).await?;
                    return Ok(Outcome::Landed(Committed {
                        table: name.clone(),
                        version: state.version(),
                        rows: staged.rows,
                        bytes: staged.bytes,
                        replayed: false,
                    }));
                }
                Err(error) if lost_a_race(&error) => {
                    tracing::debug!(table = %name, attempt, "another writer took the version");
                    tokio::time::sleep(pause(attempt)).await;
                }
                Err(error) => return Err(Error::delta(name)(error)),
            }
        }
        self.discard(name, staged).await;
        Err(Error::Contended { table: name.clone(), attempts: ATTEMPTS_MAX })
    }

    async fn try_commit(
        &self,
        name: &TableName,
        id: Option<&WriteId>,
        state: Option<&TableState>,
        actions: Vec<Action>,
        effect: &Effect,
    ) -> Result<Arc<TableState>, DeltaTableError> {
        let log = state.map_or_else(|| self.root().log_store(name), |state| state.log.clone());
        let write = |mode| DeltaOperation::Write { mode, partition_by: None, predicate: None };
        let operation = match effect {
            Effect::Add => write(SaveMode::Append),
            Effect::ReplaceAll | Effect::Replace { .. } => write(SaveMode::Overwrite),
            Effect::Compact { target_bytes, .. } => {
                let target_size = i64::try_from(*target_bytes).unwrap_or(i64::MAX);
                DeltaOperation::Optimize { predicate: None, target_size }
            }
        };
        // retries are ours, as each looks at the newest state; so are checkpoints, which must not fail a commit
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let table = state.map(|state| &state.delta as _);
        let done = CommitBuilder::from(properties).with_actions(actions).build(table, log.clone(), operation).await?;
        let mut next = TableState::new(name.clone(), log, done.snapshot());
        if let Some(before) = state {
            next = next.with_sequences_of(before, id.map(|id| (id.app.as_str(), id.sequence)));
        }
        let state = Arc::new(next);
        self.states().remember(&state);
        Ok(state)
    }

    async fn after_commit(&self, state: &TableState) -> Result<()> {
        let entry = format!("_delta_log/{:020}.json", state.version());
        self.sync(&state.name, std::iter::once(entry)).await?;
        if state.version() > 0 && state.version().is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoint(state).await;
        }
        Ok(())
    }

    /// Sums the log up; that it fails costs time at the next load, and nothing else.
    pub(crate) async fn checkpoint(&self, state: &TableState) {
        if let Err(error) = deltalake::checkpoints::create_checkpoint(&state.table(), None).await {
            tracing::warn!(table = %state.name, version = state.version(), %error, "no checkpoint could be made");
        }
    }

    /// What a write did, when it has landed before.
    pub(crate) async fn replayed(&self, state: &TableState, id: &WriteId) -> Result<Option<Committed>> {
        let landed = state.last_sequence(&id.app).await?.is_some_and(|last| last >= id.sequence);
        if landed { Ok(Some(self.find_write(state, id).await?)) } else { Ok(None) }
    }

    pub(crate) fn slot(&self, name: &TableName) -> Arc<Slot> {
        self.states().slot(name)
    }
}

/// Whether what an effect removes was worked out from rows or files that are no longer the table's.
fn is_outdated(effect: &Effect, state: Option<&TableState>) -> bool {
    match effect {
        Effect::Add | Effect::ReplaceAll => false,
        Effect::Replace { version, .. } => state.is_none_or(|state| state.version() != *version),
        Effect::Compact { removed, .. } => {
            let active: HashSet<&str> =
                state.iter().flat_map(|state| &state.files).map(|file| file.logged_path.as_str()).collect();
            !removed.iter().all(|file| active.contains(file.path.as_str()))
        }
    }
}

fn actions(
    name: &TableName,
    id: Option<&WriteId>,
    state: Option<&TableState>,
    staged: &Staged,
    effect: &Effect,
) -> Result<Vec<Action>> {
    let now = jiff::Timestamp::now().as_millisecond();
    let transaction = |id: &WriteId| Transaction::new_with_last_update(&id.app, id.sequence, Some(now));
    let mut actions: Vec<Action> = id.map(transaction).map(Action::Txn).into_iter().collect();
    match state {
        None => {
            let protocol: Protocol = serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
                .map_err(DeltaTableError::from)
                .map_err(Error::delta(name))?;
            actions.push(Action::Protocol(protocol));
            actions.push(Action::Metadata(made(name, &staged.schema)?));
        }
        Some(state) => {
            let columns = match effect {
                Effect::ReplaceAll => staged.schema.clone(),
                Effect::Compact { .. } => state.schema.clone(),
                Effect::Add | Effect::Replace { .. } => {
                    Arc::new(evolved(&state.schema, &staged.schema).map_err(Error::schema(name))?)
                }
            };
            if columns.fields() != state.schema.fields() {
                let changed = state.delta.metadata().clone().with_schema(&stored(name, &columns)?);
                actions.push(Action::Metadata(changed.map_err(Error::delta(name))?));
            }
        }
    }
    match (effect, state) {
        (Effect::ReplaceAll, Some(state)) => {
            actions.extend(state.delta.log_data().iter().map(|file| Action::Remove(file.remove_action(true))));
        }
        (Effect::Replace { removed, .. } | Effect::Compact { removed, .. }, _) => {
            actions.extend(removed.iter().cloned().map(Action::Remove))
        }
        (Effect::Add | Effect::ReplaceAll, _) => {}
    }
    let mut files = staged.files.clone();
    if !matches!(effect, Effect::Compact { .. }) {
        // files are read in the order of these times: no two are the same, whatever the clock does
        let last = state.and_then(|state| state.files.last()).map_or(i64::MIN, |file| file.modified_ms);
        for (file, time) in files.iter_mut().zip(now.max(last.saturating_add(1))..) {
            file.modification_time = time;
        }
    }
    actions.extend(files.into_iter().map(Action::Add));
    Ok(actions)
}

fn made(name: &TableName, schema: &SchemaRef) -> Result<Metadata> {
    new_metadata(&stored(name, schema)?, Vec::<String>::new(), PROPERTIES)
        .and_then(|metadata| metadata.with_name(name.to_string()))
        .map_err(Error::delta(name))
}

fn stored(name: &TableName, schema: &SchemaRef) -> Result<StructType> {
    schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| Error::schema(name)(error.to_string()))
}

fn lost_a_race(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::MaxCommitAttempts(_)
                | TransactionError::VersionAlreadyExists(_)
                | TransactionError::CommitConflict(_)
        ),
        _ => false,
    }
}

/// Grows with the attempts, and differs between writers so that they do not meet again.
fn pause(attempt: u32) -> Duration {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
    let jitter = 0.5 + f64::from(nanos % 1_000) / 1_000.0;
    Duration::from_millis(u64::from(attempt) * 2 + 1).mul_f64(jitter).min(PAUSE_MAX)
}
