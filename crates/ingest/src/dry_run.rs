//! Compiles the expressions and checks of every source without a row: what the engine would say of them at the first
//! ingest is known when the folder is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SessionState;
use mainspring_spec::{Mistake, ObjectKind, ObjectRef, Project, Source, UnknownName};

use crate::check;
use crate::error::Error;
use crate::expression::Expression;
use crate::keys::KeySet;
use crate::types::{arrow_type, table_schema};

/// Tells what of a project's sources does not compile, every expression and check by itself.
#[must_use]
pub fn dry_run(project: &Project, state: &SessionState) -> Vec<Mistake> {
    project
        .sources
        .values()
        .flat_map(|source| derived(source, state).into_iter().chain(checks(source, state)))
        .collect()
}

fn derived(source: &Source, state: &SessionState) -> Vec<Mistake> {
    let schema = table_schema(source);
    let compiled = source.derive.iter().enumerate().filter_map(|(place, column)| {
        let before: Vec<usize> = (0..source.columns.len() + place).collect();
        let visible = Arc::new(schema.project(&before).ok()?);
        let error = Expression::compile(state, &column.sql, &visible, &arrow_type(column.data_type)).err()?;
        let unknown = mainspring_lake::unknown_name(&error);
        Some(mistake(source, &["derive", &place.to_string(), "sql"], error.strip_backtrace(), unknown))
    });
    compiled.collect()
}

fn checks(source: &Source, state: &SessionState) -> Vec<Mistake> {
    let schema = table_schema(source);
    // a check may look into a table that is not there yet
    let referenced = BTreeMap::from([(0, Arc::new(KeySet::default()))]);
    let compiled = source.checks.iter().enumerate().filter_map(|(place, declared)| {
        let alone = Source { checks: vec![declared.clone()], ..source.clone() };
        let error = check::compile(&alone, &schema, state, &referenced).err()?;
        let place = place.to_string();
        Some(match error {
            Error::Expression { reason, unknown, .. } => mistake(source, &["checks", &place, "sql"], reason, unknown),
            Error::Check { reason, .. } => mistake(source, &["checks", &place], reason, None),
            other => mistake(source, &["checks", &place], other.to_string(), None),
        })
    });
    compiled.collect()
}

fn mistake(source: &Source, path: &[&str], message: String, unknown: Option<Box<UnknownName>>) -> Mistake {
    Mistake::sql(ObjectRef::new(ObjectKind::Source, &source.name), path, message, unknown)
}
