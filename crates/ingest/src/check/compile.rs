//! From the declared checks to rules over columns of known type.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType as ArrowType, Date32Type, SchemaRef};
use datafusion::execution::SessionState;
use mainspring_spec::{Check, DataType, OnFail, Rule, Scalar, Severity, Source};

use super::{CompiledRule, Test};
use crate::expression::Expression;
use crate::keys::KeySet;
use crate::types::column_type;
use crate::{Error, Result};

/// Compiles a source's rules: four that hold of every source, then its checks in their order.
///
/// `referenced` has, by the check's place in the source, the keys of the tables that `references` checks look into.
pub(crate) fn compile(
    source: &Source,
    schema: &SchemaRef,
    state: &SessionState,
    referenced: &BTreeMap<usize, Arc<KeySet>>,
) -> Result<Vec<CompiledRule>> {
    let mut required: Vec<usize> = Vec::new();
    for name in source.columns.iter().filter(|c| !c.nullable).map(|c| &c.name).chain(&source.key) {
        if let Ok(place) = schema.index_of(name)
            && !required.contains(&place)
        {
            required.push(place);
        }
    }
    let built_in = |name: &str, rule: &str, test| CompiledRule {
        name: name.into(),
        rule: rule.into(),
        severity: Severity::Error,
        on_fail: OnFail::Quarantine,
        test,
    };
    let mut rules = vec![
        built_in("malformed", "a row has the fields of the header and is UTF-8", Test::Before),
        built_in("type", "a value is of its column's type", Test::Before),
        built_in("required", "a column of the key or with `nullable: false` is not null", Test::NotNull(required)),
        built_in("derive", "derived columns can be computed", Test::Before),
    ];
    for (place, check) in source.checks.iter().enumerate() {
        let Some(rule) = check.rule() else {
            let reason = "it has not exactly one rule; part it into several checks".into();
            return Err(Error::Check { name: source.name.clone(), check: name_of(check, place), reason });
        };
        let compiler =
            Compiler { source, schema, state, check: check.name.clone().unwrap_or_else(|| default_name(&rule)) };
        let test = compiler.test(&rule, referenced.get(&place))?;
        rules.push(CompiledRule {
            rule: words(&rule, &source.key),
            name: compiler.check,
            severity: check.severity,
            on_fail: check.on_fail,
            test,
        });
    }
    Ok(rules)
}

fn name_of(check: &Check, place: usize) -> String {
    check.name.clone().unwrap_or_else(|| format!("number {}", place + 1))
}

/// A check's name when none is declared.
pub(crate) fn default_name(rule: &Rule<'_>) -> String {
    match rule {
        Rule::NotNull(columns) => format!("not_null({})", columns.join(", ")),
        Rule::Unique(columns) => format!("unique({})", columns.join(", ")),
        Rule::Range(range) => format!("range({})", range.column),
        Rule::InSet(set) => format!("in_set({})", set.column),
        Rule::Regex(regex) => format!("regex({})", regex.column),
        Rule::RowCount(_) => "row_count".into(),
        Rule::Freshness(freshness) => format!("freshness({})", freshness.column),
        Rule::References(references) => format!("references({})", references.source),
        Rule::Sql(sql) => format!("sql({sql})"),
    }
}

fn words(rule: &Rule<'_>, key: &[String]) -> String {
    const VALUES_SHOWN: usize = 10;
    match rule {
        Rule::NotNull(columns) => format!("{} not null", columns.join(", ")),
        Rule::Unique(columns) => {
            // rows of a later file replace those of the same key
            let is_key = columns.iter().all(|c| key.contains(c)) && key.iter().all(|c| columns.contains(c));
            format!("{} unique in {}", columns.join(", "), if is_key { "a file" } else { "the table" })
        }
        Rule::Range(range) => match (&range.min, &range.max) {
            (Some(min), Some(max)) => format!("{} from {} to {}", range.column, show(min), show(max)),
            (Some(min), None) => format!("{} at least {}", range.column, show(min)),
            (None, Some(max)) => format!("{} at most {}", range.column, show(max)),
            (None, None) => format!("{} anything", range.column),
        },
        Rule::InSet(set) => {
            let shown: Vec<String> = set.values.iter().take(VALUES_SHOWN).map(show).collect();
            let more = if set.values.len() > VALUES_SHOWN { ", …" } else { "" };
            format!("{} one of {}{more}", set.column, shown.join(", "))
        }
        Rule::Regex(regex) => format!("{} matches {}", regex.column, regex.pattern),
        Rule::RowCount(count) => match (count.min, count.max) {
            (Some(min), Some(max)) => format!("{min} to {max} rows in a file"),
            (Some(min), None) => format!("at least {min} rows in a file"),
            (None, max) => format!("at most {} rows in a file", max.map_or("any".into(), |m| m.to_string())),
        },
        Rule::Freshness(freshness) => format!("{} not older than {}", freshness.column, freshness.max_age),
        Rule::References(r) => format!("{} in {}({})", r.columns.join(", "), r.source, r.to.join(", ")),
        Rule::Sql(sql) => (*sql).to_owned(),
    }
}

fn show(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::String(value) => value.clone(),
    }
}

struct Compiler<'a> {
    source: &'a Source,
    schema: &'a SchemaRef,
    state: &'a SessionState,
    check: String,
}

