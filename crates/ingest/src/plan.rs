//! A source, compiled: how its files' columns become its table's, and the rules its rows are judged by.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use mainspring_spec::Source;

use crate::cast::Cast;
use crate::check::{self, CompiledRule, Test};
use crate::expression::Expression;
use crate::keys::KeySet;
use crate::read::{Fault, Wanted};
use crate::types::{arrow_type, table_schema};
use crate::{Error, Result};

/// A source, compiled once per ingest.
#[derive(Debug)]
pub(crate) struct Plan {
    pub source: Source,
    /// The table's columns: declared, then derived.
    pub schema: SchemaRef,
    /// Each derived column, over the columns before it.
    pub derived: Vec<Expression>,
    pub rules: Vec<CompiledRule>,
    /// The key's columns by place; empty when the source has none.
    pub key: Vec<usize>,
    /// The `unique` rules: their place among the rules, and their columns.
    pub unique: Vec<(usize, Vec<usize>)>,
    /// The `unique` rules over exactly the key, by their places. They hold within a file: a later file replaces rows.
    pub unique_key: Vec<usize>,
}

impl Plan {
    pub fn compile(source: &Source, state: &SessionState, referenced: &BTreeMap<usize, Arc<KeySet>>) -> Result<Self> {
        let schema = table_schema(source);
        let mut derived = Vec::with_capacity(source.derive.len());
        for (place, column) in source.derive.iter().enumerate() {
            let before: Vec<usize> = (0..source.columns.len() + place).collect();
            let wrong = |error: &DataFusionError| Error::Expression {
                name: source.name.clone(),
                place: format!("derived column `{}`", column.name),
                sql: column.sql.clone(),
                reason: error.strip_backtrace(),
                unknown: mainspring_lake::unknown_name(error),
            };
            let visible = Arc::new(schema.project(&before).map_err(|error| wrong(&error.into()))?);
            let expression = Expression::compile(state, &column.sql, &visible, &arrow_type(column.data_type));
            derived.push(expression.map_err(|error| wrong(&error))?);
        }
        let rules = check::compile(source, &schema, state, referenced)?;
        let key = source.key.iter().map(|name| {
            schema.index_of(name).map_err(|_| Error::Check {
                name: source.name.clone(),
                check: "key".into(),
                reason: format!("there is no column `{name}`"),
            })
        });
        let key: Vec<usize> = key.collect::<Result<_>>()?;
        let is_key = |columns: &[usize]| {
            let within = |these: &[usize], those: &[usize]| these.iter().all(|column| those.contains(column));
            !key.is_empty() && within(columns, &key) && within(&key, columns)
        };
        let (mut unique, mut unique_key) = (Vec::new(), Vec::new());
        for (place, rule) in rules.iter().enumerate() {
            match &rule.test {
                Test::Unique(columns) if is_key(columns) => unique_key.push(place),
                Test::Unique(columns) => unique.push((place, columns.clone())),
                _ => {}
            }
        }
        Ok(Self { source: source.clone(), derived, unique, unique_key, key, rules, schema })
    }

    /// What is read of a file.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            columns: Some(self.source.columns.iter().map(|column| column.name.clone()).collect()),
            extra: self.source.extra_columns,
            csv: self.source.csv.clone(),
        }
    }

    /// How the columns of a file, in the declared order, are cast.
    pub fn casts(&self, file: &SchemaRef) -> Result<Vec<Cast>, Fault> {
        let pairs = file.fields().iter().zip(&self.source.columns);
        pairs
            .map(|(field, column)| {
                Cast::plan(field.data_type(), column.data_type).map_err(|reason| {
                    Fault::Refused(format!(
                        "column `{}` {reason}; change the column's `type` in the source, or the file",
                        column.name
                    ))
                })
            })
            .collect()
    }
}
