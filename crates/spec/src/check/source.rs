//! Sources: columns, times, keys and the rules on rows.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::context::{Context, Path};
use super::expression::{self, Scope};
use crate::diagnostic::quote;
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{
    Check, CsvOptions, DataType, ExtraColumns, Field, InSetRule, PUSH_ID, PUSHED_AT, RangeRule, ReferencesRule, Rule,
    Source,
};
use crate::schema::CHECK_RULES;
use crate::tree::Step;

/// The most columns of a source.
const COLUMNS_MAX: usize = 5_000;
/// File endings whose format is known.
const ENDINGS: [&str; 5] = ["csv", "jsonl", "ndjson", "json", "parquet"];

pub(super) fn check(context: &mut Context<'_>, source: &Source) {
    let object = ObjectRef::new(ObjectKind::Source, &source.name);
    check_origin(context, &object, source);
    let fields = check_columns(context, &object, source);
    for (at, column) in source.key.iter().enumerate() {
        column_of(context, &object, &["key".into(), at.into()], &fields, column);
    }
    check_times(context, &object, source, &fields);
    for (at, rule) in source.checks.iter().enumerate() {
        check_rule(context, &object, at, rule, &fields, source);
    }
}

/// Rows of a source come from files or from pushes.
fn check_origin(context: &mut Context<'_>, object: &ObjectRef, source: &Source) {
    if source.is_pushed() == source.path.is_empty() {
        return if source.is_pushed() {
            check_push(context, object, source)
        } else {
            check_file(context, object, source)
        };
    }
    let message = "a source's rows come either from files or from pushes";
    context.report(object, &["source".into()], "one_origin", message, "give exactly one of `path` and `push`");
}

/// Keys of a pushed source that say how files are read, or judge a whole file or table, mean nothing.
fn check_push(context: &mut Context<'_>, object: &ObjectRef, source: &Source) {
    let given = [
        ("format", source.format.is_some()),
        ("extra_columns", source.extra_columns != ExtraColumns::default()),
        ("csv", source.csv != CsvOptions::default()),
    ];
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        let message = format!("`{key}` means nothing in a pushed source, which reads no files");
        context.report(object, &[(*key).into()], "misplaced_key", message, format!("leave out `{key}`"));
    }
    for (at, name) in source.push.iter().enumerate().filter(|(_, name)| name.trim().is_empty()) {
        let path: Path<'_> = &["push".into(), at.into()];
        let message = format!("{} is no name to push to", quote(name));
        context.report(object, path, "empty_value", message, format!("write for example `push: [{}]`", source.name));
    }
    for (at, check) in source.checks.iter().enumerate() {
        let key = match check.rule() {
            Some(Rule::Unique(_)) => "unique",
            Some(Rule::RowCount(_)) => "row_count",
            Some(Rule::Freshness(_)) => "freshness",
            Some(Rule::References(_)) => "references",
            _ => continue,
        };
        let path: Path<'_> = &["checks".into(), at.into(), key.into()];
        let message = format!("`{key}` judges a file or a table, and pushed rows are judged one by one");
        let help =
            "use `not_null`, `range`, `in_set`, `regex` or `sql`; for rows that replace each other, declare `key`";
        context.report(object, path, "misplaced_key", message, help);
    }
}

fn check_file(context: &mut Context<'_>, object: &ObjectRef, source: &Source) {
    let path = &["path".into()];
    let ending = source.path.rsplit('.').next().unwrap_or_default().to_lowercase();
    if source.format.is_none() && !ENDINGS.contains(&ending.as_str()) {
        let message = "the path's ending does not tell the format of the files".to_owned();
        context.report(object, path, "unknown_format", message, "add `format: csv`, `jsonl` or `parquet`");
    }
    if !source.csv.delimiter.is_ascii() {
        let message = format!("{} cannot part fields", quote(&source.csv.delimiter.to_string()));
        context.report(object, &["csv".into(), "delimiter".into()], "wrong_value", message, "write an ASCII character");
    }
}

/// Checks that columns are there once each, whatever their case. Gives all of them, derived ones last.
fn check_columns(context: &mut Context<'_>, object: &ObjectRef, source: &Source) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut seen = BTreeMap::new();
    if source.is_pushed() {
        seen.extend([PUSHED_AT, PUSH_ID].map(|name| (name.to_owned(), name.to_owned())));
    }
    if source.columns.is_empty() || source.columns.len() > COLUMNS_MAX {
        let message = format!("there are {} columns", source.columns.len());
        let help = format!("list the columns of the files, at least 1 and at most {COLUMNS_MAX}");
        context.report(object, &["columns".into()], "column_count", message, help);
    }
    for (at, column) in source.columns.iter().enumerate() {
        let path: Path<'_> = &["columns".into(), at.into(), "name".into()];
        new_column(context, object, path, &column.name, &mut seen);
        fields.push(Field { name: column.name.clone(), data_type: column.data_type });
    }
    for (at, derived) in source.derive.iter().enumerate() {
        let step = |key: &'static str| [Step::Key("derive"), at.into(), key.into()];
        new_column(context, object, &step("name"), &derived.name, &mut seen);
        let scope = Scope::Exactly("what has been read so far", &fields);
        expression::check(context, object, &step("sql"), &derived.sql, scope);
        if let Some(problem) = expression::cast_problem(&derived.sql, &fields, derived.data_type) {
            let help = "change the `type`, or the expression";
            context.report(object, &step("sql"), "impossible_cast", problem, help);
        }
        fields.push(Field { name: derived.name.clone(), data_type: derived.data_type });
    }
    fields
}

