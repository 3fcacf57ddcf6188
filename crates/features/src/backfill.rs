//! Computing a view's table.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::prelude::DataFrame;
use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, ListQuery, Principal};
use mainspring_lake::{At, TableName, WriteId};
use mainspring_spec::{FeatureView, ViewKind};

use crate::base::{Base, base, of_events, table_of};
use crate::error::{Error, Result};
use crate::identity::with_row_ids;
use crate::online::OnlineState;
use crate::records::{Freshness, Materialization, Scope};
use crate::schema::fingerprint;
use crate::store::FeatureStore;

/// What a backfill did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillReport {
    /// What is in the catalog now.
    pub materialization: Materialization,
    /// Nothing had changed, so nothing was computed.
    pub unchanged: bool,
}

impl FeatureStore {
    /// Brings a view's table up to date with the tables below it. Where only new files came, only they are read; where
    /// rows were corrected or the declaration changed, all rows are computed again.
    ///
    /// May be run twice, and again after a crash: the table is the same.
    ///
    /// # Errors
    /// When the view's SQL does not fit the tables, or they do not exist yet.
    pub async fn backfill(&self, view: &str, principal: &Principal) -> Result<BackfillReport> {
        let declared = self.stored_view(view, "a backfill")?;
        let inputs = self.input_versions(declared).await?;
        let last = self.last_materialization(view).await?;
        let table = table_of(view)?;
        let version = self.lake.version(&table).await?;
        let current = last
            .filter(|last| last.fingerprint == fingerprint(&self.project, declared) && version == Some(last.version));
        if let Some(last) = &current {
            if last.inputs == named(&inputs) {
                return Ok(BackfillReport { materialization: last.clone(), unchanged: true });
            }
            if let Some(new) = self.new_rows(declared, last, &inputs).await? {
                return self.append(declared, new, last, inputs, principal).await;
            }
        }
        self.compute(declared, inputs, principal).await
    }

    /// Computes all rows of a view's table again, whether or not anything has changed.
    ///
    /// # Errors
    /// When the view's SQL does not fit the tables, or they do not exist yet.
    pub async fn recompute(&self, view: &str, principal: &Principal) -> Result<BackfillReport> {
        let declared = self.stored_view(view, "a backfill")?;
        let inputs = self.input_versions(declared).await?;
        self.compute(declared, inputs, principal).await
    }

    async fn compute(
        &self,
        declared: &FeatureView,
        inputs: BTreeMap<TableName, u64>,
        principal: &Principal,
    ) -> Result<BackfillReport> {
        let view = &declared.name;
        let all = base(&self.lake, &self.project, declared, &inputs).await?;
        let schema = all.schema.clone();
        let rows = with_row_ids(all, 0).await?;
        let id = WriteId { app: format!("features:{view}"), sequence: Timestamp::now().as_microsecond() };
        let committed = self.lake.overwrite(&table_of(view)?, rows, id).await?;
        self.record(schema, committed.version, committed.rows, Scope::Whole, inputs, principal).await
    }

