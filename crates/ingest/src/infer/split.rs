//! How rows are parted, and what a new version is judged by: so that training meets every class, and the test measures it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use mainspring_spec::{Gate, Source, Split, SplitBy, Task};

use super::roles::{Rows, Trouble};
use super::{Label, Sample, sql_name};
use crate::keys::{Key, Keys};

/// Of fewer rows of a class no metric says anything: nothing is judged by them.
const JUDGED_MIN: u64 = 10;
/// Of so many rows of a class a draw leaves some in the test: all but one time in a thousand, when it takes a fifth.
const DRAWN_MIN: u64 = 30;

/// The parts, and the measure.
#[derive(Debug)]
pub(super) struct Parted {
    pub split: Split,
    pub gate: Option<Gate>,
    pub notes: Vec<String>,
}

/// Settles the split and the gate by where in the sample each class of the label stands.
pub(super) async fn part(sample: &Sample<'_>, source: &Source, label: &Label) -> Result<Parted, Trouble> {
    let is_timed = source.event_time.is_some();
    if label.task == Task::Regression {
        let by = if is_timed { SplitBy::Time } else { SplitBy::Random };
        return Ok(Parted { split: Split { by, ..Split::default() }, gate: Some(gate("r2", 0.02)), notes: vec![] });
    }
    let classes = count(labels(sample, source, label).await?);
    Ok(decide(label, is_timed, &classes))
}

/// The class of each row of the sample with its time, which is 0 when rows have none.
async fn labels(sample: &Sample<'_>, source: &Source, label: &Label) -> Result<Vec<(i64, Key)>, Trouble> {
    let mut narrow = source.clone();
    narrow.columns.retain(|column| {
        let name = &column.name;
        name == &label.column
            || source.event_time.as_ref() == Some(name)
            || source.derive.iter().any(|derived| derived.sql.contains(&sql_name(name)))
    });
    narrow.key.clear();
    narrow.checks.clear();
    let mut rows = Rows::open(sample, &narrow).await?;
    let mut found = Vec::new();
    while let Some(batch) = rows.next_batch().await? {
        let Some(labels) = batch.column_by_name(&label.column) else { continue };
        let keys = Keys::of(&[Arc::clone(labels)]);
        let times = source.event_time.as_ref().and_then(|name| batch.column_by_name(name));
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let at = |row: usize| times.map_or(0, |times| times.value(row));
        found.extend((0..keys.len()).filter_map(|row| Some((at(row), keys.get(row)?))));
    }
    Ok(found)
}

/// The rows of one class: all of them, and those that training and test have when the last fifth in time is the test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Class {
    all: u64,
    train: u64,
    test: u64,
}

fn count(mut rows: Vec<(i64, Key)>) -> Vec<Class> {
    rows.sort_unstable_by_key(|(at, _)| *at);
    // As a split by time rounds and cuts.
    let nth =
        |rows: &[(i64, Key)], tenths: usize| rows.get((rows.len() * tenths + 5) / 10).map_or(i64::MAX, |(at, _)| *at);
    let test_from = nth(&rows, 8);
    let learned = rows.partition_point(|(at, _)| *at < test_from);
    let validation_from = nth(rows.get(..learned).unwrap_or_default(), 9).min(test_from);
    let mut classes: HashMap<Key, Class> = HashMap::new();
    for (at, key) in &rows {
        let class = classes.entry(*key).or_default();
        class.all += 1;
        class.train += u64::from(*at < validation_from);
        class.test += u64::from(*at >= test_from);
    }
    classes.into_values().collect()
}