impl Compiler<'_> {
    fn wrong(&self, reason: String) -> Error {
        Error::Check { name: self.source.name.clone(), check: self.check.clone(), reason }
    }

    fn place(&self, column: &str) -> Result<(usize, DataType)> {
        match (self.schema.index_of(column), column_type(self.source, column)) {
            (Ok(place), Some(data_type)) => Ok((place, data_type)),
            _ => Err(self.wrong(format!("there is no column `{column}`"))),
        }
    }

    fn places(&self, columns: &[String]) -> Result<Vec<usize>> {
        columns.iter().map(|column| self.place(column).map(|(place, _)| place)).collect()
    }

    fn test(&self, rule: &Rule<'_>, referenced: Option<&Arc<KeySet>>) -> Result<Test> {
        Ok(match rule {
            Rule::NotNull(columns) => Test::NotNull(self.places(columns)?),
            Rule::Unique(columns) => Test::Unique(self.places(columns)?),
            Rule::Range(range) => self.range(&range.column, range.min.as_ref(), range.max.as_ref())?,
            Rule::InSet(set) => self.set(&set.column, &set.values)?,
            Rule::Regex(regex) => {
                let (column, data_type) = self.place(&regex.column)?;
                if data_type != DataType::String {
                    return Err(
                        self.wrong(format!("`{}` is {data_type}; a pattern is for string columns", regex.column))
                    );
                }
                let pattern = regex::Regex::new(&regex.pattern).map_err(|error| self.wrong(error.to_string()))?;
                Test::Regex { column, pattern }
            }
            Rule::RowCount(count) => Test::RowCount { min: count.min.unwrap_or(0), max: count.max.unwrap_or(u64::MAX) },
            Rule::Freshness(freshness) => {
                let (column, data_type) = self.place(&freshness.column)?;
                if data_type != DataType::Timestamp {
                    return Err(
                        self.wrong(format!("`{}` is {data_type}; freshness needs a timestamp", freshness.column))
                    );
                }
                Test::Freshness { column, max_age_micros: freshness.max_age.as_micros() }
            }
            Rule::References(references) => {
                let keys = referenced.ok_or_else(|| Error::NotYetIngested {
                    name: self.source.name.clone(),
                    check: self.check.clone(),
                    referenced: references.source.clone(),
                })?;
                Test::References { columns: self.places(&references.columns)?, keys: Arc::clone(keys) }
            }
            Rule::Sql(sql) => {
                let compiled = Expression::compile(self.state, sql, self.schema, &ArrowType::Boolean);
                Test::Sql(compiled.map_err(|error| Error::Expression {
                    name: self.source.name.clone(),
                    place: format!("check `{}`", self.check),
                    sql: (*sql).to_owned(),
                    reason: error.strip_backtrace(),
                    unknown: mainspring_lake::unknown_name(&error),
                })?)
            }
        })
    }

    fn range(&self, name: &str, min: Option<&Scalar>, max: Option<&Scalar>) -> Result<Test> {
        let (column, data_type) = self.place(name)?;
        if data_type == DataType::Float64 {
            let bound = |scalar: Option<&Scalar>, none: f64| match scalar {
                None => Ok(none),
                Some(scalar) => self.float(name, scalar),
            };
            return Ok(Test::FloatRange {
                column,
                min: bound(min, f64::NEG_INFINITY)?,
                max: bound(max, f64::INFINITY)?,
            });
        }
        if matches!(data_type, DataType::String | DataType::Bool) {
            return Err(self.wrong(format!("`{name}` is {data_type}; a range is for numbers, timestamps and dates")));
        }
        let min = match min {
            None => i64::MIN,
            Some(Scalar::Float(value)) if data_type == DataType::Int64 => value.ceil() as i64,
            Some(scalar) => self.integer(name, data_type, scalar)?,
        };
        let max = match max {
            None => i64::MAX,
            Some(Scalar::Float(value)) if data_type == DataType::Int64 => value.floor() as i64,
            Some(scalar) => self.integer(name, data_type, scalar)?,
        };
        Ok(Test::IntRange { column, min, max })
    }

    fn set(&self, name: &str, values: &[Scalar]) -> Result<Test> {
        let (column, data_type) = self.place(name)?;
        Ok(match data_type {
            DataType::String => Test::TextSet { column, values: values.iter().map(|v| show(v).into()).collect() },
            DataType::Float64 => {
                let values = values.iter().map(|value| self.float(name, value)).collect::<Result<_>>()?;
                Test::FloatSet { column, values }
            }
            _ => {
                let mut values =
                    values.iter().map(|value| self.integer(name, data_type, value)).collect::<Result<Vec<_>>>()?;
                values.sort_unstable();
                Test::IntSet { column, values }
            }
        })
    }

    fn float(&self, name: &str, scalar: &Scalar) -> Result<f64> {
        match scalar {
            Scalar::Int(value) => Ok(*value as f64),
            Scalar::Float(value) => Ok(*value),
            other => Err(self.wrong(format!("`{}` is no number, and `{name}` is float64", show(other)))),
        }
    }

    fn integer(&self, name: &str, data_type: DataType, scalar: &Scalar) -> Result<i64> {
        let value = match (data_type, scalar) {
            (DataType::Int64, Scalar::Int(value)) => Some(*value),
            (DataType::Bool, Scalar::Bool(value)) => Some(i64::from(*value)),
            (DataType::Date, Scalar::String(text)) => Date32Type::parse(text).map(i64::from),
            (DataType::Timestamp, Scalar::String(text)) => {
                let utc = "UTC".parse::<arrow::array::timezone::Tz>().ok();
                utc.and_then(|utc| string_to_datetime(&utc, text).ok()).map(|time| time.timestamp_micros())
            }
            _ => None,
        };
        value.ok_or_else(|| self.wrong(format!("`{}` is not a {data_type}, which `{name}` is", show(scalar))))
    }
}
