//! Each mistake is told with its place, its rule and the edit that mends it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::fs;
use std::path::Path;

use mainspring_spec::{Diagnostics, FILE_BYTES_MAX, Look, init, load};

/// The mistakes of the small project after an edit of its folder.
fn mistakes(edit: impl FnOnce(&Path)) -> Diagnostics {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), "shop").unwrap();
    edit(folder.path());
    load(folder.path()).err().unwrap_or_default()
}

/// The mistakes after one text of one file is replaced by another.
fn replaced(file: &str, old: &str, new: &str) -> Diagnostics {
    mistakes(|folder| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old:?}");
        fs::write(path, text.replacen(old, new, 1)).unwrap();
    })
}

/// The mistakes after a file is written.
fn written(file: &str, content: impl AsRef<[u8]>) -> Diagnostics {
    mistakes(|folder| {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), content).unwrap();
    })
}

fn rules(found: &Diagnostics) -> Vec<&str> {
    found.found.iter().map(|diagnostic| diagnostic.rule).collect()
}

macro_rules! shown {
    ($name:ident, $found:expr) => {
        #[test]
        fn $name() {
            let found = $found;
            assert!(!found.is_empty(), "nothing was found wrong");
            insta::assert_snapshot!(found.render(Look::Plain));
        }
    };
}

shown!(a_misspelt_key, replaced("sources/orders.yaml", "columns:\n", "colums:\n"));
shown!(a_missing_key, replaced("models/returns.yaml", "task: binary", "#"));
shown!(an_unknown_type, replaced("sources/orders.yaml", "type: float64", "type: decimal"));
shown!(a_number_where_text_is_wanted, replaced("sources/orders.yaml", "description: Euros", "description: 12"));
shown!(a_word_where_a_list_is_wanted, replaced("sources/orders.yaml", "key: [order_id]", "key: order_id"));
shown!(a_feature_that_no_view_has, replaced("models/returns.yaml", "- items\n", "- itms\n"));
shown!(
    a_feature_that_its_view_lacks,
    replaced("models/returns.yaml", "customer_orders.*", "customer_orders.orders_8d")
);
shown!(an_unknown_view, replaced("models/returns.yaml", "customer_orders.*", "customers_order.*"));
shown!(
    a_bound_that_cannot_be_cast,
    replaced("sources/orders.yaml", "{column: items, min: 1,", "{column: items, min: one,")
);
shown!(
    a_column_that_cannot_be_cast,
    replaced(
        "sources/orders.yaml",
        "key: [order_id]",
        "derive:\n  - {name: age, type: timestamp, sql: amount}\nkey: [order_id]"
    )
);
shown!(
    a_key_of_another_type,
    replaced("features/customer.yaml", "{name: customer, type: string}", "{name: customer, type: int64}")
);
shown!(
    two_objects_of_one_name,
    written("models/again.yaml", fs::read_to_string(template("models/returns.yaml")).unwrap())
);
shown!(
    a_view_named_like_a_source,
    replaced("features/order.yaml", "feature_view: order_facts", "feature_view: orders")
);
shown!(a_tab, replaced("sources/orders.yaml", "  - {name: items", "\t- {name: items"));
shown!(an_empty_file, written("models/empty.yaml", "# nothing yet\n"));
shown!(a_file_in_the_wrong_folder, written("models/orders.yaml", "source: more_orders\npath: a.csv\ncolumns: []\n"));
shown!(bytes_that_are_not_text, written("sources/bad.yaml", b"source: caf\xe9\n"));
shown!(yaml_that_is_not_closed, replaced("endpoints/returns.yaml", "model: returns", "model: [returns"));
shown!(a_key_given_twice, replaced("endpoints/returns.yaml", "model: returns", "model: returns\nmodel: returns"));
shown!(sql_that_does_not_parse, replaced("features/order.yaml", "amount / items", "amount / / items"));
shown!(sql_of_an_unknown_column, replaced("models/returns.yaml", "label: returned", "label: retruned"));
shown!(
    sql_of_an_unknown_table,
    written(
        "features/x.yaml",
        "feature_view: x\nentity: customer\nsql: |\n  select customer, 1 as one\n  from ordres o\n  where o.items > 1\nfeatures: {one: One}\n"
    )
);
shown!(
    sql_wrong_in_its_third_line,
    written(
        "features/x.yaml",
        "feature_view: x\nentity: customer\nsql: |\n  select customer, 1 as one\n  from orders o\n  where where o.items > 1\nfeatures: {one: One}\n"
    )
);
shown!(
    a_cycle_among_views,
    written(
        "features/x.yaml",
        "feature_view: a\nsql: select * from b\n---\nfeature_view: b\nsql: select * from c join orders\n---\nfeature_view: c\nsql: with t as (select 1) select * from t, a\n"
    )
);
shown!(
    a_view_without_features,
    written("features/x.yaml", "feature_view: a\nentity: customer\nsql: select customer, 1 as one from orders\n")
);
shown!(a_view_of_two_kinds, replaced("features/order.yaml", "expressions:", "sql: select 1\nexpressions:"));
shown!(a_span_that_is_none, replaced("features/customer.yaml", "windows: [7d, 30d]", "windows: [7d, a month]"));
shown!(a_gate_without_a_bound, replaced("models/returns.yaml", "{metric: auc, min: 0.55}", "{metric: auc}"));
shown!(a_metric_of_another_task, replaced("models/returns.yaml", "{metric: auc, min: 0.55}", "{metric: rmse, max: 1}"));
shown!(a_check_without_a_rule, replaced("sources/orders.yaml", "- unique: [order_id]", "- severity: warn"));
shown!(
    a_check_with_two_rules,
    replaced("sources/orders.yaml", "- unique: [order_id]", "- unique: [order_id]\n    not_null: [items]")
);
shown!(an_endpoint_of_no_model, replaced("endpoints/returns.yaml", "model: returns", "model: return"));
shown!(a_monitor_of_no_endpoint, replaced("monitors/returns.yaml", "endpoint: returns", "endpoint: refunds"));
shown!(a_monitor_of_no_feature, replaced("monitors/returns.yaml", "psi: 0.2", "psi: 0.2\n  features: [chanel]"));
shown!(a_name_with_capitals, replaced("endpoints/returns.yaml", "endpoint: returns", "endpoint: Returns 2"));
shown!(a_name_that_is_a_number, replaced("endpoints/returns.yaml", "endpoint: returns", "endpoint: 2025"));
shown!(a_label_among_the_inputs, replaced("models/returns.yaml", "- channel\n", "- channel\n  - returned\n"));
shown!(a_name_of_the_prediction_log, replaced("features/order.yaml", "name: hour_of_day", "name: prediction"));
shown!(
    a_trainer_for_another_task,
    replaced(
        "models/returns.yaml",
        "boosted_trees: {trees: 60, leaves: 8, learning_rate: 0.1}",
        "linear_regression: {}"
    )
);
shown!(
    an_unknown_trainer,
    replaced("models/returns.yaml", "boosted_trees: {trees: 60, leaves: 8, learning_rate: 0.1}", "xgboost: {}")
);
shown!(
    a_trainer_without_parameters,
    replaced("models/returns.yaml", "boosted_trees: {trees: 60, leaves: 8, learning_rate: 0.1}", "").clone()
);
shown!(a_target_that_nothing_has, replaced("workflows/daily.yaml", "model:returns", "model:orders"));
shown!(
    a_database_of_another_world,
    replaced("mainspring.yaml", "owners: []", "targets: {prod: {catalog: 'mysql://x', memory: lots, listen: here}}")
);
shown!(
    several_mistakes_at_once,
    mistakes(|folder| {
        fs::write(folder.join("sources/more.yaml"), "source: more\npath: x.csv\ncolumns:\n  - {name: a, type: int}\n  - {nmae: b, type: string}\nkeys: [a]\nchecks:\n  - {range: {column: a, minimum: 1}}\n").unwrap();
    })
);

