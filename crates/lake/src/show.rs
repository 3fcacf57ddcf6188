//! What a person asks of the lake: queries, which tables there are, and which columns one of them has.
//!
//! `SHOW TABLES` is answered from the lake's own listing, and `SHOW COLUMNS FROM orders` as `DESCRIBE orders`, of the table
//! that `SELECT * FROM orders` reads. The engine would answer both from an `information_schema`: for that each table is
//! opened, and a bare name stands for every table called so, in whichever schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, ShowStatementIn, ShowStatementOptions, Statement as SqlStatement,
};

use crate::error::Result;
use crate::lake::Lake;
use crate::name::TableName;
use crate::read::only_queries;
use crate::resolve::Versions;

impl Lake {
    /// The result of a query as of [`Lake::sql_at`], or of `SHOW TABLES`, `SHOW COLUMNS FROM table` or `DESCRIBE table`. The
    /// tables that are shown are those that there are now, with columns `table_schema` and `table_name`.
    ///
    /// # Errors
    ///
    /// As [`Lake::sql_at`].
    pub async fn ask(&self, text: &str, pins: &BTreeMap<TableName, u64>) -> Result<DataFrame> {
        let session = self.session_of(Versions::fixed(pins.clone()));
        let state = session.state();
        let statement = state.sql_to_statement(text, &state.config_options().sql_parser.dialect)?;
        if is_show_tables(&statement)? {
            return Ok(session.read_batch(listing(&self.tables().await?)?)?);
        }
        let plan = state.statement_to_plan(described(statement)).await?;
        only_queries().verify_plan(&plan)?;
        Ok(session.execute_logical_plan(plan).await?)
    }
}

/// Says `SHOW COLUMNS FROM table` as `DESCRIBE table`, so that the name means what it means in a query; any other statement
/// stays as it is.
#[must_use]
pub fn described(statement: Statement) -> Statement {
    let Statement::Statement(inner) = &statement else { return statement };
    let SqlStatement::ShowColumns { show_options, .. } = inner.as_ref() else { return statement };
    let ShowStatementOptions {
        show_in: Some(ShowStatementIn { parent_type: None, parent_name: Some(table), .. }),
        starts_with: None,
        limit: None,
        limit_from: None,
        filter_position: None,
    } = show_options
    else {
        // the engine says which of its words it does not know
        return statement;
    };
    Statement::Statement(Box::new(SqlStatement::ExplainTable {
        describe_alias: DescribeAlias::Describe,
        hive_format: None,
        has_table_keyword: false,
        table_name: table.clone(),
    }))
}

/// Whether a statement asks for all tables; one that asks for some of them is refused.
fn is_show_tables(statement: &Statement) -> Result<bool> {
    let Statement::Statement(inner) = statement else { return Ok(false) };
    if !matches!(inner.as_ref(), SqlStatement::ShowTables { .. }) {
        return Ok(false);
    }
    let text = inner.to_string();
    if text == "SHOW TABLES" {
        return Ok(true);
    }
    Err(DataFusionError::Plan(format!("SHOW TABLES lists all tables, and knows no other words: `{text}`")).into())
}

fn listing(tables: &[TableName]) -> Result<RecordBatch> {
    let texts = |of: fn(&TableName) -> &str| Arc::new(StringArray::from_iter_values(tables.iter().map(of))) as ArrayRef;
    let columns = [("table_schema", texts(TableName::schema)), ("table_name", texts(TableName::name))];
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}
