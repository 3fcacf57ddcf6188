//! From which columns the columns of a table are made: the same walk as that of privacy marks, with one column marked
//! at a time.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_spec::{EVENT_TIME, FeatureView, InputRef, Model, Project, Source, ViewKind};

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

/// From which columns the columns of a stored view's table are made; a windowed view's table keeps what is aggregated, not
/// the aggregates. Names are followed, not values: where two tables of a query have a column of one name, both are given.
#[must_use]
pub fn columns_of_view(project: &Project, view: &FeatureView) -> ColumnLineage {
    let mut made = ColumnLineage::new();
    match view.kind() {
        ViewKind::Sql => {
            let query = view.sql.as_deref().unwrap_or_default();
            let keys = project.entity_keys(view).iter().map(|key| key.name.clone());
            let times = [&view.event_time, &view.known_at].into_iter().flatten().cloned();
            let written: Vec<String> = keys.chain(times).chain(view.feature_names()).collect();
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
            let time = event_time(project, view).map(|time| (EVENT_TIME.to_owned(), time.to_owned()));
            let operands = view.aggregates.iter().filter_map(|aggregate| aggregate.of.as_deref());
            let operands = operands.map(|of| (view.operand_column(of).to_owned(), of.to_owned()));
            for (name, expression) in keys.chain(time).chain(operands) {
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

/// When a windowed view's events happened: its own column of that, or that of the table it reads.
fn event_time<'a>(project: &'a Project, view: &'a FeatureView) -> Option<&'a str> {
    let from = view.from.as_deref().unwrap_or_default();
    let of_source = || project.sources.get(from)?.event_time.as_deref();
    let of_view = || project.feature_views.get(from)?.event_time.as_deref();
    view.event_time.as_deref().or_else(of_source).or_else(of_view)
}

/// The columns of tables that a model's inputs come from, by input. What is computed at request time comes from what it is
/// computed from.
#[must_use]
pub fn columns_of_model(project: &Project, model: &str) -> ColumnLineage {
    let (Some(declared), Ok(resolved)) = (project.models.get(model), project.resolve_model(model)) else {
        return ColumnLineage::new();
    };
    let of_input = |input: &InputRef| match input {
        InputRef::Feature { view, feature } => of_feature(project, declared, view, feature),
        InputRef::Column { name, .. } => BTreeSet::from([source(project, &declared.observations.from, name)]),
    };
    resolved.inputs.iter().map(|input| (input.name().to_owned(), of_input(input))).collect()
}

/// The stored columns from which a model gets a feature.
fn of_feature(project: &Project, model: &Model, view: &str, feature: &str) -> BTreeSet<ColumnSource> {
    let Some(declared) = project.feature_views.get(view) else { return BTreeSet::new() };
    match declared.kind() {
        ViewKind::Sql => BTreeSet::from([source(project, view, feature)]),
        ViewKind::Windowed => {
            let mut made = declared.aggregates.iter();
            let made = made.find(|made| made.windows.iter().any(|window| made.feature_name(*window) == feature));
            let operand = made.and_then(|made| made.of.as_deref()).map(|of| declared.operand_column(of));
            BTreeSet::from([source(project, view, operand.unwrap_or(EVENT_TIME))])
        }
        ViewKind::Request => {
            let computed = declared.expressions.iter().find(|expression| expression.name == feature);
            let computed = computed.map_or("", |expression| &expression.sql);
            let brought = declared.request.iter().map(|field| &field.name);
            let brought = brought.filter(|name| mentions(computed, &lower(name)));
            let brought = brought.map(|name| source(project, &model.observations.from, name));
            let used = declared.uses.iter().filter_map(|name| project.feature_named(name));
            let used = used.filter(|(_, feature)| mentions(computed, &lower(feature)));
            brought.chain(used.flat_map(|(view, feature)| of_feature(project, model, &view, &feature))).collect()
        }
    }
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
    fn the_table_of_a_windowed_view_has_what_is_aggregated_and_when() {
        let project = project();
        let made = columns_of_view(&project, &project.feature_views["shop_counts"]);

        assert_eq!(made.keys().collect::<Vec<_>>(), ["event_time", "people", "shop"]);
        assert_eq!(told(&made, "people"), ["sources.orders.email"]);
        assert_eq!(told(&made, "event_time"), ["sources.orders.at"]);
    }

    #[test]
    fn what_a_model_is_given_leads_back_to_columns_that_are_stored() {
        let project = project();
        let made = columns_of_model(&project, "domains");

        assert_eq!(told(&made, "orders_24h"), ["features.shop_counts.event_time"]);
        assert_eq!(told(&made, "people_24h"), ["features.shop_counts.people"]);
        assert_eq!(told(&made, "last_amount"), ["features.shop_latest.last_amount"]);
        assert_eq!(told(&made, "amount"), ["sources.orders.amount"]);
        assert_eq!(told(&made, "share"), ["features.shop_latest.last_amount", "sources.orders.amount"]);
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
