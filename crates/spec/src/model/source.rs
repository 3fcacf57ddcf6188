//! `sources/*.yaml`: where raw rows come from, their schema and their checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataType, Field, Severity, Span};

/// Raw rows that become one lake table of the same name: a stream of files, or rows that clients push.
///
/// Exactly one of [`path`](Self::path) and [`push`](Self::push) is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::schema::one_origin)]
pub struct Source {
    /// The name of the source and of its table.
    #[serde(rename = "source")]
    pub name: String,
    /// What the rows are, in a sentence.
    #[serde(default)]
    pub description: String,
    /// A path, glob or object-store URL; relative paths start at the project folder.
    #[serde(default)]
    pub path: String,
    /// The names under which clients push rows into this table, which then has no files. Several sources may take the same
    /// push, each the columns that it declares. The table has two columns more: `pushed_at`, when a row came, and
    /// `push_id`, its number.
    #[serde(default)]
    pub push: Vec<String>,
    /// The file format. By default told by the file's ending.
    pub format: Option<FileFormat>,
    /// How CSV files are written.
    #[serde(default)]
    pub csv: CsvOptions,
    /// The columns of the files, all of them, in any order.
    pub columns: Vec<Column>,
    /// Columns computed from the file's columns while it is read, in order: a later one may use an earlier one.
    #[serde(default)]
    pub derive: Vec<Derived>,
    /// The columns that name a row. Of two rows with one key the one read last is kept.
    #[serde(default)]
    pub key: Vec<String>,
    /// The column that says when the row's fact happened.
    pub event_time: Option<String>,
    /// The column that says when the fact became known. By default the event time.
    pub known_at: Option<String>,
    /// What must hold of the rows.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What happens when a file has a column that is not declared.
    #[serde(default)]
    pub extra_columns: ExtraColumns,
}

/// The column of a pushed table that says when a row came.
pub const PUSHED_AT: &str = "pushed_at";
/// The column of a pushed table that numbers its rows; it tells equal rows apart.
pub const PUSH_ID: &str = "push_id";

impl Source {
    /// Whether its rows are pushed by clients rather than read from files.
    #[must_use]
    pub const fn is_pushed(&self) -> bool {
        !self.push.is_empty()
    }

    /// Its table's columns: the declared ones, the derived ones, and those that every pushed table has.
    #[must_use]
    pub fn table_columns(&self) -> Vec<Field> {
        let declared = self.columns.iter().map(|c| Field { name: c.name.clone(), data_type: c.data_type });
        let derived = self.derive.iter().map(|d| Field { name: d.name.clone(), data_type: d.data_type });
        let mut columns: Vec<Field> = declared.chain(derived).collect();
        if self.is_pushed() {
            columns.push(Field { name: PUSHED_AT.to_owned(), data_type: DataType::Timestamp });
            columns.push(Field { name: PUSH_ID.to_owned(), data_type: DataType::Int64 });
        }
        columns
    }
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Comma-separated text with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// How CSV files are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// One character between fields.
    pub delimiter: char,
    /// Texts that mean null, besides the empty field.
    pub null: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: ',', null: vec!["NA".into(), "NULL".into(), "null".into()] }
    }
}

/// A column of the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The column's name, as in the file.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Whether it may be null.
    #[serde(default = "yes")]
    pub nullable: bool,
    /// What it is, with its unit.
    #[serde(default)]
    pub description: String,
    /// Whether it tells of a person; stays marked in everything computed from it.
    #[serde(default)]
    pub personal: bool,
}

fn yes() -> bool {
    true
}

/// A column computed while the file is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The new column's name.
    pub name: String,
    /// Its type; the expression is cast to it.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// A SQL expression over the columns of the row.
    pub sql: String,
}

/// What happens when a file has a column that is not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtraColumns {
    /// The file is refused, with the column's name.
    #[default]
    Fail,
    /// The column is left out, and said so.
    Ignore,
}