fn template(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(path)
}

#[test]
fn a_folder_that_is_no_project_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();

    let found = load(folder.path()).unwrap_err();

    assert_eq!(rules(&found), ["no_project"]);
    assert!(found.found[0].help.as_deref().unwrap().contains("mainspring init"));
}

#[test]
fn a_file_of_fifty_megabytes_is_not_read() {
    let found = mistakes(|folder| {
        let file = fs::File::create(folder.join("models/huge.yaml")).unwrap();
        file.set_len(50 * FILE_BYTES_MAX).unwrap();
    });

    assert_eq!(rules(&found), ["file_too_large"]);
}

#[test]
fn a_mistake_in_one_long_line_is_shown_without_the_line() {
    let found = written("models/long.yaml", format!("model: [{}", "x, ".repeat(100_000)));

    assert!(found.render(Look::Plain).len() < 4_000);
    assert!(found.render(Look::Plain).contains("models/long.yaml:1:"), "{}", found.render(Look::Plain));
}

#[test]
fn bombs_are_defused() {
    let mut bomb = String::from("source: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        bomb += &format!("a{level}: &a{level} [{}]\n", format!("*a{},", level - 1).repeat(10));
    }

    for text in
        [bomb, "[".repeat(100_000), "- ".repeat(50_000), "{a: ".repeat(50_000), "&a [*a]".into(), "? ".repeat(9_999)]
    {
        let found = written("sources/bomb.yaml", text);

        assert!(!found.is_empty());
    }
}

#[test]
fn an_object_of_a_wrong_shape_does_not_make_others_wrong() {
    let found = replaced("sources/orders.yaml", "type: float64", "type: decimal");

    assert_eq!(rules(&found), ["unknown_value"]);
}

#[test]
fn a_model_of_a_wrong_shape_is_still_known_to_its_endpoint() {
    let found = replaced("models/returns.yaml", "task: binary", "task: binari");

    assert_eq!(rules(&found), ["unknown_value"]);
}

#[test]
fn mistakes_are_bounded_and_counted() {
    let keys: String = (0..500).map(|n| format!("key{n}: 1\n")).collect();

    let found = written("models/many.yaml", format!("model: many\n{keys}"));

    assert_eq!(found.found.len(), mainspring_spec::DIAGNOSTICS_MAX);
    assert!(found.omitted >= 400, "{}", found.omitted);
}