/// Takes in a column's name. `seen` holds the names before it, by what they are in lower case: a table's columns have no
/// case.
fn new_column(
    context: &mut Context<'_>,
    object: &ObjectRef,
    path: Path<'_>,
    name: &str,
    seen: &mut BTreeMap<String, String>,
) {
    if name.trim().is_empty() {
        return context.report(object, path, "bad_name", "a column has no name", "write the column's name");
    }
    let Some(other) = seen.insert(name.to_lowercase(), name.to_owned()) else { return };
    let message = if other == name {
        format!("there are two columns {}", quote(name))
    } else {
        format!("columns {} and {} differ only in case, which a table cannot tell apart", quote(&other), quote(name))
    };
    context.report(object, path, "duplicate_column", message, "rename one of them or leave it out");
}

fn check_times(context: &mut Context<'_>, object: &ObjectRef, source: &Source, fields: &[Field]) {
    for (key, column) in [("event_time", &source.event_time), ("known_at", &source.known_at)] {
        let Some(column) = column else { continue };
        column_of_type(context, object, &[key.into()], fields, column, DataType::Timestamp);
    }
    if source.known_at.is_some() && source.event_time.is_none() {
        let message = "`known_at` says when a fact became known, but `event_time` does not say when it happened";
        context.report(
            object,
            &["known_at".into()],
            "missing_key",
            message,
            "add `event_time:` with a timestamp column",
        );
    }
}

/// The column of a name, or a mistake.
fn column_of<'f>(
    context: &mut Context<'_>,
    object: &ObjectRef,
    path: Path<'_>,
    fields: &'f [Field],
    name: &str,
) -> Option<&'f Field> {
    let found = fields.iter().find(|field| field.name == name);
    if found.is_none() {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        context.report_column(object, path, &format!("source `{}`", object.name), name, &known);
    }
    found
}

fn column_of_type(
    context: &mut Context<'_>,
    object: &ObjectRef,
    path: Path<'_>,
    fields: &[Field],
    name: &str,
    wanted: DataType,
) {
    let Some(field) = column_of(context, object, path, fields, name) else { return };
    if field.data_type != wanted {
        let message = format!("column {} is of type {}, not {wanted}", quote(name), field.data_type);
        let help = format!("derive a column of type {wanted} from it under `derive:`, and name that one");
        context.report(object, path, "wrong_column_type", message, help);
    }
}

fn check_rule(
    context: &mut Context<'_>,
    object: &ObjectRef,
    at: usize,
    check: &Check,
    fields: &[Field],
    source: &Source,
) {
    let to = |key: &'static str, inner: &'static str| [Step::Key("checks"), at.into(), key.into(), inner.into()];
    let Some(rule) = check.rule() else {
        let several = check.rule_count() > 1;
        let message = if several { "this check has more than one rule" } else { "this check has no rule" };
        let rules = CHECK_RULES.map(|rule| format!("`{rule}`")).join(", ");
        let help = if several { "make two checks of it".to_owned() } else { format!("add exactly one of {rules}") };
        return context.report(object, &["checks".into(), at.into()], "one_rule", message, help);
    };
    match rule {
        Rule::NotNull(columns) => columns_of(context, object, at, "not_null", columns, fields),
        Rule::Unique(columns) => columns_of(context, object, at, "unique", columns, fields),
        Rule::Range(rule) => check_range(context, object, at, rule, fields),
        Rule::InSet(rule) => check_in_set(context, object, at, rule, fields),
        Rule::Regex(rule) => {
            column_of_type(context, object, &to("regex", "column"), fields, &rule.column, DataType::String);
            if let Err(error) = regex::Regex::new(&rule.pattern) {
                let message = format!("this is not a regular expression: {}", last_line(&error.to_string()));
                let help = "see the syntax of the `regex` crate; a backslash in double quotes is written twice";
                context.report(object, &to("regex", "pattern"), "bad_regex", message, help);
            }
        }
        Rule::RowCount(rule) => {
            if rule.min.is_none() && rule.max.is_none() || rule.min > rule.max && rule.max.is_some() {
                let help = "give `min`, `max` or both, `min` not above `max`";
                context.report(
                    object,
                    &["checks".into(), at.into()],
                    "bad_bounds",
                    "no number of rows would be judged by this",
                    help,
                );
            }
        }
        Rule::Freshness(rule) => {
            column_of_type(context, object, &to("freshness", "column"), fields, &rule.column, DataType::Timestamp);
        }
        Rule::References(rule) => check_references(context, object, at, rule, fields, source),
        Rule::Sql(text) => {
            let table = format!("source `{}`", source.name);
            expression::check(
                context,
                object,
                &["checks".into(), at.into(), "sql".into()],
                text,
                Scope::Exactly(&table, fields),
            );
        }
    }
}