/// A rule on rows or on the table: exactly one of the rule keys, how severe it is, and what happens to a bad row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::schema::one_rule)]
pub struct Check {
    /// A name for reports. By default made from the rule.
    pub name: Option<String>,
    /// None of these columns is null.
    pub not_null: Option<Vec<String>>,
    /// No two rows of the table agree in all of these columns; the first read stays. Over the columns of the `key` it holds
    /// within each file: rows of a later file replace those of the same key.
    pub unique: Option<Vec<String>>,
    /// A number, timestamp or date lies between two bounds, both included. Null passes.
    pub range: Option<RangeRule>,
    /// A value is one of a list. Null passes.
    pub in_set: Option<InSetRule>,
    /// A text matches a regular expression somewhere. Null passes.
    pub regex: Option<RegexRule>,
    /// The number of rows a file brings lies between two bounds.
    pub row_count: Option<RowCountRule>,
    /// The newest value of a timestamp column is not older than a span before now.
    pub freshness: Option<FreshnessRule>,
    /// Values exist in another source's table. Null passes.
    pub references: Option<ReferencesRule>,
    /// A SQL expression over the row that must be true. Null passes.
    pub sql: Option<String>,
    /// How loud a broken rule is.
    #[serde(default)]
    pub severity: Severity,
    /// What happens to a row that breaks the rule, when it is an error.
    #[serde(default)]
    pub on_fail: OnFail,
}

impl Check {
    /// The one rule this check holds, or `None` when it has not exactly one.
    #[must_use]
    pub fn rule(&self) -> Option<Rule<'_>> {
        match self.rules().as_slice() {
            [rule] => Some(*rule),
            _ => None,
        }
    }

    /// How many rules this check holds; a loaded project's checks hold exactly one.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules().len()
    }

    fn rules(&self) -> Vec<Rule<'_>> {
        [
            self.not_null.as_ref().map(|columns| Rule::NotNull(columns)),
            self.unique.as_ref().map(|columns| Rule::Unique(columns)),
            self.range.as_ref().map(Rule::Range),
            self.in_set.as_ref().map(Rule::InSet),
            self.regex.as_ref().map(Rule::Regex),
            self.row_count.as_ref().map(Rule::RowCount),
            self.freshness.as_ref().map(Rule::Freshness),
            self.references.as_ref().map(Rule::References),
            self.sql.as_deref().map(Rule::Sql),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The rule of a [`Check`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule<'a> {
    /// See [`Check::not_null`].
    NotNull(&'a [String]),
    /// See [`Check::unique`].
    Unique(&'a [String]),
    /// See [`Check::range`].
    Range(&'a RangeRule),
    /// See [`Check::in_set`].
    InSet(&'a InSetRule),
    /// See [`Check::regex`].
    Regex(&'a RegexRule),
    /// See [`Check::row_count`].
    RowCount(&'a RowCountRule),
    /// See [`Check::freshness`].
    Freshness(&'a FreshnessRule),
    /// See [`Check::references`].
    References(&'a ReferencesRule),
    /// See [`Check::sql`].
    Sql(&'a str),
}

/// What happens to a row that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// It goes to the quarantine table with its file, row number and the rules it broke.
    #[default]
    Quarantine,
    /// It is left out and counted.
    Drop,
    /// The whole file is refused; nothing of it lands.
    Fail,
}

/// A scalar in a rule or option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text, or an RFC 3339 timestamp or date where the column is one.
    String(String),
}

/// Bounds of a column; either may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeRule {
    /// The column.
    pub column: String,
    /// The least value allowed.
    pub min: Option<Scalar>,
    /// The greatest value allowed.
    pub max: Option<Scalar>,
}

/// The values a column may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InSetRule {
    /// The column.
    pub column: String,
    /// The values allowed.
    pub values: Vec<Scalar>,
}

/// The shape of a text column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexRule {
    /// The column.
    pub column: String,
    /// A regular expression in the syntax of the `regex` crate.
    pub pattern: String,
}

/// The number of rows that a file brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCountRule {
    /// The fewest.
    pub min: Option<u64>,
    /// The most.
    pub max: Option<u64>,
}

/// How old the newest row may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreshnessRule {
    /// A timestamp column.
    pub column: String,
    /// The greatest age.
    pub max_age: Span,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferencesRule {
    /// The columns here.
    pub columns: Vec<String>,
    /// The source whose table holds the values; it is ingested first.
    pub source: String,
    /// The columns there, in the same order.
    pub to: Vec<String>,
}
