//! Which column is what: key, time, label, input; and checks that the sample passes.

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use mainspring_spec::{
    Check, DataType, InSetRule, OnFail, PREDICTION_LOG_COLUMNS, RangeRule, RowCountRule, Scalar, Severity, Source, Task,
};

use super::columns::Typed;
use super::split::{Parted, part};
use super::written::Written;
use super::{InferOptions, InferredSource, Label, Sample, derived, sql_name, sql_text};
use crate::cast::Cast;
use crate::judge::judge;
use crate::keys::{KeySet, Keys};
use crate::plan::Plan;
use crate::profile::{ColumnProfile, Profile};
use crate::profiler::Profiler;
use crate::read::{self, Fault, Opened};

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
    tried: Vec<Tried>,
    rows: u64,
}

/// Columns that may be a key together, and how many rows repeat an earlier one in them.
struct Tried {
    columns: Vec<String>,
    seen: KeySet,
    repeats: u64,
}

impl Tried {
    fn see(&mut self, batch: &RecordBatch) {
        let columns: Vec<ArrayRef> =
            self.columns.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
        self.repeats += self.seen.insert_new(&Keys::of(&columns), &KeySet::default()).len() as u64;
    }
}

/// A derived column that is what a declared one says: its texts as numbers or times, its numbers as times.
struct Reading {
    column: String,
    derived: String,
    data_type: DataType,
}

/// A column's values, as they are read where they are read as something else.
fn seen<'a>(profile: &'a Profile, readings: &[Reading], name: &str) -> Option<&'a ColumnProfile> {
    let reading = readings.iter().find(|reading| reading.column == name);
    profile.column(reading.map_or(name, |reading| reading.derived.as_str()))
}

/// Gives every column its role.
pub(super) async fn assign(
    sample: &Sample<'_>,
    mut source: Source,
    typed: Typed,
    options: &InferOptions,
) -> Result<InferredSource, Trouble> {
    let Typed { written, doubts, mut notes, .. } = typed;
    let mut readings = read_written(&mut source, written, &mut notes);
    notes.extend(doubts.iter().map(|(name, doubt)| format!("`{name}` {doubt}")));
    let first = look(sample, &source, vec![]).await?;
    source.event_time = time(&mut source, &first.profile, options, &doubts, &mut readings, &mut notes)?;
    let tried = key_candidates(&source, &first.profile, options);
    // Once more, with the time as a timestamp and the keys tried.
    let looked = look(sample, &source, tried).await?;
    let profile = &looked.profile;
    source.key = key(&source, &looked, options, &mut notes)?;
    let label = label(&source, profile, &readings, options, &mut notes)?;
    for column in &mut source.columns {
        let must = source.key.contains(&column.name) || source.event_time.as_ref() == Some(&column.name);
        column.nullable = !must;
    }
    let (inputs, left_out) = inputs(&mut source, profile, &readings, &label);
    if inputs.is_empty() {
        let why: Vec<String> = left_out.iter().map(|(name, why)| format!("`{name}` {why}")).collect();
        return Err(Trouble::Roles(format!(
            "no column is left to predict `{}` from: {}",
            label.column,
            why.join("; ")
        )));
    }
    notes.extend(notes_of(&left_out));
    source.checks = checks(&source, profile, &readings);
    let Parted { split, gate, notes: parted } = part(sample, &source, &label).await?;
    notes.extend(parted);
    Ok(InferredSource { source, profile: looked.profile, label, inputs, left_out, split, gate, notes })
}

/// Derives what texts say that are written in the way of one country.
fn read_written(source: &mut Source, written: Vec<(String, Written)>, notes: &mut Vec<String>) -> Vec<Reading> {
    let mut readings = Vec::with_capacity(written.len());
    for (column, written) in written {
        let quoted = sql_name(&column);
        let (ending, data_type, sql, how) = match written {
            Written::Time(format) => {
                // `to_timestamp` with a format gives another type than it promises, and is refused by the engine
                let sql = format!("to_timestamp_seconds(to_unixtime({quoted}, {}))", sql_text(&format));
                ("at", DataType::Timestamp, sql, format!("times of the format {format}, in UTC"))
            }
            Written::DecimalComma => {
                let sql = format!("CAST(replace({quoted}, ',', '.') AS DOUBLE)");
                ("number", DataType::Float64, sql, "numbers with a decimal comma".to_owned())
            }
        };
        let name = free_name(source, &format!("{}_{ending}", mainspring_spec::mended_name(&column)));
        notes.push(format!("read `{column}` as {how}: `{name}` is derived from it"));
        source.derive.push(derived(name.clone(), data_type, sql));
        readings.push(Reading { column, derived: name, data_type });
    }
    readings
}