fn columns_of(
    context: &mut Context<'_>,
    object: &ObjectRef,
    at: usize,
    key: &str,
    columns: &[String],
    fields: &[Field],
) {
    if columns.is_empty() {
        let path: Path<'_> = &["checks".into(), at.into(), key.into()];
        context.report(object, path, "empty_value", format!("`{key}` names no column"), "list one column or several");
    }
    for (number, column) in columns.iter().enumerate() {
        column_of(context, object, &["checks".into(), at.into(), key.into(), number.into()], fields, column);
    }
}

fn check_range(context: &mut Context<'_>, object: &ObjectRef, at: usize, rule: &RangeRule, fields: &[Field]) {
    let to = |inner: &'static str| [Step::Key("checks"), at.into(), "range".into(), inner.into()];
    if rule.min.is_none() && rule.max.is_none() {
        let message = "a range without bounds holds everything";
        context.report(object, &to("column"), "bad_bounds", message, "add `min:`, `max:` or both");
    }
    let Some(field) = column_of(context, object, &to("column"), fields, &rule.column) else { return };
    if matches!(field.data_type, DataType::String | DataType::Bool) {
        let message = format!("column {} is of type {}, which has no range", quote(&field.name), field.data_type);
        return context.report(object, &to("column"), "wrong_column_type", message, "use `in_set` or `regex`");
    }
    for (key, bound) in [("min", &rule.min), ("max", &rule.max)] {
        if let Some(problem) = bound.as_ref().and_then(|bound| expression::scalar_problem(bound, field.data_type)) {
            context.report(object, &to(key), "impossible_cast", problem, expression::example(field.data_type));
        }
    }
    let order = rule.min.as_ref().zip(rule.max.as_ref()).and_then(|(min, max)| expression::order(min, max));
    if order == Some(Ordering::Greater) {
        context.report(
            object,
            &to("min"),
            "bad_bounds",
            "`min` is above `max`, so no value passes",
            "exchange the two",
        );
    }
}

fn check_in_set(context: &mut Context<'_>, object: &ObjectRef, at: usize, rule: &InSetRule, fields: &[Field]) {
    let to = |inner: &'static str| [Step::Key("checks"), at.into(), "in_set".into(), inner.into()];
    if rule.values.is_empty() {
        context.report(
            object,
            &to("values"),
            "empty_value",
            "no value is allowed, so no row passes",
            "list the values",
        );
    }
    let Some(field) = column_of(context, object, &to("column"), fields, &rule.column) else { return };
    for (number, value) in rule.values.iter().enumerate() {
        if let Some(problem) = expression::scalar_problem(value, field.data_type) {
            let path: Path<'_> = &["checks".into(), at.into(), "in_set".into(), "values".into(), number.into()];
            context.report(object, path, "impossible_cast", problem, expression::example(field.data_type));
        }
    }
}

fn check_references(
    context: &mut Context<'_>,
    object: &ObjectRef,
    at: usize,
    rule: &ReferencesRule,
    fields: &[Field],
    source: &Source,
) {
    let to = |inner: &'static str| [Step::Key("checks"), at.into(), "references".into(), inner.into()];
    if rule.columns.is_empty() || rule.columns.len() != rule.to.len() {
        let message = format!("{} columns here refer to {} there", rule.columns.len(), rule.to.len());
        let help = "list as many columns under `columns` as under `to`, in the same order";
        context.report(object, &to("columns"), "column_count", message, help);
    }
    let project = context.project;
    let Some(target) = project.sources.get(&rule.source) else {
        return context.report_unknown(object, &to("source"), ObjectKind::Source, &rule.source);
    };
    let there = if target.name == source.name {
        fields.to_vec()
    } else {
        project.table_columns(&target.name).unwrap_or_default()
    };
    for (number, (here, other)) in rule.columns.iter().zip(&rule.to).enumerate() {
        let step = |key: &'static str| [Step::Key("checks"), at.into(), "references".into(), key.into(), number.into()];
        let here = column_of(context, object, &step("columns"), fields, here);
        let Some(found) = there.iter().find(|field| field.name == *other) else {
            let known: Vec<&str> = there.iter().map(|field| field.name.as_str()).collect();
            context.report_column(object, &step("to"), &format!("source `{}`", target.name), other, &known);
            continue;
        };
        if let Some(here) = here.filter(|here| here.data_type != found.data_type) {
            let message = format!(
                "column `{}` is of type {}, but `{}` of source `{}` is of type {}",
                here.name, here.data_type, found.name, target.name, found.data_type
            );
            let help = "give both the same type, or derive a column of the other type";
            context.report(object, &step("to"), "wrong_column_type", message, help);
        }
    }
}

/// The part of a long error that says what is wrong.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").trim()
}