#[test]
fn pushed_source_has_no_files_and_judges_rows_one_by_one() {
    let source = |keys: &str| {
        let text = format!("source: clicks\n{keys}columns: [{{name: user, type: string}}]\n");
        written("sources/clicks.yaml", text)
    };

    assert!(source("push: [clicks]\n").is_empty());
    assert_eq!(rules(&source("")), ["one_origin"]);
    assert_eq!(rules(&source("push: [clicks]\npath: clicks.csv\n")), ["one_origin"]);
    assert_eq!(rules(&source("push: [clicks]\nformat: csv\n")), ["misplaced_key"]);
    assert_eq!(rules(&source("push: ['']\n")), ["empty_value"]);
    assert_eq!(rules(&source("push: [clicks]\nchecks: [{unique: [user]}]\n")), ["misplaced_key"]);
}

#[test]
fn column_that_every_pushed_table_has_is_not_declared_again() {
    let text = "source: clicks\npush: [clicks]\ncolumns: [{name: pushed_at, type: timestamp}]\n";

    assert_eq!(rules(&written("sources/clicks.yaml", text)), ["duplicate_column"]);
}

#[test]
fn columns_that_differ_only_in_case_are_told_at_the_second() {
    let columns = replaced("sources/orders.yaml", "columns:\n", "columns:\n  - {name: ITEMS, type: int64}\n");
    let derived = replaced(
        "sources/orders.yaml",
        "key: [order_id]",
        "derive:\n  - {name: Amount, type: float64, sql: amount}\nkey: [order_id]",
    );

    for (found, other, second) in [(columns, "ITEMS", "items"), (derived, "amount", "Amount")] {
        assert_eq!(rules(&found), ["duplicate_column"]);
        let message = &found.found[0].message;
        assert!(message.contains("differ only in case") && message.contains(other), "{message}");
        assert!(found.render(Look::Plain).contains(second));
        assert!(found.found[0].line > 1, "{:?}", found.found[0]);
    }
}

shown!(
    a_service_of_a_feature_that_no_view_has,
    written(
        "features/board.yaml",
        "feature_service: board\nfeatures: [customer_orders.*, customer_orders.orders_8d]\n"
    )
);

#[test]
fn service_lists_each_feature_once_and_at_least_one() {
    let service =
        |features: &str| written("features/board.yaml", format!("feature_service: board\nfeatures: {features}\n"));

    assert!(service("[customer_orders.*]").is_empty());
    assert_eq!(rules(&service("[]")), ["empty_value"]);
    assert_eq!(rules(&service("[customer_orders.*, customer_orders.orders_7d]")), ["duplicate_column"]);
}

#[test]
fn projection_of_a_service_names_a_view_and_keys_of_it_and_is_read() {
    let service = |features: &str, projection: &str| {
        let text = format!("feature_service: board\nfeatures: [{features}]\nprojections: {{{projection}}}\n");
        written("features/board.yaml", text)
    };
    let of_view = "buyer: {feature_view: customer_orders, join_key_map: {customer: buyer_id}}";

    assert!(service("buyer.*, customer_orders.*", of_view).is_empty(), "one view may be read twice");
    assert!(service("customer_orders.*", "customer_orders: {join_key_map: {customer: buyer_id}}").is_empty());
    assert_eq!(rules(&service("buyer.*, buyer.orders_7d", of_view)), ["duplicate_column"]);
    assert_eq!(rules(&service("buyer.orders_8d", of_view)), ["unknown_reference"]);
    assert_eq!(rules(&service("customer_orders.*", of_view)), ["unread_projection"]);
    assert_eq!(rules(&service("buyer.*", "buyer: {}")), ["missing_key"]);
    assert_eq!(rules(&service("buyer.*", "buyer: {feature_view: customer_order}")), ["unknown_reference"]);
    assert_eq!(rules(&service("buyer.*", "buyer: {view: customer_orders}")), ["unknown_key"]);
    let of_no_key = "buyer: {feature_view: customer_orders, join_key_map: {order_id: buyer_id}}";
    assert_eq!(rules(&service("buyer.*", of_no_key)), ["unknown_reference"]);
    let nameless = "buyer: {feature_view: customer_orders, join_key_map: {customer: ''}}";
    assert_eq!(rules(&service("buyer.*", nameless)), ["duplicate_column"]);
}

#[test]
fn written_at_and_json_mean_something_only_in_sql_views_with_times_and_features() {
    let view = |keys: &str| {
        let text = format!(
            "feature_view: spent\nentity: customer\nsql: select * from orders\n{keys}features: {{amount: a}}\n"
        );
        written("features/spent.yaml", text)
    };

    assert!(view("event_time: placed_at\nwritten_at: decided_at\njson: [amount]\n").is_empty());
    assert_eq!(rules(&view("written_at: decided_at\n")), ["missing_key"]);
    assert_eq!(rules(&view("json: [amont]\n")), ["unknown_reference"]);
}