/// The columns that a model is not given and could have been, by the reason.
fn notes_of(left_out: &[(String, String)]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, why) in left_out {
        if why == NAMES_THE_ROW || why == IS_THE_TIME {
            continue;
        }
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, names)) => names.push(name.clone()),
            None => reasons.push((why.as_str(), vec![name.clone()])),
        }
    }
    reasons.iter().map(|(why, names)| format!("left {} out of the inputs: {why}", read::list(names))).collect()
}

/// The sample's rows with the declared types, as an ingest would land them.
pub(super) struct Rows {
    plan: Plan,
    casts: Vec<Cast>,
    opened: Opened,
    left: u64,
}

impl Rows {
    pub async fn open(sample: &Sample<'_>, source: &Source) -> Result<Self, Trouble> {
        let roles = |error: crate::Error| Trouble::Roles(error.to_string());
        let plan =
            Plan::compile(source, &SessionContext::new().state(), &std::collections::BTreeMap::new()).map_err(roles)?;
        let names = source.columns.iter().map(|column| column.name.clone()).collect();
        let opened = read::open(sample.file, sample.format, &sample.wanted(Some(names), &source.csv)).await?;
        let casts = plan.casts(&opened.schema)?;
        Ok(Self { plan, casts, opened, left: sample.rows(source.columns.len()) })
    }

    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, Trouble> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(raw) = self.opened.batches.next().await else { return Ok(None) };
        let judged = judge(&self.plan, &self.casts, raw?)?;
        let read = judged.batch.num_rows() + judged.faults.len();
        self.left = self.left.saturating_sub(read as u64);
        Ok(Some(judged.batch))
    }
}

/// Reads the sample with the declared types, and profiles its rows.
async fn look(sample: &Sample<'_>, source: &Source, tried: Vec<Vec<String>>) -> Result<Looked, Trouble> {
    let mut sampled = Rows::open(sample, source).await?;
    let profiler = Profiler::start(crate::file::empty_sketch(&sampled.plan));
    let start = |columns| Tried { columns, seen: KeySet::default(), repeats: 0 };
    let mut tried: Vec<Tried> = tried.into_iter().map(start).collect();
    let mut rows = 0;
    while let Some(batch) = sampled.next_batch().await? {
        rows += batch.num_rows() as u64;
        tried.iter_mut().for_each(|tried| tried.see(&batch));
        profiler.update(&batch).await;
    }
    let sketch = profiler.finish().await.map_err(Trouble::Roles)?;
    Ok(Looked { profile: sketch.profile(), tried, rows })
}

