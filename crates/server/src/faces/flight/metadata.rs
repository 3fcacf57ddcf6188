//! What there is to query, in the tables that the protocol asks for: catalogs, schemas, tables, keys, facts, types.

use arrow::array::{BooleanArray, StringArray};
use arrow::compute::kernels::comparison::like;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{Command, CommandGetPrimaryKeys, CommandGetTables};
use mainspring_catalog::Principal;
use tonic::Status;

use super::keys::{KeyColumn, foreign_schema, primary, primary_schema};
use super::refusal::{internal, status};
use super::sql_info::{sql_info, types};
use crate::query::{CATALOG, Queries, TableKind, schemas};

/// The most facts or kinds of tables that a command names: there are fewer of either, and each is sought in every row.
const NAMED_MAX: usize = 1_000;
/// The longest pattern: names are a tenth of it, and a longer one takes longer to compile at each of them.
const PATTERN_BYTES_MAX: usize = 1_280;

/// The columns of the answer to a command about what there is; none when it is another command.
pub(super) fn schema(command: &Command) -> Result<Option<SchemaRef>, Status> {
    check_size(command)?;
    Ok(Some(match command.clone() {
        Command::CommandGetCatalogs(ask) => ask.into_builder().schema(),
        Command::CommandGetDbSchemas(ask) => ask.into_builder().schema(),
        Command::CommandGetTables(ask) => ask.into_builder().schema(),
        Command::CommandGetTableTypes(ask) => ask.into_builder().schema(),
        Command::CommandGetSqlInfo(ask) => ask.into_builder(&sql_info().map_err(ours)?).schema(),
        Command::CommandGetXdbcTypeInfo(ask) => ask.into_builder(&types().map_err(ours)?).schema(),
        Command::CommandGetPrimaryKeys(_) => primary_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_schema(),
        _ => return Ok(None),
    }))
}

/// The answer to a command about what there is; none when it is another command.
pub(super) async fn answer(
    queries: &Queries,
    principal: &Principal,
    command: Command,
) -> Result<Option<RecordBatch>, Status> {
    check_size(&command)?;
    let batch = match command {
        Command::CommandGetCatalogs(ask) => {
            let mut builder = ask.into_builder();
            builder.append(CATALOG);
            builder.build()
        }
        Command::CommandGetDbSchemas(ask) => {
            let mut builder = ask.into_builder();
            for schema in schemas() {
                builder.append(CATALOG, schema);
            }
            builder.build()
        }
        Command::CommandGetTables(ask) => return tables(queries, principal, ask).await.map(Some),
        Command::CommandGetTableTypes(ask) => {
            let mut builder = ask.into_builder();
            for kind in TableKind::ALL {
                builder.append(kind.as_str());
            }
            builder.build()
        }
        Command::CommandGetSqlInfo(ask) => ask.into_builder(&sql_info().map_err(ours)?).build(),
        Command::CommandGetXdbcTypeInfo(ask) => ask.into_builder(&types().map_err(ours)?).build(),
        Command::CommandGetPrimaryKeys(ask) => return primary_keys(queries, principal, &ask).await.map(Some),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_schema())),
        _ => return Ok(None),
    };
    batch.map(Some).map_err(ours)
}

fn ours(error: arrow_flight::error::FlightError) -> Status {
    internal(&error.to_string())
}

/// Refuses a command that names more than there can be.
fn check_size(command: &Command) -> Result<(), Status> {
    let (named, patterns) = match command {
        Command::CommandGetSqlInfo(ask) => (ask.info.len(), [None, None]),
        Command::CommandGetDbSchemas(ask) => (0, [ask.db_schema_filter_pattern.as_ref(), None]),
        Command::CommandGetTables(ask) => {
            let patterns = [ask.db_schema_filter_pattern.as_ref(), ask.table_name_filter_pattern.as_ref()];
            (ask.table_types.len(), patterns)
        }
        _ => return Ok(()),
    };
    if named > NAMED_MAX {
        let words = format!("the command names {named} facts or kinds of tables, the most is {NAMED_MAX}");
        return Err(Status::invalid_argument(words));
    }
    let longest = patterns.into_iter().flatten().map(String::len).max().unwrap_or_default();
    if longest > PATTERN_BYTES_MAX {
        let words = format!("a pattern has {longest} bytes, the most is {PATTERN_BYTES_MAX}");
        return Err(Status::invalid_argument(words));
    }
    Ok(())
}

/// Whether a name is like a pattern with `%` and `_`.
fn is_like(name: &str, pattern: Option<&str>) -> Result<bool, Status> {
    let Some(pattern) = pattern else { return Ok(true) };
    let matches: BooleanArray = like(&StringArray::from(vec![name]), &StringArray::new_scalar(pattern))
        .map_err(|error| Status::invalid_argument(format!("the pattern `{pattern}`: {error}")))?;
    Ok(matches.value(0))
}

async fn tables(queries: &Queries, principal: &Principal, ask: CommandGetTables) -> Result<RecordBatch, Status> {
    let (with_schema, in_schema, named) =
        (ask.include_schema, ask.db_schema_filter_pattern.clone(), ask.table_name_filter_pattern.clone());
    let mut builder = ask.into_builder();
    for table in queries.tables(principal).await.map_err(|error| status(&error))? {
        if !is_like(&table.schema, in_schema.as_deref())? || !is_like(&table.name, named.as_deref())? {
            continue;
        }
        let columns = match with_schema {
            // one that the caller may list but has no column to see in
            true => queries.columns(principal, &table).await.unwrap_or_else(|_| Schema::empty().into()),
            false => Schema::empty().into(),
        };
        builder.append(CATALOG, &table.schema, &table.name, table.kind.as_str(), &columns).map_err(ours)?;
    }
    builder.build().map_err(ours)
}

async fn primary_keys(
    queries: &Queries,
    principal: &Principal,
    ask: &CommandGetPrimaryKeys,
) -> Result<RecordBatch, Status> {
    let is_asked = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    let mut columns = vec![];
    if is_asked(&ask.catalog, CATALOG) {
        for table in queries.tables(principal).await.map_err(|error| status(&error))? {
            if table.name == ask.table && is_asked(&ask.db_schema, &table.schema) {
                columns.extend(queries.key(&table).into_iter().zip(1..).map(|(column, place)| KeyColumn {
                    schema: table.schema.clone(),
                    table: table.name.clone(),
                    column,
                    place,
                }));
            }
        }
    }
    primary(&columns).map_err(|error| internal(&error.to_string()))
}
