//! Which column is what: key, time, label, input; and checks that the sample passes.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use futures::StreamExt;
use mainspring_spec::{
    Check, DataType, InSetRule, OnFail, PREDICTION_LOG_COLUMNS, RangeRule, RowCountRule, Scalar, Severity, Source, Task,
};

use super::{InferOptions, InferredSource, Label, Sample, derived, sql_name, sql_text};
use crate::judge::judge;
use crate::keys::{KeySet, Keys};
use crate::plan::Plan;
use crate::profile::{ColumnProfile, Profile};
use crate::profiler::Profiler;
use crate::read::{self, Fault};

/// A text with more different values than this is not given to a model: each is too rare to learn from.
const CATEGORIES_MAX: u64 = 200;
/// A text label with more different values is no class.
const CLASSES_MAX: u64 = 100;
/// A whole number with at most so many different values is a class, not an amount.
const NUMBER_CLASSES_MAX: u64 = 10;
/// A text with at most so many values gets a check that names them.
const SET_MAX: u64 = 20;
/// Columns that get checks of their own; a wide file would drown its reader in them.
const CHECKED_COLUMNS_MAX: usize = 40;
/// Candidates whose values are tried for a key.
const KEY_CANDIDATES_MAX: usize = 6;

/// Names that people give to what they want to predict.
const LABEL_NAMES: [&str; 10] =
    ["label", "target", "y", "class", "outcome", "churn", "churned", "survived", "default", "is_fraud"];
/// Texts that mean yes.
const YES: [&str; 12] =
    ["yes", "y", "true", "t", "1", "positive", "pos", "churned", "bad", "fraud", "malignant", ">50k"];

/// Why no roles can be given.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it {0}")]
    File(#[from] Fault),
    #[error("{0}")]
    Roles(String),
}

struct Looked {
    profile: Profile,
    /// Columns no two rows agree in, of those tried.
    unique: Vec<String>,
    rows: u64,
}

/// Gives every column its role.
pub(super) async fn assign(
    sample: &Sample<'_>,
    mut source: Source,
    options: &InferOptions,
) -> Result<InferredSource, Trouble> {
    let mut notes = Vec::new();
    let first = look(sample, &source, &[]).await?;
    source.event_time = time(&mut source, &first.profile, options, &mut notes)?;
    let tried = key_candidates(&source, &first.profile, options);
    // Once more, with the time as a timestamp and the keys tried.
    let looked = look(sample, &source, &tried).await?;
    let profile = &looked.profile;
    source.key = key(&source, &looked, options, &mut notes);
    let label = label(&source, profile, options, &mut notes)?;
    for column in &mut source.columns {
        let must = source.key.contains(&column.name) || source.event_time.as_ref() == Some(&column.name);
        column.nullable = !must;
    }
    let (inputs, left_out) = inputs(&mut source, profile, &label);
    if inputs.is_empty() {
        let why: Vec<String> = left_out.iter().map(|(name, why)| format!("`{name}` {why}")).collect();
        return Err(Trouble::Roles(format!(
            "no column is left to predict `{}` from: {}",
            label.column,
            why.join("; ")
        )));
    }
    source.checks = checks(&source, profile);
    Ok(InferredSource { source, profile: looked.profile, label, inputs, left_out, notes })
}

/// Reads the sample with the declared types, as an ingest would, and profiles the rows that would land.
async fn look(sample: &Sample<'_>, source: &Source, tried: &[String]) -> Result<Looked, Trouble> {
    let roles = |error: crate::Error| Trouble::Roles(error.to_string());
    let plan =
        Plan::compile(source, &SessionContext::new().state(), &std::collections::BTreeMap::new()).map_err(roles)?;
    let names = source.columns.iter().map(|column| column.name.clone()).collect();
    let mut opened = read::open(sample.file, sample.format, &sample.wanted(Some(names), &source.csv)).await?;
    let casts = plan.casts(&opened.schema)?;
    let profiler = Profiler::start(crate::file::empty_sketch(&plan));
    let places = tried.iter().filter_map(|name| plan.schema.index_of(name).ok());
    let mut unique: Vec<(usize, Option<KeySet>)> = places.map(|place| (place, Some(KeySet::default()))).collect();
    let limit = sample.rows(source.columns.len());
    let mut rows = 0;
    while rows < limit
        && let Some(batch) = opened.batches.next().await
    {
        let judged = judge(&plan, &casts, batch?)?;
        rows += judged.batch.num_rows() as u64;
        for (place, seen) in &mut unique {
            let keys = Keys::of(&[Arc::clone(judged.batch.column(*place))]);
            let is_new =
                |seen: &mut KeySet| (0..keys.len()).all(|row| keys.get(row).is_some_and(|key| seen.insert(key)));
            if seen.as_mut().is_some_and(|seen| !is_new(seen)) {
                *seen = None;
            }
        }
        profiler.update(&judged.batch).await;
    }
    let sketch = profiler.finish().await.map_err(Trouble::Roles)?;
    let unique = unique.iter().filter(|(_, seen)| seen.is_some());
    let unique = unique.filter_map(|(place, _)| plan.schema.fields().get(*place)).map(|field| field.name().clone());
    Ok(Looked { profile: sketch.profile(), unique: unique.collect(), rows })
}

