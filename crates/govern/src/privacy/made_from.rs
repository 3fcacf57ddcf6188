//! From which columns the columns of a table are made: the same walk as that of privacy marks, with one column marked
//! at a time.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_spec::{FeatureView, InputRef, Project, Source, ViewKind};

use super::query::{follow, mentions};

/// A column that another is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnSource {
    /// Its table, `schema.name`.
    pub table: String,
    /// The column.
    pub column: String,
}

/// The columns of a table by name, each with those it is made from.
pub type ColumnLineage = BTreeMap<String, BTreeSet<ColumnSource>>;

/// From which columns a stored view's columns are made. Names are followed, not values: where two tables of a query have
/// a column of one name, both are given.
#[must_use]
pub fn columns_of_view(project: &Project, view: &FeatureView) -> ColumnLineage {
    let mut made = ColumnLineage::new();
    match view.kind() {
        ViewKind::Sql => {
            let query = view.sql.as_deref().unwrap_or_default();
            let keys = project.entity_keys(view).iter().map(|key| key.name.clone());
            let written: Vec<String> = keys.chain(view.feature_names()).collect();
            for table in mainspring_spec::table_names(query).unwrap_or_default() {
                for column in project.table_columns(&table).into_iter().flatten() {
                    let mut names = BTreeSet::from([column.name.to_lowercase()]);
                    follow(query, &mut names);
                    for name in written.iter().filter(|name| names.contains(&name.to_lowercase())) {
                        made.entry(name.clone()).or_default().insert(source(project, &table, &column.name));
                    }
                }
            }
        }
        ViewKind::Windowed => {
            let table = view.from.as_deref().unwrap_or_default();
            let columns = project.table_columns(table).unwrap_or_default();
            let keys = project.entity_keys(view).iter().map(|key| key.name.clone());
            let keys = keys.map(|key| (key.clone(), key));
            let aggregates = view.aggregates.iter().flat_map(|aggregate| {
                let of = aggregate.of.clone().or(view.event_time.clone()).unwrap_or_default();
                aggregate.windows.iter().map(move |window| (aggregate.feature_name(*window), of.clone()))
            });
            for (name, expression) in keys.chain(aggregates) {
                for column in columns.iter().filter(|column| mentions(&expression, &lower(&column.name))) {
                    made.entry(name.clone()).or_default().insert(source(project, table, &column.name));
                }
            }
        }
        ViewKind::Request => {}
    }
    made
}

/// From which columns of its file a source's columns are made; `file` stands for the file's table.
#[must_use]
pub fn columns_of_source(source: &Source, file: &str) -> ColumnLineage {
    let from = |column: &str| ColumnSource { table: file.to_owned(), column: column.to_owned() };
    let mut made: ColumnLineage =
        source.columns.iter().map(|column| (column.name.clone(), BTreeSet::from([from(&column.name)]))).collect();
    for derived in &source.derive {
        let used = made.iter().filter(|(column, _)| mentions(&derived.sql, &lower(column)));
        let used = used.flat_map(|(_, sources)| sources.clone()).collect();
        made.insert(derived.name.clone(), used);
    }
    made
}

/// The features that a model's inputs are, by input.
#[must_use]
pub fn columns_of_model(project: &Project, model: &str) -> ColumnLineage {
    let (Some(declared), Ok(resolved)) = (project.models.get(model), project.resolve_model(model)) else {
        return ColumnLineage::new();
    };
    let observed = |column: &str| source(project, &declared.observations.from, column);
    let of_input = |input: &InputRef| match input {
        InputRef::Feature { view, feature } => source(project, view, feature),
        InputRef::Column { name, .. } => observed(name),
    };
    resolved.inputs.iter().map(|input| (input.name().to_owned(), BTreeSet::from([of_input(input)]))).collect()
}

fn source(project: &Project, table: &str, column: &str) -> ColumnSource {
    let schema = if project.sources.contains_key(table) { "sources" } else { "features" };
    ColumnSource { table: format!("{schema}.{table}"), column: column.to_owned() }
}

fn lower(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_lowercase()])
}

#[cfg(test)]
mod tests {
    use super::super::marks::tests::project;
    use super::*;

    fn told(made: &ColumnLineage, column: &str) -> Vec<String> {
        made.get(column).into_iter().flatten().map(|from| format!("{}.{}", from.table, from.column)).collect()
    }

    #[test]
    fn columns_of_a_query_lead_back_through_what_it_calls_them() {
        let project = project();
        let made = columns_of_view(&project, &project.feature_views["shop_latest"]);

        assert_eq!(told(&made, "last_amount"), ["sources.orders.amount"]);
        assert_eq!(told(&made, "last_domain"), ["sources.orders.domain"]);
        assert_eq!(told(&made, "shop"), ["sources.orders.shop"]);
    }

    #[test]
    fn an_aggregate_leads_back_to_what_it_is_of_and_a_count_to_the_time() {
        let project = project();
        let made = columns_of_view(&project, &project.feature_views["shop_counts"]);

        assert_eq!(told(&made, "people_24h"), ["sources.orders.email"]);
        assert_eq!(told(&made, "orders_1h"), ["sources.orders.at"]);
    }

    #[test]
    fn derived_columns_lead_back_to_the_columns_of_the_file() {
        let project = project();
        let made = columns_of_source(&project.sources["orders"], "orders.csv");

        assert_eq!(told(&made, "domain"), ["orders.csv.email"]);
        assert_eq!(told(&made, "cents"), ["orders.csv.amount"]);
        assert_eq!(told(&made, "amount"), ["orders.csv.amount"]);
    }
}