/// Settles the event time; a date is declared a timestamp, seconds or milliseconds since 1970 are derived into one.
fn time(
    source: &mut Source,
    profile: &Profile,
    options: &InferOptions,
    doubts: &[(String, String)],
    readings: &mut Vec<Reading>,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Trouble> {
    let known: &[Reading] = readings;
    let is_complete = |name: &str| seen(profile, known, name).is_some_and(|column| column.nulls == 0);
    let is_time = |name: &str| {
        let data_type = seen(profile, known, name).map(|column| column.data_type);
        matches!(data_type, Some(DataType::Timestamp | DataType::Date))
    };
    let of_something_else = |name: &str| {
        let name = name.to_lowercase();
        ["birth", "dob", "expir", "due", "end_", "_end", "update"].iter().any(|word| name.contains(word))
    };
    let guessed = || {
        let mut candidates = source.columns.iter().map(|column| &column.name).filter(|name| is_time(name));
        candidates.find(|name| is_complete(name) && !of_something_else(name)).cloned()
    };
    let Some(name) = options.time.clone().or_else(guessed) else { return Ok(None) };
    if options.time.is_none() {
        notes.push(format!("took `{name}` for the time of a row; name another with --time"));
    }
    let wrong = |why: String| Trouble::Roles(format!("`{name}` cannot be the time of a row: {why}"));
    let profiled = seen(profile, known, &name).ok_or_else(|| wrong("there is no such column".into()))?;
    if profiled.nulls > 0 {
        return Err(wrong(format!("{} rows have none", profiled.nulls)));
    }
    let read = known.iter().find(|reading| reading.column == name && reading.data_type == DataType::Timestamp);
    if let Some(reading) = read {
        return Ok(Some(reading.derived.clone()));
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
            readings.push(Reading { column: name, derived: at.clone(), data_type: DataType::Timestamp });
            Ok(Some(at))
        }
        other => Err(wrong(match doubts.iter().find(|(column, _)| *column == name) {
            Some((_, doubt)) => format!("it {doubt}"),
            None => format!(
                "it is {other}; write times as RFC 3339, for example 2013-01-31T17:00:00Z, or all as 31/01/2013 or as 31.01.2013 17:00"
            ),
        })),
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

fn key_candidates(source: &Source, profile: &Profile, options: &InferOptions) -> Vec<Vec<String>> {
    if !options.key.is_empty() {
        return vec![options.key.clone()];
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
    candidates.map(|column| vec![column.name.clone()]).take(KEY_CANDIDATES_MAX).collect()
}

fn key(
    source: &Source,
    looked: &Looked,
    options: &InferOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, Trouble> {
    if !options.key.is_empty() {
        check_key(looked, options)?;
        return Ok(options.key.clone());
    }
    match looked.tried.iter().find(|tried| tried.repeats == 0 && looked.rows > 1) {
        Some(tried) => {
            notes.push(format!(
                "took {} for the key, as no two rows agree in it; name another with --key",
                read::list(&tried.columns)
            ));
            Ok(tried.columns.clone())
        }
        None => {
            notes.push(format!(
                "no column names a row of `{}`: files are only added; name the key with --key",
                source.name
            ));
            Ok(vec![])
        }
    }
}

/// Refuses a key that does not name each row: of two rows with one key only one stays.
fn check_key(looked: &Looked, options: &InferOptions) -> Result<(), Trouble> {
    let named = read::list(&options.key);
    let wrong = |why: String| Err(Trouble::Roles(format!("{named} cannot be the key: {why}")));
    let rows = looked.rows;
    if let Some(label) = options.label.as_ref().filter(|label| options.key.contains(label)) {
        return wrong(format!("`{label}` is the label, which nobody knows when a row is named; name another column"));
    }
    let nulls = |name: &String| looked.profile.column(name).map_or(0, |column| column.nulls);
    if let Some(name) = options.key.iter().find(|name| nulls(name) > 0) {
        return wrong(format!(
            "{} of {rows} rows have no `{name}`; fill it in, name another column, or leave --key out",
            nulls(name)
        ));
    }
    match looked.tried.iter().map(|tried| tried.repeats).sum::<u64>() {
        0 => Ok(()),
        repeats => wrong(format!(
            "of {rows} rows only {} would stay, for of rows that agree in it the last replaces the others; name columns in which no two rows agree (--key may be repeated), or leave --key out; if rows are meant to replace each other, write `key:` into the source afterwards",
            rows.saturating_sub(repeats)
        )),
    }
}

fn label(
    source: &Source,
    profile: &Profile,
    readings: &[Reading],
    options: &InferOptions,
    notes: &mut Vec<String>,
) -> Result<Label, Trouble> {
    let is_free = |name: &str| {
        !source.key.iter().any(|key| key == name)
            && source.event_time.as_deref() != Some(name)
            && options.time.as_deref() != Some(name)
    };
    let predictable =
        |name: &&str| is_free(name) && seen(profile, readings, name).is_some_and(|column| task_of(column).is_ok());
    let name = match &options.label {
        Some(name) => name.as_str(),
        None => {
            let names = || source.columns.iter().map(|column| column.name.as_str());
            let named = names().filter(|name| LABEL_NAMES.contains(&name.to_lowercase().as_str()));
            let found = named.chain(names().rev()).find(predictable);
            let found =
                found.ok_or_else(|| Trouble::Roles("no column can be predicted; name one with --label".into()))?;
            notes.push(format!("took `{found}` for what to predict; name another with --label"));
            found
        }
    };
    let column = seen(profile, readings, name).ok_or_else(|| Trouble::Roles(format!("there is no column `{name}`")))?;
    let task = task_of(column).map_err(|why| Trouble::Roles(format!("`{name}` cannot be predicted: {why}")))?;
    let quoted = sql_name(&column.name);
    let (sql, meaning) = match (task, column.data_type) {
        (Task::Binary, DataType::Bool) => (quoted, format!("Whether `{name}` is true")),
        (Task::Binary, DataType::String) => {
            let yes = positive(column);
            (format!("{quoted} = {}", sql_text(&yes)), format!("Whether `{name}` is {yes}"))
        }
        (Task::Binary, _) => {
            let most = column.max.as_ref().map(ToString::to_string).unwrap_or_default();
            (format!("{quoted} = {most}"), format!("Whether `{name}` is {most}"))
        }
        (Task::Multiclass, DataType::String) => (quoted, format!("Which `{name}` it is")),
        (Task::Multiclass, _) => (format!("cast({quoted} as varchar)"), format!("Which `{name}` it is")),
        (Task::Regression, _) => (quoted, format!("How much `{name}` is")),
    };
    Ok(Label { column: name.to_owned(), sql, task, meaning })
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

/// Why a column of the key is no input.
const NAMES_THE_ROW: &str = "names the row";
/// Why the column of the event time is no input.
const IS_THE_TIME: &str = "is the time";

type LeftOut = Vec<(String, String)>;

/// Settles what a model is given. A column with a name that the prediction log needs is derived under another.
fn inputs(source: &mut Source, profile: &Profile, readings: &[Reading], label: &Label) -> (Vec<String>, LeftOut) {
    let (mut inputs, mut left_out) = (Vec::new(), Vec::new());
    for column in source.columns.clone() {
        let name = &column.name;
        let Some(seen) = profile.column(name) else { continue };
        let rows = seen.count + seen.nulls;
        let reading = readings.iter().find(|reading| &reading.column == name);
        let read_as = reading.map_or(column.data_type, |reading| reading.data_type);
        let is_time = |name: &String| source.event_time.as_ref() == Some(name);
        let why = if name == &label.column {
            continue;
        } else if source.key.contains(name) {
            NAMES_THE_ROW
        } else if is_time(name) || reading.is_some_and(|reading| is_time(&reading.derived)) {
            IS_THE_TIME
        } else if matches!(read_as, DataType::Timestamp | DataType::Date) {
            "is a time; compute what matters of it in a feature view"
        } else if seen.distinct == 0 {
            "has no values"
        } else if seen.distinct == 1 && seen.nulls == 0 {
            "has only one value"
        } else if read_as == DataType::String && (seen.distinct > CATEGORIES_MAX || seen.distinct * 2 > rows.max(20)) {
            "has too many different texts to learn from"
        } else {
            if let Some(reading) = reading {
                inputs.push(reading.derived.clone());
            } else if PREDICTION_LOG_COLUMNS.contains(&name.as_str()) {
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

fn checks(source: &Source, profile: &Profile, readings: &[Reading]) -> Vec<Check> {
    let mut checks = vec![Check { row_count: Some(RowCountRule { min: Some(1), max: None }), ..nothing() }];
    let mut complete = Vec::new();
    let mut checked = 0;
    for column in &source.columns {
        let Some(seen) = profile.column(&column.name) else { continue };
        if seen.nulls == 0 && column.nullable && complete.len() < CHECKED_COLUMNS_MAX {
            complete.push(column.name.clone());
        }
        // What is read as something else has other values the next day.
        let is_read = readings.iter().any(|reading| reading.column == column.name);
        if checked == CHECKED_COLUMNS_MAX || source.key.contains(&column.name) || is_read {
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
