//! A history thinned out: at most so many points, spread over the whole of it, first and last among them.
//!
//! A short series is read whole and every n-th point taken, as MLflow does. A long one is not: points are sought at places
//! spread evenly between the first and the last, one seek each, so that the cost depends on what is asked for and not on
//! what is there. Where steps are spread unevenly a long series then gives fewer points than asked for, never more.

use super::seek::Seeker;
use super::{Point, PointStore};
use crate::Result;

/// Up to so many points a series is read whole: some milliseconds.
const READ_WHOLE: usize = 10_000;

impl PointStore {
    /// At most `most` points of a series whose step lies in a range.
    pub(crate) fn sample(&self, series: u64, steps: (i64, i64), most: usize) -> Result<Vec<Point>> {
        let enough = READ_WHOLE.max(most);
        let read: Vec<Point> = self.within(series, steps).take(enough + 1).collect::<Result<_>>()?;
        if read.len() <= enough {
            return Ok(every_nth(&read, most));
        }
        self.spread(series, steps, most)
    }

    /// The same by seeking alone.
    pub(super) fn spread(&self, series: u64, steps: (i64, i64), most: usize) -> Result<Vec<Point>> {
        let Some(first) = self.within(series, steps).next().transpose()? else { return Ok(vec![]) };
        let mut seeker = Seeker::of(self, series);
        let end = (steps.1, i64::MAX, u64::MAX);
        let Some(last) = seeker.at_or_before(end)? else { return Ok(vec![]) };
        if most == 1 {
            return Ok(vec![last]);
        }
        let mut sampled = vec![first];
        for part in 1..most {
            let place = between(&first, &last, part, most - 1);
            let Some(found) = seeker.at_or_after(place.place(), end)? else { break };
            if sampled.last().is_none_or(|before| before.place() < found.place()) {
                sampled.push(found);
            }
        }
        Ok(sampled)
    }
}

/// Points at even distances, the first and the last among them; of one, the last.
pub(crate) fn every_nth(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let last = points.len() - 1;
    let spaces = most.saturating_sub(1).max(1);
    let chosen = (0..most).map(|part| if most == 1 { last } else { part * last / spaces });
    chosen.filter_map(|index| points.get(index).copied()).collect()
}

/// The place a part of the way from one point to another: by step, or by time if all steps are one, or by value.
fn between(first: &Point, last: &Point, part: usize, of: usize) -> Point {
    if part == of {
        return *last;
    }
    let way = |from: i64, to: i64| {
        let distance = i128::from(to) - i128::from(from);
        let gone = distance * part as i128 / of.max(1) as i128;
        i64::try_from(i128::from(from) + gone).unwrap_or(to)
    };
    if first.step != last.step {
        Point { step: way(first.step, last.step), at_ms: i64::MIN, value: f64::NEG_INFINITY }
    } else if first.at_ms != last.at_ms {
        Point { step: first.step, at_ms: way(first.at_ms, last.at_ms), value: f64::NEG_INFINITY }
    } else {
        #[expect(clippy::cast_precision_loss, reason = "a place between, no exact one")]
        let value = first.value + (last.value - first.value) * (part as f64 / of.max(1) as f64);
        Point { value, ..*first }
    }
}