    /// The last computation of a view's table.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn last_materialization(&self, view: &str) -> Result<Option<Materialization>> {
        let newest = self.catalog.list::<Materialization>(ListQuery::of(view).newest_first().limit(1)).await?;
        Ok(newest.into_iter().next().map(|stored| stored.document))
    }

    /// The rows of events added since the last computation, when nothing else happened to them.
    async fn new_rows(
        &self,
        view: &FeatureView,
        last: &Materialization,
        inputs: &BTreeMap<TableName, u64>,
    ) -> Result<Option<Base>> {
        // A query may do anything with its rows, so only windowed views can be added to.
        if view.kind() != ViewKind::Windowed {
            return Ok(None);
        }
        let Some((events, &to)) = inputs.iter().next() else { return Ok(None) };
        let Some(&from) = last.inputs.get(&events.to_string()) else { return Ok(None) };
        match self.lake.added_since(events, Some(from), to).await {
            Ok(added) => of_events(&self.project, view, added).map(Some),
            Err(mainspring_lake::Error::Rewritten { .. } | mainspring_lake::Error::NoVersion { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn append(
        &self,
        view: &FeatureView,
        new: Base,
        last: &Materialization,
        inputs: BTreeMap<TableName, u64>,
        principal: &Principal,
    ) -> Result<BackfillReport> {
        let schema = new.schema.clone();
        let rows = with_row_ids(new, last.version + 1).await?;
        // Names the step from the last recorded version: done again after a crash, it lands once.
        let id = WriteId {
            app: format!("features:{}:{}", view.name, last.version),
            sequence: inputs.values().map(|&version| i64::try_from(version).unwrap_or(i64::MAX)).sum(),
        };
        let committed = self.lake.append(&table_of(&view.name)?, rows, id).await?;
        self.record(schema, committed.version, committed.rows, Scope::New, inputs, principal).await
    }

    /// Writes what was computed to the catalog, with its lineage, in one step.
    async fn record(
        &self,
        schema: crate::ViewSchema,
        version: u64,
        rows_written: u64,
        scope: Scope,
        inputs: BTreeMap<TableName, u64>,
        principal: &Principal,
    ) -> Result<BackfillReport> {
        let view = schema.view.clone();
        let materialization = Materialization {
            view: view.clone(),
            fingerprint: schema.fingerprint.clone(),
            inputs: named(&inputs),
            version,
            rows_written,
            scope,
            at: Timestamp::now(),
        };
        let node = format!("table:features.{view}@{version}");
        let reads = inputs.iter().map(|(table, version)| Edge::new(format!("table:{table}@{version}"), &node, "reads"));
        let change = Change::new(principal, "feature_view.backfill", format!("feature_view:{view}"))
            .detail(serde_json::json!({ "version": version, "rows": rows_written, "scope": scope }))
            .put(&materialization, Expect::Any)?
            .put(&schema, Expect::Any)?
            .edges(reads)
            .edge(Edge::new(format!("feature_view:{view}"), node, "defines"));
        self.catalog.commit(change).await?;
        Ok(BackfillReport { materialization, unchanged: false })
    }

    /// How fresh a view is, offline and online. Counts the rows of its table.
    ///
    /// # Errors
    /// When there is no such view.
    pub async fn freshness(&self, view: &str) -> Result<Freshness> {
        self.stored_view(view, "freshness")?;
        let mut fresh = Freshness {
            view: view.to_owned(),
            version: None,
            rows: 0,
            entities: 0,
            latest_event_time: None,
            latest_known_at: None,
            computed_at: None,
            online_version: None,
            online_until: None,
            online_latest_event_time: None,
            online_at: None,
        };
        let table = table_of(view)?;
        let Some(version) = self.lake.version(&table).await? else { return Ok(fresh) };
        let schema = self.view_schema(view).await?;
        let span = table_span(self.lake.read(&table, At::Version(version)).await?, &schema).await?;
        fresh.version = Some(version);
        fresh.rows = span.rows;
        fresh.entities = span.entities;
        fresh.latest_event_time = time(span.latest_event_time);
        fresh.latest_known_at = time(span.latest_known_at);
        fresh.computed_at = self.last_materialization(view).await?.map(|last| last.at);
        if let Some(state) = self.online.view(&schema)?.state() {
            let OnlineState { version, until, latest_event_time, materialized_at, .. } = state.as_ref();
            fresh.online_version = *version;
            fresh.online_until = time(*until);
            fresh.online_latest_event_time = time(*latest_event_time);
            fresh.online_at = time(Some(*materialized_at));
        }
        Ok(fresh)
    }
}

fn named(inputs: &BTreeMap<TableName, u64>) -> BTreeMap<String, u64> {
    inputs.iter().map(|(table, version)| (table.to_string(), *version)).collect()
}

fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

/// What a table's rows span.
pub(crate) struct TableSpan {
    pub(crate) rows: u64,
    pub(crate) entities: u64,
    pub(crate) latest_event_time: Option<i64>,
    pub(crate) latest_known_at: Option<i64>,
}

pub(crate) async fn table_span(rows: DataFrame, schema: &crate::ViewSchema) -> Result<TableSpan> {
    use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max};
    use datafusion::logical_expr::{Expr, lit};
    let column = |name: &str| Expr::Column(datafusion::common::Column::from_name(name));
    let keys: Vec<Expr> = schema.keys.iter().map(|key| column(&key.name)).collect();
    let entity = match keys.as_slice() {
        [] => lit(0_i64),
        [key] => key.clone(),
        _ => datafusion::functions::core::expr_fn::r#struct(keys),
    };
    let mut wanted = vec![count(lit(1_i64)).alias("rows"), count_distinct(entity).alias("entities")];
    let known_at = schema.known_at.as_ref().or(schema.event_time.as_ref());
    for (name, of) in [("latest", schema.event_time.as_ref()), ("known", known_at)] {
        if let Some(of) = of {
            wanted.push(max(column(of)).alias(name));
        }
    }
    let batches = rows.aggregate(vec![], wanted)?.collect().await?;
    let batch = batches.first().ok_or_else(|| Error::Project("an aggregate gave no row".into()))?;
    let number = |name: &str| {
        let count = batch.column_by_name(name).map_or(0, |column| column.as_primitive::<Int64Type>().value(0));
        u64::try_from(count).unwrap_or_default()
    };
    let micros = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive::<TimestampMicrosecondType>();
        column.is_valid(0).then(|| column.value(0))
    };
    Ok(TableSpan {
        rows: number("rows"),
        entities: if schema.keys.is_empty() { 0 } else { number("entities") },
        latest_event_time: micros("latest"),
        latest_known_at: micros("known"),
    })
}
