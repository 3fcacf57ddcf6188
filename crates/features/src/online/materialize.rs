//! Bringing the online store up to date with a view's table.
//!
//! Between two states only the difference is written: rows that became known since, and rows of files added since,
//! however late. When rows of the table were rewritten, when the declaration changed, when a window was made longer, or when
//! the store is asked to go back further than it keeps, the tails are written anew beside those that are being read, and
//! then take their place. Either way the note that says how far the store is comes last, so a crash leaves the former state,
//! and doing it again writes the same rows to the same places.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use datafusion::common::{Column, ScalarValue};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, lit};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use jiff::Timestamp;
use mainspring_lake::At;

use super::rows::Rows;
use super::store::{OnlineChange, RowKey};
use super::tails::{OnlineState, ViewTails, read_state, space};
use crate::base::table_of;
use crate::error::{Error, Result};
use crate::fold::Fold;
use crate::schema::{ROW_ID, ViewSchema};
use crate::store::FeatureStore;

/// Rows in one write to the store: bounds the memory of a write.
const WRITE_ROWS: usize = 32_768;

/// What a materialisation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaterializeReport {
    /// The view.
    pub view: String,
    /// The version of the view's table that is online now.
    pub version: u64,
    /// Rows known by then are online now. `None`: all.
    pub until: Option<Timestamp>,
    /// Rows written.
    pub rows: u64,
    /// Rows taken away because nothing can ask for them any more.
    pub rows_trimmed: u64,
    /// Entities that had rows written.
    pub entities: u64,
    /// Whether all tails were written anew.
    pub rebuilt: bool,
}

/// What has to be done.
enum Step {
    Nothing,
    /// Rows that became known after the first and up to the second moment; and those added to the table since a version.
    Advance {
        after: Option<i64>,
        added_since: Option<u64>,
    },
    Rebuild,
}

/// Which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Those that are not there yet.
    New,
    /// All of them.
    Whole,
}

impl FeatureStore {
    /// Brings the online store up to date with a view's table: with all its rows, or with those known by a moment.
    ///
    /// # Errors
    /// When the view was not computed yet, is not kept online, or the store fails.
    pub async fn materialize_online(&self, view: &str, until: Option<Timestamp>) -> Result<MaterializeReport> {
        self.materialize(view, until, Extent::New).await
    }

    /// Writes all rows of a view's table to the online store again, whether or not they are there.
    ///
    /// # Errors
    /// When the view was not computed yet, is not kept online, or the store fails.
    pub async fn rebuild_online(&self, view: &str) -> Result<MaterializeReport> {
        self.materialize(view, None, Extent::Whole).await
    }

    async fn materialize(&self, view: &str, until: Option<Timestamp>, extent: Extent) -> Result<MaterializeReport> {
        let declared = self.stored_view(view, "the online store")?;
        if !declared.is_served_online() {
            return Err(Error::NotOnline { view: view.to_owned() });
        }
        let _writing = self.online.store().turns().writing.lock().await;
        let schema = self.view_schema(view).await?;
        let version = self.lake.version(&table_of(view)?).await?;
        let version = version.ok_or_else(|| Error::NotComputed { view: view.to_owned() })?;
        let tails = self.online.view(&schema)?;
        // Rows without times are always known.
        let until = until.filter(|_| schema.event_time.is_some()).map(|until| until.as_microsecond());
        let all: Vec<String> = declared.feature_names();
        tails.clear_former()?;
        let work = Work { store: self, fold: schema.fold(declared, &all)?, schema, tails, version, until };
        match (work.tails.state(), work.step(extent).await?) {
            (Some(state), Step::Nothing) => Ok(work.report(&state)),
            (Some(state), Step::Advance { after, added_since }) => {
                let (report, state) = work.advance(&state, after, added_since).await?;
                work.tails.publish(state)?;
                Ok(report)
            }
            _ => {
                let (report, state, mut written) = work.rebuild().await?;
                // What was pushed is online already, and stays so. Until the new tails are those that are read, no more may
                // come.
                let _pushing = self.online.store().turns().taking.lock().await;
                for rows in self.pushed_beside(declared, work.until).await? {
                    work.put_rows(state.generation, &[rows], &mut written)?;
                }
                work.tails.publish(state)?;
                Ok(report)
            }
        }
    }
}

