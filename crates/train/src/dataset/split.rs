//! Which rows are learned from, which say when to stop, and which are kept for the test.

use jiff::Timestamp;
use mainspring_spec::{Model, SplitBy};

use crate::{Error, Result};

/// The parts, as they are numbered in frames and written in tables.
pub(crate) const TRAIN: u8 = 0;
pub(crate) const VALIDATION: u8 = 1;
pub(crate) const TEST: u8 = 2;
/// Rows before the test whose label was not known when the test began: nobody could have learned from them.
pub(crate) const PURGED: u8 = 3;

/// The name of a part in the table.
pub(crate) fn part_name(part: u8) -> &'static str {
    match part {
        TRAIN => "train",
        VALIDATION => "validation",
        TEST => "test",
        _ => "purged",
    }
}

/// What a row's part is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Microseconds; 0 when rows have no time.
    pub(crate) at: i64,
    /// When the label became known; none when nobody can say.
    pub(crate) label_known_at: Option<i64>,
    /// A hash of the row's name, or of the group's value.
    pub(crate) hash: u64,
}

/// The rule that parts rows; the same rows always get the same parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Splitter {
    /// By the moment: validation from one on, test from another.
    Time { validation_from: i64, test_from: i64 },
    /// By a hash that is as good as a draw: test below one bound, validation below the next.
    Hash { test_below: u128, validation_below: u128 },
}

impl Splitter {
    /// Finds the bounds that give each part its share of these rows.
    pub(crate) fn new(model: &Model, rows: &[Row]) -> Result<Self> {
        let split = &model.split;
        let wrong = |reason: &str| Err(Error::Split { model: model.name.clone(), reason: reason.into() });
        if !(0.0..1.0).contains(&split.test) || !(0.0..1.0).contains(&split.validation) {
            return wrong("`split.test` and `split.validation` are shares: write them from 0 up to, but without, 1");
        }
        match split.by {
            SplitBy::Time if model.observations.at.is_none() => {
                wrong("it is split by time, but its rows have none; give `observations.at`, or split at random")
            }
            SplitBy::Time => {
                let test_from = match &split.test_from {
                    Some(text) => match text.parse::<Timestamp>() {
                        Ok(moment) => moment.as_microsecond(),
                        Err(_) => return wrong("`split.test_from` is no RFC 3339 time, as 2013-07-01T00:00:00Z"),
                    },
                    None => nth_of(rows.iter().map(|row| row.at), 1.0 - split.test),
                };
                // The latest rows of those that may be learned from.
                let learned = rows.iter().filter(|row| row.at < test_from && is_known(row, test_from));
                let validation_from = nth_of(learned.map(|row| row.at), 1.0 - split.validation).min(test_from);
                Ok(Self::Time { validation_from, test_from })
            }
            SplitBy::Group if split.column.is_none() => {
                wrong("it is split by group, but no group is named; give `split.column`")
            }
            SplitBy::Group | SplitBy::Random => {
                let mut hashes: Vec<u64> = rows.iter().map(|row| row.hash).collect();
                hashes.sort_unstable();
                if split.by == SplitBy::Group {
                    hashes.dedup();
                }
                Ok(Self::by_shares(&hashes, split.test, split.validation))
            }
        }
    }

    /// `hashes` in ascending order.
    fn by_shares(hashes: &[u64], test: f64, validation: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let count = |of: usize, share: f64| (of as f64 * share).round() as usize;
        let tests = count(hashes.len(), test);
        let validations = count(hashes.len() - tests, validation);
        let bound = |rows: usize| hashes.get(rows).map_or(u128::MAX, |hash| u128::from(*hash));
        Self::Hash { test_below: bound(tests), validation_below: bound(tests + validations) }
    }

    /// The part of a row.
    pub(crate) fn part(self, row: &Row) -> u8 {
        match self {
            Self::Time { test_from, .. } if row.at >= test_from => TEST,
            Self::Time { test_from, .. } if !is_known(row, test_from) => PURGED,
            Self::Time { validation_from, .. } if row.at >= validation_from => VALIDATION,
            Self::Hash { test_below, .. } if u128::from(row.hash) < test_below => TEST,
            Self::Hash { validation_below, .. } if u128::from(row.hash) < validation_below => VALIDATION,
            Self::Time { .. } | Self::Hash { .. } => TRAIN,
        }
    }

    /// From when on rows are the test.
    pub(crate) fn test_from(self) -> Option<Timestamp> {
        match self {
            Self::Time { test_from, .. } => Timestamp::from_microsecond(test_from).ok(),
            Self::Hash { .. } => None,
        }
    }
}

fn is_known(row: &Row, at: i64) -> bool {
    row.label_known_at.is_some_and(|known| known <= at)
}