fn decide(label: &Label, is_timed: bool, classes: &[Class]) -> Parted {
    let name = &label.column;
    let is_binary = label.task == Task::Binary;
    let rarest = classes.iter().map(|class| class.all).min().unwrap_or(0);
    let is_rare = is_binary && rarest < JUDGED_MIN;
    let counts = |class: &Class| class.all >= JUDGED_MIN;
    let untrained = classes.iter().any(|class| class.train == 0 && (is_binary || counts(class)))
        || classes.iter().filter(|class| class.train > 0).count() < 2;
    let untested = classes.iter().any(|class| class.test == 0 && counts(class));
    let mut notes = Vec::new();
    let by = if is_timed && !untrained && !untested { SplitBy::Time } else { SplitBy::Random };
    if is_timed && by == SplitBy::Random {
        let part = if untrained { "earlier rows" } else { "last fifth of the rows" };
        notes.push(format!(
            "the rows are split at random and not by time, as the {part} do not hold every value of `{name}`; with more rows, write `by: time` in the model"
        ));
    }
    let gate = match label.task {
        Task::Binary if is_rare => {
            notes.push(format!(
                "no gate judges a new version, as only {rarest} rows are of the rarer value of `{name}`; add one in the model once there are more"
            ));
            None
        }
        Task::Binary if by == SplitBy::Random && rarest < DRAWN_MIN => {
            notes.push(format!(
                "the gate is on log_loss and not on auc, as only {rarest} rows are of the rarer value of `{name}` and a test drawn at random may have none of them"
            ));
            Some(gate("log_loss", 0.05))
        }
        Task::Binary => Some(gate("auc", 0.01)),
        Task::Multiclass | Task::Regression => Some(gate("log_loss", 0.05)),
    };
    // Of so few rows each that the test draws is one that training does without.
    let split = match by {
        SplitBy::Random if is_rare => Split { by, test: 0.1, validation: 0.0, ..Split::default() },
        by => Split { by, ..Split::default() },
    };
    Parted { split, gate, notes }
}

/// A new version may be so much worse than the one in use.
fn gate(metric: &str, worse: f64) -> Gate {
    Gate { metric: metric.to_owned(), min: None, max: None, worse_than_champion_by_at_most: Some(worse) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(task: Task) -> Label {
        Label { column: "y".into(), sql: "y".into(), task, meaning: String::new() }
    }

    /// What is decided of rows, one at each moment, whose class is 1 where `is_one` says so.
    fn decided(rows: i64, is_timed: bool, is_one: impl Fn(i64) -> bool) -> (SplitBy, Option<String>, usize) {
        let rows = (0..rows).map(|at| (at, Key::Narrow(u64::from(is_one(at))))).collect();
        let Parted { split, gate, notes } = decide(&label(Task::Binary), is_timed, &count(rows));
        (split.by, gate.map(|gate| gate.metric), notes.len())
    }

    #[test]
    fn rows_are_counted_as_a_split_by_time_cuts_them() {
        let rows = (0..1_000).map(|at| (at, Key::Narrow(0))).collect();

        assert_eq!(count(rows), [Class { all: 1_000, train: 720, test: 200 }]);
    }

    #[test]
    fn a_class_that_the_last_fifth_lacks_is_drawn_for() {
        assert_eq!(decided(300, true, |at| at % 3 == 0), (SplitBy::Time, Some("auc".into()), 0));
        assert_eq!(decided(300, true, |at| at < 100), (SplitBy::Random, Some("auc".into()), 1));
        assert_eq!(decided(300, true, |at| at < 20), (SplitBy::Random, Some("log_loss".into()), 2));
        assert_eq!(decided(300, true, |at| at >= 250), (SplitBy::Random, Some("auc".into()), 1));
        assert_eq!(decided(300, false, |at| at % 3 == 0), (SplitBy::Random, Some("auc".into()), 0));
    }

    #[test]
    fn too_few_rows_of_a_class_judge_nothing_and_still_train() {
        // Both early: training by time has them for certain.
        assert_eq!(decided(300, true, |at| at < 2), (SplitBy::Time, None, 1));
        // Both late: by time, training would have none.
        assert_eq!(decided(300, true, |at| at >= 298), (SplitBy::Random, None, 2));
        assert_eq!(decided(300, false, |at| at < 2), (SplitBy::Random, None, 1));
    }
}
