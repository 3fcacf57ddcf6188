//! The query for observations.

use std::collections::BTreeSet;

use mainspring_spec::{Project, ResolvedModel, SplitBy, Task};

use super::{AT_COLUMN, LABEL_COLUMN, LABEL_KNOWN_AT_COLUMN};
use crate::{Error, Result};

/// The rows to learn from, as SQL over the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The table read, `schema.table`.
    pub(crate) table: String,
    /// The columns taken over as they are, each once.
    pub(crate) columns: Vec<String>,
    /// The columns that name a row.
    pub(crate) key: Vec<String>,
    /// Whether rows have a moment.
    pub(crate) timed: bool,
    /// The statement.
    pub(crate) sql: String,
}

impl Query {
    /// Writes the query of a model: what a request would bring, the key, the slices, the moment and the label.
    pub(crate) fn new(project: &Project, resolved: &ResolvedModel) -> Result<Self> {
        let model = &resolved.model;
        let observations = &model.observations;
        let have: BTreeSet<String> =
            project.table_columns(&observations.from).unwrap_or_default().into_iter().map(|field| field.name).collect();
        let inputs: BTreeSet<&str> = resolved.inputs.iter().map(mainspring_spec::InputRef::name).collect();
        let key = project.observation_key(model).to_vec();

        let fields = project.request_fields(&model.name)?;
        let mut wanted: Vec<(String, &'static str)> =
            fields.into_iter().map(|field| (field.name, "a request brings for its features")).collect();
        wanted.extend(key.iter().map(|column| (column.clone(), "names a row")));
        let not_an_input = |column: &&String| !inputs.contains(column.as_str());
        wanted.extend(model.slices.iter().filter(not_an_input).map(|column| (column.clone(), "`slices` names")));
        if model.split.by == SplitBy::Group {
            let column = model.split.column.as_ref().filter(not_an_input);
            wanted.extend(column.map(|column| (column.clone(), "`split` groups by")));
        }
        let mut seen = BTreeSet::new();
        wanted.retain(|(column, _)| seen.insert(column.clone()));
        if let Some((column, role)) = wanted.iter().find(|(column, _)| !have.contains(column)) {
            return Err(Error::NoColumn {
                model: model.name.clone(),
                from: observations.from.clone(),
                column: column.clone(),
                role,
                have: have.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        let columns: Vec<String> = wanted.into_iter().map(|(column, _)| column).collect();
        let table = table_of(project, &observations.from);
        let sql = statement(&table, &columns, resolved);
        Ok(Self { table, columns, key, timed: observations.at.is_some(), sql })
    }
}

/// The lake's name of a source's or view's table.
fn table_of(project: &Project, name: &str) -> String {
    if project.sources.contains_key(name) { format!("sources.{name}") } else { format!("features.{name}") }
}

fn statement(table: &str, columns: &[String], resolved: &ResolvedModel) -> String {
    let observations = &resolved.model.observations;
    let null_moment = "arrow_cast(NULL, 'Timestamp(Microsecond, Some(\"UTC\"))')";
    let moment = |expression: &str| format!("arrow_cast(({expression}), 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let at = observations.at.as_deref().map_or_else(|| null_moment.to_owned(), moment);
    let known_at = observations.label_known_at.as_deref().or(observations.at.as_deref());
    let known_at = known_at.map_or_else(|| null_moment.to_owned(), moment);
    let label = &observations.label;
    let label = match resolved.model.task {
        // Checked value by value while the rows go by: a cast would make any number true.
        Task::Binary => format!("({label})"),
        Task::Multiclass => format!("arrow_cast(({label}), 'Utf8')"),
        Task::Regression => format!("arrow_cast(({label}), 'Float64')"),
    };
    let mut select: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    select.push(format!("{at} AS {}", quoted(AT_COLUMN)));
    select.push(format!("{known_at} AS {}", quoted(LABEL_KNOWN_AT_COLUMN)));
    select.push(format!("{label} AS {}", quoted(LABEL_COLUMN)));
    let mut conditions = vec![format!("({}) IS NOT NULL", observations.label)];
    conditions.extend(observations.at.as_ref().map(|at| format!("({at}) IS NOT NULL")));
    conditions.extend(observations.filter.as_ref().map(|filter| format!("({filter})")));
    let table = table.split('.').map(quoted).collect::<Vec<_>>().join(".");
    format!("SELECT {} FROM {table} WHERE {}", select.join(", "), conditions.join(" AND "))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