/// The least moment that at least this share of the moments lie before; beyond all of them when the share is 1.
fn nth_of(moments: impl Iterator<Item = i64>, share: f64) -> i64 {
    let mut sorted: Vec<i64> = moments.collect();
    sorted.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let nth = (sorted.len() as f64 * share).round() as usize;
    sorted.get(nth).copied().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn model(split: serde_json::Value) -> Model {
        serde_json::from_value(json!({
            "model": "m", "task": "binary", "features": [], "trainer": { "constant": {} },
            "observations": { "from": "t", "label": "y", "at": "at" }, "split": split
        }))
        .unwrap()
    }

    fn timed(count: i64, known_after: i64) -> Vec<Row> {
        (0..count).map(|at| Row { at, label_known_at: Some(at + known_after), hash: 0 }).collect()
    }

    fn count(splitter: Splitter, rows: &[Row], part: u8) -> usize {
        rows.iter().filter(|row| splitter.part(row) == part).count()
    }

    #[test]
    fn time_parts_by_share_in_order() {
        let rows = timed(1_000, 0);
        let splitter = Splitter::new(&model(json!({ "by": "time", "test": 0.2, "validation": 0.1 })), &rows).unwrap();

        assert_eq!([TRAIN, VALIDATION, TEST, PURGED].map(|part| count(splitter, &rows, part)), [720, 80, 200, 0]);
        assert_eq!(splitter, Splitter::Time { validation_from: 720, test_from: 800 });
    }

    #[test]
    fn a_label_that_becomes_known_after_the_test_began_is_not_learned_from() {
        let rows = timed(1_000, 50);
        let splitter = Splitter::new(&model(json!({ "by": "time", "test": 0.2, "validation": 0.0 })), &rows).unwrap();

        assert_eq!([TRAIN, VALIDATION, TEST, PURGED].map(|part| count(splitter, &rows, part)), [751, 0, 200, 49]);
        for row in &rows {
            let learned = splitter.part(row) == TRAIN;
            assert!(!learned || row.label_known_at.unwrap() <= 800, "{row:?}");
        }
        let never = Row { at: 3, label_known_at: None, hash: 0 };
        assert_eq!(splitter.part(&never), PURGED);
    }

    #[test]
    fn a_named_moment_parts_where_it_says() {
        let rows = timed(100, 0);
        let split = json!({ "by": "time", "test_from": "1970-01-01T00:00:00.000040Z", "validation": 0.5 });
        let splitter = Splitter::new(&model(split), &rows).unwrap();

        assert_eq!([TRAIN, VALIDATION, TEST].map(|part| count(splitter, &rows, part)), [20, 20, 60]);
    }

    #[test]
    fn rows_of_one_moment_stay_together() {
        let rows: Vec<Row> = (0..100).map(|row| Row { at: row / 50, label_known_at: Some(0), hash: 0 }).collect();
        let splitter = Splitter::new(&model(json!({ "by": "time", "test": 0.2, "validation": 0.0 })), &rows).unwrap();

        assert_eq!(count(splitter, &rows, TEST), 50);
    }

    #[test]
    fn what_cannot_be_split_says_why() {
        for (split, said) in [
            (json!({ "by": "time", "test_from": "July" }), "RFC 3339"),
            (json!({ "by": "group" }), "split.column"),
            (json!({ "by": "random", "test": 1.0 }), "shares"),
            (json!({ "by": "random", "validation": -0.1 }), "shares"),
        ] {
            let error = Splitter::new(&model(split), &[]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn shares_of_distinct_hashes_are_exact(
            hashes in proptest::collection::btree_set(any::<u64>(), 10..200), test in 0.0f64..0.9, validation in 0.0f64..0.9,
        ) {
            let rows: Vec<Row> = hashes.iter().map(|hash| Row { at: 0, label_known_at: None, hash: *hash }).collect();
            let split = json!({ "by": "random", "test": test, "validation": validation });

            let splitter = Splitter::new(&model(split), &rows).unwrap();

            let tests = (rows.len() as f64 * test).round() as usize;
            let validations = ((rows.len() - tests) as f64 * validation).round() as usize;
            prop_assert_eq!(count(splitter, &rows, TEST), tests);
            prop_assert_eq!(count(splitter, &rows, VALIDATION), validations);
        }

        #[test]
        fn a_group_is_never_parted(groups in proptest::collection::vec(0u64..8, 1..200)) {
            let rows: Vec<Row> = groups
                .iter()
                .map(|group| Row { at: 0, label_known_at: None, hash: group.wrapping_mul(0x9e37_79b9_7f4a_7c15) })
                .collect();
            let splitter = Splitter::new(&model(json!({ "by": "group", "column": "g" })), &rows).unwrap();

            for a in &rows {
                for b in &rows {
                    prop_assert!(a.hash != b.hash || splitter.part(a) == splitter.part(b));
                }
            }
        }
    }
}
