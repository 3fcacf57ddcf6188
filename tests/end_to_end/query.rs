//! What there is to query, and how a query is carried out, asked for in SQL.

use serde_json::{Value, json};

use crate::project::Project;

/// A project with `sources.orders`, `quarantine.orders` and `features.customer_orders`.
fn with_tables() -> Project {
    let project = Project::applied();
    project.say(&["run", "customer_orders"]).fine();
    project
}

#[test]
fn who_asks_for_the_records_of_the_platform_is_told_where_they_are() {
    let project = Project::applied();

    for (sql, words) in [
        ("select * from platform.runs", "`platform` is there only over Flight SQL"),
        ("select * from nowhere.runs", "tables are made by `mainspring run`"),
    ] {
        let refused = project.say(&["query", sql]);

        assert_eq!(refused.code, 1, "{sql}: {}", refused.out);
        assert!(refused.err.contains(words), "{sql}: {}", refused.err);
    }
}

#[test]
fn tables_and_columns_are_shown_and_a_name_means_what_it_means_in_a_query() {
    let project = with_tables();

    let tables = project.rows("show tables");
    let listed = project.say(&["query", "SHOW TABLES"]).fine();

    for (schema, table) in [("sources", "orders"), ("quarantine", "orders"), ("features", "customer_orders")] {
        let row = json!({ "table_schema": schema, "table_name": table });
        assert_eq!(tables.iter().filter(|shown| **shown == row).count(), 1, "{tables:?}");
    }
    assert!(listed.out.starts_with("table_schema  table_name"), "{}", listed.out);
    for (name, whole) in [("orders", "sources.orders"), ("customer_orders", "features.customer_orders")] {
        let columns = project.rows(&format!("show columns from {name}"));
        let described = project.rows(&format!("describe {whole}"));
        assert_eq!(columns, described, "{name}");
        let names: Vec<&Value> = columns.iter().map(|column| &column["column_name"]).collect();
        let row = &project.rows(&format!("select * from {name} limit 1"))[0];
        assert!(row.as_object().unwrap().keys().all(|read| names.contains(&&json!(read))), "{names:?} {row}");
    }
    let cut = project.say(&["query", "show columns from orders", "--limit", "3"]).fine();
    assert_eq!(cut.out.lines().count(), 1 + 3, "{}", cut.out);
    assert!(cut.err.contains("only the first 3 rows are shown"), "{}", cut.err);
    let misspelt = project.say(&["query", "show columns from ordres"]);
    assert!(misspelt.code == 1 && misspelt.err.contains("did you mean sources.orders?"), "{}", misspelt.err);
}

#[test]
fn a_query_is_explained() {
    let project = with_tables();

    let planned = project.say(&["query", "explain select count(*) from orders"]).fine();
    let measured = project.say(&["query", "explain analyze select count(*) from orders"]).fine();

    assert!(planned.out.contains("logical_plan") && planned.out.contains("orders"), "{}", planned.out);
    assert!(measured.out.contains("metrics="), "{}", measured.out);
}
