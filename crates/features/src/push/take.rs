//! Taking a push: judged, numbered, written, visible, and only then acknowledged.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_ingest::{judge_pushed, table_schema};
use mainspring_spec::{FeatureView, Source};

use super::land::last_of_each_key;
use super::live::{LiveRows, LiveView};
use super::log;
use crate::error::{Error, Result};
use crate::online::{OnlineChange, OnlineState, Rows, ViewTails, read_state, space};
use crate::schema::names;
use crate::store::FeatureStore;

/// The most rows of one push: they are judged, and put online, in one step and in memory.
pub const PUSH_ROWS_MAX: usize = 100_000;
/// The most rows of a source that may wait to land. They land every few seconds; more than this means that the lake takes
/// none.
const WAITING_ROWS_MAX: u64 = 4 << 20;

/// Rows for one source: its declared columns, in their order and types.
#[derive(Debug, Clone)]
pub struct Push {
    /// The source.
    pub source: String,
    /// The rows.
    pub rows: RecordBatch,
}

/// Where pushed rows are wanted at once. All of them land in the lake: training sees what was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushTo {
    /// Only in the lake; the online store has them when the views are materialised next.
    Lake,
    /// Also in the online store.
    Online,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushReport {
    /// Rows taken.
    pub rows: u64,
    /// Views whose values are up to date with them.
    pub live: Vec<String>,
    /// Views that follow when they are computed anew, as their queries cannot be run on a part of the rows.
    pub later: Vec<String>,
}

/// A view's part of a push.
struct Part {
    tails: Arc<ViewTails>,
    state: Arc<OnlineState>,
    changes: Vec<OnlineChange>,
}