/// Settles the event time; a date is declared a timestamp, seconds or milliseconds since 1970 are derived into one.
fn time(
    source: &mut Source,
    profile: &Profile,
    options: &InferOptions,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Trouble> {
    let is_complete = |name: &str| profile.column(name).is_some_and(|column| column.nulls == 0);
    let is_time = |data_type| matches!(data_type, DataType::Timestamp | DataType::Date);
    let of_something_else = |name: &str| {
        let name = name.to_lowercase();
        ["birth", "dob", "expir", "due", "end_", "_end", "update"].iter().any(|word| name.contains(word))
    };
    let guessed = || {
        let candidates = source.columns.iter().filter(|column| is_time(column.data_type)).map(|column| &column.name);
        candidates.into_iter().find(|name| is_complete(name) && !of_something_else(name)).cloned()
    };
    let Some(name) = options.time.clone().or_else(guessed) else { return Ok(None) };
    if options.time.is_none() {
        notes.push(format!("took `{name}` for the time of a row; name another with --time"));
    }
    let wrong = |why: String| Trouble::Roles(format!("`{name}` cannot be the time of a row: {why}"));
    let profiled = profile.column(&name).ok_or_else(|| wrong("there is no such column".into()))?;
    if profiled.nulls > 0 {
        return Err(wrong(format!("{} rows have none", profiled.nulls)));
    }
    let Some(column) = source.columns.iter_mut().find(|column| column.name == name) else { return Ok(None) };
    match column.data_type {
        DataType::Timestamp => Ok(Some(name)),
        DataType::Date => {
            column.data_type = DataType::Timestamp;
            Ok(Some(name))
        }
        DataType::Int64 => {
            let (min, max) = (number(profiled.min.as_ref()), number(profiled.max.as_ref()));
            let function = match (min, max) {
                (Some(min), Some(max)) if min >= 1e8 && max < 1e11 => "to_timestamp_seconds",
                (Some(min), Some(max)) if min >= 1e11 && max < 1e14 => "to_timestamp_millis",
                _ => return Err(wrong("its numbers are neither seconds nor milliseconds since 1970".into())),
            };
            let at = free_name(source, &format!("{}_at", mainspring_spec::mended_name(&name)));
            source.derive.push(derived(at.clone(), DataType::Timestamp, format!("{function}({})", sql_name(&name))));
            Ok(Some(at))
        }
        other => Err(wrong(format!("it is {other}; write times as RFC 3339, for example 2013-01-31T17:00:00Z"))),
    }
}

fn free_name(source: &Source, wanted: &str) -> String {
    let taken = |name: &str| {
        let own = source.columns.iter().map(|c| &c.name).chain(source.derive.iter().map(|d| &d.name));
        own.into_iter().any(|other| other.eq_ignore_ascii_case(name)) || PREDICTION_LOG_COLUMNS.contains(&name)
    };
    let mut name = wanted.to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}

fn number(value: Option<&serde_json::Value>) -> Option<f64> {
    value.and_then(serde_json::Value::as_f64)
}

fn key_candidates(source: &Source, profile: &Profile, options: &InferOptions) -> Vec<String> {
    if !options.key.is_empty() {
        return vec![];
    }
    let sounds_like_key = |name: &str| {
        let name = name.to_lowercase();
        name == "id"
            || name.ends_with("_id")
            || name.ends_with(" id")
            || name.ends_with("uuid")
            || name.ends_with("key")
            || name.ends_with("number")
            || name.ends_with("id") && name.len() > 4
    };
    let can_be = |name: &str, data_type| {
        let complete = profile.column(name).is_some_and(|column| column.nulls == 0);
        complete && matches!(data_type, DataType::Int64 | DataType::String) && options.label.as_deref() != Some(name)
    };
    let candidates = source.columns.iter().filter(|c| sounds_like_key(&c.name) && can_be(&c.name, c.data_type));
    candidates.map(|column| column.name.clone()).take(KEY_CANDIDATES_MAX).collect()
}

fn key(source: &Source, looked: &Looked, options: &InferOptions, notes: &mut Vec<String>) -> Vec<String> {
    if !options.key.is_empty() {
        return options.key.clone();
    }
    match looked.unique.first().filter(|_| looked.rows > 1) {
        Some(name) => {
            notes.push(format!("took `{name}` for the key, as no two rows agree in it; name another with --key"));
            vec![name.clone()]
        }
        None => {
            notes.push(format!(
                "no column names a row of `{}`: files are only added; name the key with --key",
                source.name
            ));
            vec![]
        }
    }
}

fn label(
    source: &Source,
    profile: &Profile,
    options: &InferOptions,
    notes: &mut Vec<String>,
) -> Result<Label, Trouble> {
    let is_free = |name: &str| {
        !source.key.iter().any(|key| key == name)
            && source.event_time.as_deref() != Some(name)
            && options.time.as_deref() != Some(name)
    };
    let predictable = |column: &&ColumnProfile| is_free(&column.name) && task_of(column).is_ok();
    let column = match &options.label {
        Some(name) => profile.column(name).ok_or_else(|| Trouble::Roles(format!("there is no column `{name}`")))?,
        None => {
            let named = profile.columns.iter().filter(|c| LABEL_NAMES.contains(&c.name.to_lowercase().as_str()));
            let found = named.chain(profile.columns.iter().rev()).find(predictable);
            let found =
                found.ok_or_else(|| Trouble::Roles("no column can be predicted; name one with --label".into()))?;
            notes.push(format!("took `{}` for what to predict; name another with --label", found.name));
            found
        }
    };
    let task =
        task_of(column).map_err(|why| Trouble::Roles(format!("`{}` cannot be predicted: {why}", column.name)))?;
    let quoted = sql_name(&column.name);
    let (sql, meaning) = match (task, column.data_type) {
        (Task::Binary, DataType::Bool) => (quoted, format!("Whether `{}` is true", column.name)),
        (Task::Binary, DataType::String) => {
            let yes = positive(column);
            (format!("{quoted} = {}", sql_text(&yes)), format!("Whether `{}` is {yes}", column.name))
        }
        (Task::Binary, _) => {
            let most = column.max.as_ref().map(ToString::to_string).unwrap_or_default();
            (format!("{quoted} = {most}"), format!("Whether `{}` is {most}", column.name))
        }
        (Task::Multiclass, DataType::String) => (quoted, format!("Which `{}` it is", column.name)),
        (Task::Multiclass, _) => (format!("cast({quoted} as varchar)"), format!("Which `{}` it is", column.name)),
        (Task::Regression, _) => (quoted, format!("How much `{}` is", column.name)),
    };
    Ok(Label { column: column.name.clone(), sql, task, meaning })
}

fn task_of(column: &ColumnProfile) -> Result<Task, String> {
    match (column.data_type, column.distinct) {
        (DataType::Timestamp | DataType::Date, _) => Err("it is a time".into()),
        (_, 0) => Err("it has no values".into()),
        (_, 1) => Err("it has only one value".into()),
        (_, 2) => Ok(Task::Binary),
        (DataType::String, classes) if classes > CLASSES_MAX => {
            Err(format!("it has about {classes} different texts; at most {CLASSES_MAX} classes can be told apart"))
        }
        (DataType::String, _) => Ok(Task::Multiclass),
        (DataType::Int64, classes) if classes <= NUMBER_CLASSES_MAX => Ok(Task::Multiclass),
        _ => Ok(Task::Regression),
    }
}

/// Of two texts the one that means yes, or else the rarer.
fn positive(column: &ColumnProfile) -> String {
    let yes = column.top.iter().find(|top| YES.contains(&top.value.trim().to_lowercase().as_str()));
    yes.or_else(|| column.top.last()).map(|top| top.value.clone()).unwrap_or_default()
}

type LeftOut = Vec<(String, String)>;

/// Settles what a model is given. A column with a name that the prediction log needs is derived under another.
fn inputs(source: &mut Source, profile: &Profile, label: &Label) -> (Vec<String>, LeftOut) {
    let (mut inputs, mut left_out) = (Vec::new(), Vec::new());
    for column in source.columns.clone() {
        let name = &column.name;
        let Some(seen) = profile.column(name) else { continue };
        let rows = seen.count + seen.nulls;
        let why = if name == &label.column {
            continue;
        } else if source.key.contains(name) {
            "names the row"
        } else if source.event_time.as_ref() == Some(name) {
            "is the time"
        } else if matches!(column.data_type, DataType::Timestamp | DataType::Date) {
            "is a time; compute what matters of it in a feature view"
        } else if source
            .derive
            .iter()
            .any(|derived| derived.sql.contains(&sql_name(name)) && derived.data_type == DataType::Timestamp)
        {
            "is the time"
        } else if seen.distinct == 0 {
            "has no values"
        } else if seen.distinct == 1 && seen.nulls == 0 {
            "has only one value"
        } else if column.data_type == DataType::String
            && (seen.distinct > CATEGORIES_MAX || seen.distinct * 2 > rows.max(20))
        {
            "has too many different texts to learn from"
        } else {
            if PREDICTION_LOG_COLUMNS.contains(&name.as_str()) {
                let renamed = free_name(source, &format!("{name}_given"));
                source.derive.push(derived(renamed.clone(), column.data_type, sql_name(name)));
                inputs.push(renamed);
            } else {
                inputs.push(name.clone());
            }
            continue;
        };
        left_out.push((name.clone(), why.to_owned()));
    }
    (inputs, left_out)
}

fn checks(source: &Source, profile: &Profile) -> Vec<Check> {
    let mut checks = vec![Check { row_count: Some(RowCountRule { min: Some(1), max: None }), ..nothing() }];
    let mut complete = Vec::new();
    let mut checked = 0;
    for column in &source.columns {
        let Some(seen) = profile.column(&column.name) else { continue };
        if seen.nulls == 0 && column.nullable && complete.len() < CHECKED_COLUMNS_MAX {
            complete.push(column.name.clone());
        }
        if checked == CHECKED_COLUMNS_MAX || source.key.contains(&column.name) {
            continue;
        }
        let name = column.name.clone();
        let rule = match column.data_type {
            DataType::Int64 | DataType::Float64 => range(seen).map(|(min, max)| Check {
                range: Some(RangeRule { column: name, min: Some(min), max: Some(max) }),
                severity: Severity::Warn,
                ..nothing()
            }),
            DataType::String
                if seen.distinct_is_exact
                    && (1..=SET_MAX).contains(&seen.distinct)
                    && seen.count >= seen.distinct * 10 =>
            {
                let mut values: Vec<&str> = seen.top.iter().map(|top| top.value.as_str()).collect();
                values.sort_unstable();
                let values = values.into_iter().map(|value| Scalar::String(value.to_owned())).collect();
                Some(Check { in_set: Some(InSetRule { column: name, values }), severity: Severity::Warn, ..nothing() })
            }
            _ => None,
        };
        checked += usize::from(rule.is_some());
        checks.extend(rule);
    }
    if !complete.is_empty() {
        checks.insert(1, Check { not_null: Some(complete), severity: Severity::Warn, ..nothing() });
    }
    checks
}

/// Bounds half a spread beyond what was seen; numbers that are never negative stay so.
fn range(seen: &ColumnProfile) -> Option<(Scalar, Scalar)> {
    let (min, max) = (number(seen.min.as_ref())?, number(seen.max.as_ref())?);
    let margin = (max - min) / 2.0;
    let (low, high) = (if min >= 0.0 { (min - margin).max(0.0) } else { min - margin }, max + margin);
    if !low.is_finite() || !high.is_finite() || low.abs().max(high.abs()) > 9e15 {
        return None;
    }
    Some(if seen.data_type == DataType::Int64 {
        (Scalar::Int(low.floor() as i64), Scalar::Int(high.ceil() as i64))
    } else {
        (Scalar::Float(rounded(low, f64::floor)), Scalar::Float(rounded(high, f64::ceil)))
    })
}

/// To three digits, outwards: a bound is for people to read.
fn rounded(value: f64, towards: fn(f64) -> f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powf(value.abs().log10().floor() - 2.0);
    let rounded = towards(value / unit) * unit;
    // Through text, so that 0.30000000000000004 is written 0.3.
    format!("{rounded:.12}").parse().unwrap_or(rounded)
}

fn nothing() -> Check {
    Check {
        name: None,
        not_null: None,
        unique: None,
        range: None,
        in_set: None,
        regex: None,
        row_count: None,
        freshness: None,
        references: None,
        sql: None,
        severity: Severity::Error,
        on_fail: OnFail::Quarantine,
    }
}