struct Work<'a> {
    store: &'a FeatureStore,
    schema: ViewSchema,
    fold: Fold,
    tails: std::sync::Arc<ViewTails>,
    version: u64,
    until: Option<i64>,
}

/// What was written, for the report and the state.
#[derive(Default)]
struct Written {
    rows: u64,
    entities: HashSet<Vec<u8>>,
    latest_event_time: Option<i64>,
    latest_known_at: Option<i64>,
}

impl Work<'_> {
    async fn step(&self, extent: Extent) -> Result<Step> {
        let Some(state) = self.tails.state().filter(|_| extent == Extent::New) else { return Ok(Step::Rebuild) };
        if self.until.is_some_and(|until| until < state.exact_from) {
            return Ok(Step::Rebuild);
        }
        let further = match (state.until, self.until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(until)) => until > before,
        };
        // A window was made longer: rows that it counts may have been left out or taken away.
        if reach_of(&self.fold) > state.reach {
            return Ok(Step::Rebuild);
        }
        let Some(version) = state.version else { return Ok(Step::Rebuild) };
        if version == self.version {
            return Ok(if further { Step::Advance { after: state.until, added_since: None } } else { Step::Nothing });
        }
        match self.store.lake.added_since(&table_of(&self.schema.view)?, Some(version), self.version).await {
            Ok(_) => {
                let after = state.until.filter(|_| further);
                Ok(Step::Advance { after, added_since: Some(version) })
            }
            Err(mainspring_lake::Error::Rewritten { .. } | mainspring_lake::Error::NoVersion { .. }) => {
                Ok(Step::Rebuild)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn report(&self, state: &OnlineState) -> MaterializeReport {
        MaterializeReport {
            view: self.schema.view.clone(),
            version: state.version.unwrap_or(self.version),
            until: state.until.and_then(|until| Timestamp::from_microsecond(until).ok()),
            rows: 0,
            rows_trimmed: 0,
            entities: 0,
            rebuilt: false,
        }
    }

    /// Writes the rows that a moment, or a version, has added.
    async fn advance(
        &self,
        state: &OnlineState,
        after: Option<i64>,
        added_since: Option<u64>,
    ) -> Result<(MaterializeReport, OnlineState)> {
        let table = table_of(&self.schema.view)?;
        let mut written = Written::default();
        // Without a former moment, all rows of former versions are there.
        let until = if after.is_some() { self.until } else { state.until };
        if let Some(from) = added_since {
            let late = self.store.lake.added_since(&table, Some(from), self.version).await?;
            let late = self.known_by(late, state.until)?;
            self.put(state.generation, late, &mut written).await?;
        }
        if after.is_some() {
            let rows = self.store.lake.read(&table, At::Version(self.version)).await?;
            let rows = self.known_by(self.known_after(rows, after)?, until)?;
            self.put(state.generation, rows, &mut written).await?;
        }
        let mut next = OnlineState {
            version: Some(self.version),
            until,
            latest_event_time: state.latest_event_time.max(written.latest_event_time),
            latest_known_at: state.latest_known_at.max(written.latest_known_at),
            materialized_at: Timestamp::now().as_microsecond(),
            ..state.clone()
        };
        let trimmed = self.trim_when_due(&mut next, &mut written)?;
        self.tails.forget(state.generation, written.entities.iter());
        Ok((self.finished(&next, &written, trimmed, false), next))
    }

    /// Writes all tails into a new generation.
    async fn rebuild(&self) -> Result<(MaterializeReport, OnlineState, Written)> {
        let before = read_state(self.tails.store(), &self.schema.view)?;
        let generation = before.map_or(1, |state| state.generation + 1);
        // A crash may have left rows there.
        self.tails.store().clear(&space(&self.schema.view, generation))?;
        let table = table_of(&self.schema.view)?;
        let rows = self.store.lake.read(&table, At::Version(self.version)).await?;
        let watermark = match self.until {
            Some(until) => until,
            None => self.newest(rows.clone()).await?,
        };
        let exact_from = watermark.saturating_sub(self.store.options.slack.as_micros());
        let mut written = Written::default();
        let rows = self.in_reach(self.known_by(rows, self.until)?, exact_from)?;
        self.put(generation, rows, &mut written).await?;
        let state = OnlineState {
            generation,
            fingerprint: self.schema.fingerprint.clone(),
            version: Some(self.version),
            until: self.until,
            exact_from: if self.schema.event_time.is_some() { exact_from } else { i64::MIN },
            reach: reach_of(&self.fold),
            latest_event_time: written.latest_event_time,
            latest_known_at: written.latest_known_at,
            materialized_at: Timestamp::now().as_microsecond(),
        };
        Ok((self.finished(&state, &written, 0, true), state, written))
    }

    fn finished(&self, state: &OnlineState, written: &Written, rows_trimmed: u64, rebuilt: bool) -> MaterializeReport {
        MaterializeReport {
            rows: written.rows,
            rows_trimmed,
            entities: written.entities.len() as u64,
            rebuilt,
            ..self.report(state)
        }
    }

    /// The latest time at which a row became known, but not after now: rows may tell of the future.
    async fn newest(&self, rows: DataFrame) -> Result<i64> {
        let now = Timestamp::now().as_microsecond();
        let span = crate::backfill::table_span(rows, &self.schema).await?;
        Ok(span.latest_known_at.max(span.latest_event_time).unwrap_or(now).min(now))
    }

    fn known(&self) -> Option<Expr> {
        self.schema.known_at.as_ref().or(self.schema.event_time.as_ref()).map(|name| column(name))
    }

    fn known_by(&self, rows: DataFrame, until: Option<i64>) -> Result<DataFrame> {
        Ok(match (self.known(), until) {
            (Some(known), Some(until)) => rows.filter(known.lt_eq(moment(until)))?,
            _ => rows,
        })
    }

    fn known_after(&self, rows: DataFrame, after: Option<i64>) -> Result<DataFrame> {
        Ok(match (self.known(), after) {
            (Some(known), Some(after)) => rows.filter(known.gt(moment(after)))?,
            _ => rows,
        })
    }

    /// The rows that a moment at or after `exact_from` can ask for.
    fn in_reach(&self, rows: DataFrame, exact_from: i64) -> Result<DataFrame> {
        let Some(event_time) = self.schema.event_time.as_ref().map(|name| column(name)) else { return Ok(rows) };
        if let Fold::Windows(fold) = &self.fold {
            return Ok(rows.filter(event_time.gt(moment(exact_from.saturating_sub(fold.longest()))))?);
        }
        // Of what had happened and was known by then, each entity's last row; and everything since.
        let cut = moment(exact_from);
        let settled = match &self.schema.known_at {
            Some(known_at) => event_time.clone().lt_eq(cut.clone()).and(column(known_at).lt_eq(cut)),
            None => event_time.clone().lt_eq(cut),
        };
        let since = rows.clone().filter(Expr::Not(Box::new(settled.clone())))?;
        let mut order = vec![event_time.sort(false, true)];
        order.extend(self.schema.known_at.iter().map(|name| column(name).sort(false, true)));
        order.push(column(ROW_ID).sort(false, true));
        let keys = self.schema.keys.iter().map(|key| column(&key.name)).collect();
        const PLACE: &str = "mainspring_place";
        let place = row_number().partition_by(keys).order_by(order).build()?.alias(PLACE);
        let last =
            rows.filter(settled)?.window(vec![place])?.filter(column(PLACE).eq(lit(1_u64)))?.drop_columns(&[PLACE])?;
        Ok(since.union(last)?)
    }

    /// Writes rows to a generation.
    async fn put(&self, generation: u64, rows: DataFrame, written: &mut Written) -> Result<()> {
        let schema = &self.schema;
        let keys = schema.keys.iter().map(|key| key.name.as_str());
        let times = schema.event_time.as_deref().into_iter().chain(schema.known_at.as_deref());
        let payload = schema.payload.iter().map(|field| field.name.as_str());
        let columns = keys.chain(times).chain([ROW_ID]).chain(payload).map(column);
        let mut stream = rows.select(columns)?.execute_stream().await?;
        while let Some(batch) = stream.next().await {
            self.put_rows(generation, &[batch?], written)?;
        }
        Ok(())
    }

    /// Writes rows in the order of columns of [`Rows`] to a generation.
    fn put_rows(&self, generation: u64, batches: &[RecordBatch], written: &mut Written) -> Result<()> {
        let schema = &self.schema;
        let mut changes = Vec::with_capacity(WRITE_ROWS.min(batches.iter().map(RecordBatch::num_rows).sum()));
        for batch in batches {
            let rows = Rows::of(schema, batch);
            for row in 0..rows.len() {
                let Some((entity, row)) = rows.row(row) else { continue };
                written.rows += 1;
                if schema.event_time.is_some() {
                    written.latest_event_time = written.latest_event_time.max(Some(row.key.event_time));
                    written.latest_known_at = written.latest_known_at.max(Some(row.key.known_at));
                }
                if !written.entities.contains(&entity) {
                    written.entities.insert(entity.clone());
                }
                changes.push(OnlineChange::Put { entity, row });
                if changes.len() == WRITE_ROWS {
                    self.tails.write(generation, std::mem::replace(&mut changes, Vec::with_capacity(WRITE_ROWS)))?;
                }
            }
        }
        self.tails.write(generation, changes)
    }

    /// Takes away rows that only moments before the slack need, once they are as much as the slack itself: so that each
    /// row is looked at a bounded number of times, and at most twice the slack is kept.
    fn trim_when_due(&self, state: &mut OnlineState, written: &mut Written) -> Result<u64> {
        let now = Timestamp::now().as_microsecond();
        let newest = state.until.or_else(|| state.latest_known_at.map(|known| known.min(now)));
        let slack = self.store.options.slack.as_micros();
        let Some(exact_from) = newest.map(|newest| newest.saturating_sub(slack)) else { return Ok(0) };
        if exact_from.saturating_sub(state.exact_from) < slack || self.schema.event_time.is_none() {
            return Ok(0);
        }
        let reach = match &self.fold {
            Fold::Windows(fold) => Trim::Windows { before: exact_from.saturating_sub(fold.longest()) },
            Fold::Latest(_) => Trim::Latest { cut: exact_from },
        };
        let mut trimmed = 0;
        let mut changes = vec![];
        let mut entity: (Vec<u8>, Option<RowKey>) = (vec![], None);
        self.tails.store().scan(&state.space(&self.schema.view), &mut |of, row| {
            if entity.0 != of {
                entity = (of.to_vec(), None);
            }
            let gone = match reach {
                Trim::Windows { before } => (row.key.event_time <= before).then_some(row.key),
                // A settled row hides the settled ones before it.
                Trim::Latest { cut } if row.key.event_time <= cut && row.key.known_at <= cut => {
                    entity.1.replace(row.key)
                }
                Trim::Latest { .. } => None,
            };
            if let Some(key) = gone {
                trimmed += 1;
                written.entities.insert(of.to_vec());
                changes.push(OnlineChange::Delete { entity: of.to_vec(), key });
            }
            Ok(())
        })?;
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(WRITE_ROWS));
            self.tails.write(state.generation, std::mem::replace(&mut changes, rest))?;
        }
        state.exact_from = exact_from;
        // Windows may have been made shorter since: what only the former ones counted is gone now.
        state.reach = reach_of(&self.fold);
        Ok(trimmed)
    }
}

/// How long before the first moment of exact answers rows are kept. The latest row is kept however old it is.
fn reach_of(fold: &Fold) -> i64 {
    match fold {
        Fold::Windows(fold) => fold.longest(),
        Fold::Latest(_) => 0,
    }
}

#[derive(Clone, Copy)]
enum Trim {
    /// Rows that happened by then are in no window any more.
    Windows { before: i64 },
    /// Of the rows settled by then only the last is needed.
    Latest { cut: i64 },
}

pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

pub(crate) fn moment(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}