impl FeatureStore {
    /// The sources that take a push of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn push_targets(&self, push: &str) -> Result<Vec<&Source>> {
        let targets = self.project.pushed_sources(push);
        if targets.is_empty() {
            return Err(Error::UnknownPush { push: push.to_owned(), known: self.push_names() });
        }
        Ok(targets)
    }

    /// The source into which rows written to a view go: the one pushed source that its query reads.
    ///
    /// # Errors
    /// When there is no such view, or it reads no pushed source, or several.
    pub fn write_target(&self, view: &str) -> Result<(&FeatureView, &Source)> {
        let declared = self.stored_view(view, "a write")?;
        let tables = crate::base::inputs_of(&self.project, declared)?;
        let sources = tables.iter().filter(|table| table.schema() == "sources");
        let pushed: Vec<&Source> = sources
            .filter_map(|table| self.project.sources.get(table.name()))
            .filter(|source| source.is_pushed())
            .collect();
        match pushed.as_slice() {
            [source] => Ok((declared, source)),
            [] => Err(Error::NotWritable {
                view: view.to_owned(),
                reason: "its query reads no pushed source; declare one (`push: [NAME]`) and read it in the query, for \
                         example with `union all`"
                    .into(),
            }),
            several => Err(Error::NotWritable {
                view: view.to_owned(),
                reason: format!(
                    "its query reads several pushed sources; push to one of them: {}",
                    names(several.iter().map(|source| source.name.as_str()))
                ),
            }),
        }
    }

    /// Takes a push, all of it or nothing. When this returns, it survives a crash, and online reads see it.
    ///
    /// # Errors
    /// When rows break a rule of their source, there are too many, or a store fails.
    pub async fn push(&self, pushes: Vec<Push>, to: PushTo, principal: &Principal) -> Result<PushReport> {
        let by = principal.to_string();
        let mut judged = vec![];
        for push in pushes {
            let source = self.project.sources.get(&push.source).filter(|source| source.is_pushed());
            let unknown = || Error::UnknownPush { push: push.source.clone(), known: self.push_names() };
            let source = source.ok_or_else(unknown)?;
            let rows = push.rows.num_rows();
            if rows > PUSH_ROWS_MAX {
                let reason =
                    format!("it has {rows} rows; at most {PUSH_ROWS_MAX} are taken at once, so send it in parts");
                return Err(Error::Push { source_name: source.name.clone(), reason });
            }
            let waiting = self.online.store().turns().waiting.lock().get(&source.name).copied().unwrap_or_default();
            if waiting >= WAITING_ROWS_MAX {
                return Err(Error::PushesWaiting { source_name: source.name.clone(), rows: waiting });
            }
            if rows > 0 {
                judged.push((source, judge_pushed(source, self.push_session(), push.rows)?));
            }
            if to == PushTo::Online {
                for view in self.live_views(source).await? {
                    if !self.online.has_begun(&view.name, &view.fingerprint) {
                        self.begin_online(&view.name).await?;
                    }
                }
            }
        }
        let mut report = PushReport::default();
        {
            let _taking = self.online.store().turns().taking.lock().await;
            let (mut logged, mut parts): (Vec<_>, Vec<Part>) = (vec![], vec![]);
            let mut counts = vec![];
            for (source, rows) in judged {
                let rows = self.number(source, rows)?;
                report.rows += rows.batch.num_rows() as u64;
                if to == PushTo::Online {
                    for view in self.live_views(source).await? {
                        match self.live_rows(view, source, &rows.batch).await? {
                            Some(live) => {
                                report.live.push(view.name.clone());
                                parts.extend(self.part(view, live)?);
                            }
                            None => report.later.push(view.name.clone()),
                        }
                    }
                }
                counts.push((source.name.clone(), rows.batch.num_rows() as u64));
                let change = log::put(rows.first, rows.last, &by, &rows.batch)?;
                logged.push((log::space(&source.name), change, rows.last.to_le_bytes()));
            }
            self.write_push(&logged, &parts)?;
            let mut waiting = self.online.store().turns().waiting.lock();
            for (name, rows) in counts {
                *waiting.entry(name).or_default() += rows;
            }
        }
        let (syncing, online) = (self.online.store().turns().clone(), self.online.clone());
        let synced = tokio::task::spawn_blocking(move || syncing.syncs.sync(online.store())).await;
        synced.map_err(|error| Error::Online { doing: "syncing to disk", reason: error.to_string() })??;
        Ok(report)
    }

    /// Gives rows their numbers. A number is the moment in microseconds, or the next one that is free; so it is also the
    /// moment that the row came, and of two rows the one that came later has the later one, also within one push.
    fn number(&self, source: &Source, rows: RecordBatch) -> Result<Numbered> {
        let rows = if source.key.is_empty() { rows } else { last_of_each_key(&source.key, rows)? };
        let last = log::last_number(self.online.store(), &source.name)?.unwrap_or(0);
        let now = Timestamp::now().as_microsecond();
        let count = i64::try_from(rows.num_rows()).unwrap_or(i64::MAX);
        let first = now.max(last.saturating_add(1));
        let schema = table_schema(source);
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        let numbers = first..first.saturating_add(count);
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(numbers.clone()).with_timezone("UTC")));
        columns.push(Arc::new(Int64Array::from_iter_values(numbers)));
        let batch = RecordBatch::try_new(schema, columns)?;
        Ok(Numbered { batch, first, last: first.saturating_add(count - 1) })
    }

    /// A view's rows as changes of its tails.
    fn part(&self, view: &LiveView, live: LiveRows) -> Result<Option<Part>> {
        let tails = self.online.view(&live.schema)?;
        let Some(state) = tails.state() else { return Ok(None) };
        let rows = Rows::of(&live.schema, &live.rows);
        let space = space(&live.schema.view, state.generation);
        let mut changes = vec![];
        for (entity, row) in (0..rows.len()).filter_map(|row| rows.row(row)) {
            if view.replaces {
                let former = self.online.store().tail(&space, &entity)?.into_iter();
                let former = former.filter(|other| other.key.row_id == row.key.row_id && other.key != row.key);
                changes.extend(former.map(|gone| OnlineChange::Delete { entity: entity.clone(), key: gone.key }));
            }
            changes.push(OnlineChange::Put { entity, row });
        }
        Ok(Some(Part { tails, state, changes }))
    }

    /// Writes a push in one step, and has readers see it.
    fn write_push(&self, logged: &[(String, OnlineChange, [u8; 8])], parts: &[Part]) -> Result<()> {
        let spaces: Vec<String> = parts.iter().map(|part| space(part.tails.name(), part.state.generation)).collect();
        let rows = spaces.iter().zip(parts).map(|(space, part)| (space.as_str(), part.changes.clone()));
        let log = logged.iter().map(|(space, change, _)| (space.as_str(), vec![change.clone()]));
        let notes: Vec<(&str, &[u8])> = logged.iter().map(|(name, _, last)| (name.as_str(), last.as_slice())).collect();
        self.online.store().write_all(log.chain(rows).collect(), &notes)?;
        for part in parts {
            let entities = part.changes.iter().map(|change| match change {
                OnlineChange::Put { entity, .. } | OnlineChange::Delete { entity, .. } => entity,
            });
            part.tails.forget(part.state.generation, entities);
        }
        Ok(())
    }

    /// Has a view that was never materialised begin with what is pushed.
    async fn begin_online(&self, view: &str) -> Result<()> {
        let schema = self.view_schema(view).await?;
        let tails = self.online.view(&schema)?;
        if tails.state().is_some() {
            return Ok(());
        }
        let _writing = self.online.store().turns().writing.lock().await;
        if tails.state().is_some() {
            return Ok(());
        }
        let generation = read_state(self.online.store(), view)?.map_or(1, |state| state.generation + 1);
        // A crash may have left rows there.
        self.online.store().clear(&space(view, generation))?;
        tails.publish(OnlineState {
            generation,
            fingerprint: schema.fingerprint,
            version: None,
            until: None,
            exact_from: i64::MIN,
            reach: 0,
            latest_event_time: None,
            latest_known_at: None,
            materialized_at: Timestamp::now().as_microsecond(),
        })
    }
}

/// Rows with their numbers.
struct Numbered {
    batch: RecordBatch,
    first: i64,
    last: i64,
}
