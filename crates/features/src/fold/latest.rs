//! The fold of SQL views: the latest row that had happened and was known.

use super::Tail;
use crate::value::Value;

/// Takes the latest row: the greatest event time at or before the moment, among rows known by then; of equals, the one
/// known last, then the one of the greatest row id.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestFold {
    /// The payload column of each feature.
    pub columns: Vec<usize>,
    /// The greatest age of a row in microseconds; an older one reads as null.
    pub ttl: Option<i64>,
}

impl LatestFold {
    pub(crate) fn at(&self, tail: &Tail, at: i64, out: &mut Vec<Value>) -> bool {
        let row = latest(tail, at, self.ttl);
        out.extend(self.columns.iter().map(|&column| row.map_or(Value::Null, |row| tail.value(column, row))));
        row.is_some()
    }
}

/// The place of the latest row at a moment.
pub(crate) fn latest(tail: &Tail, at: i64, ttl: Option<i64>) -> Option<usize> {
    let happened = tail.happened(None, at);
    let row = if tail.hindsight() { happened.rev().find(|&row| tail.known(row, at))? } else { happened.last()? };
    fresh(tail.event_time(row), at, ttl).then_some(row)
}

/// Whether a row of this event time is young enough at the moment. An age of exactly the limit is.
#[inline]
pub(crate) fn fresh(event_time: i64, at: i64, ttl: Option<i64>) -> bool {
    ttl.is_none_or(|ttl| at.saturating_sub(event_time) <= ttl)
}

#[cfg(test)]
mod tests {
    use mainspring_spec::DataType;

    use super::*;

    fn tail(rows: &[(i64, i64)]) -> Tail {
        let mut tail = Tail::new([DataType::Int64]);
        for (index, &(event_time, known_at)) in rows.iter().enumerate() {
            tail.push(event_time, known_at, &[Value::Int(i64::try_from(index).unwrap())]);
        }
        tail
    }

    #[test]
    fn row_not_yet_known_gives_way_to_the_one_before() {
        let tail = tail(&[(10, 10), (20, 50), (30, 60)]);

        assert_eq!(latest(&tail, 9, None), None);
        assert_eq!(latest(&tail, 49, None), Some(0));
        assert_eq!(latest(&tail, 50, None), Some(1));
        assert_eq!(latest(&tail, 60, None), Some(2));
    }

    #[test]
    fn of_equal_event_times_the_one_known_last_wins() {
        let tail = tail(&[(10, 10), (10, 12), (10, 12)]);

        assert_eq!(latest(&tail, 11, None), Some(0));
        assert_eq!(latest(&tail, 12, None), Some(2));
    }

    #[test]
    fn row_as_old_as_its_time_to_live_still_counts() {
        let tail = tail(&[(10, 10)]);

        assert_eq!(latest(&tail, 15, Some(5)), Some(0));
        assert_eq!(latest(&tail, 16, Some(5)), None);
    }

    #[test]
    fn row_known_before_it_happens_waits_for_its_time() {
        let tail = tail(&[(10, 10), (20, 5)]);

        assert_eq!(latest(&tail, 19, None), Some(0));
        assert_eq!(latest(&tail, 20, None), Some(1));
    }
}
