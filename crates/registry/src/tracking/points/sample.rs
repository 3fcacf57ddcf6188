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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::place::Place;
    use super::*;

    fn places(points: &[Point]) -> Vec<Place> {
        points.iter().map(Point::place).collect()
    }

    /// Writes a spine in chunks of some length, and points beside it.
    fn write(store: &PointStore, series: u64, spine: &[Point], of: usize, late: &[Point]) {
        let mut batch = store.begin();
        spine.chunks(of).for_each(|points| batch.add_chunk(series, points));
        late.iter().for_each(|point| batch.add_late(series, point));
        batch.commit().unwrap();
    }

    /// What [`PointStore::spread`] gives, picked from a whole history.
    fn picked(history: &[Point], most: usize) -> Vec<Place> {
        let (Some(first), Some(last)) = (history.first(), history.last()) else { return vec![] };
        if most == 1 {
            return vec![last.place()];
        }
        let sought = (1..most).map(|part| between(first, last, part, most - 1).place());
        let found = sought.filter_map(|place| history.iter().map(Point::place).find(|found| place <= *found));
        let mut picked: Vec<Place> = std::iter::once(first.place()).chain(found).collect();
        picked.dedup();
        picked
    }

    /// A history in order: how far each point is from the one before, by step and by time.
    fn spine() -> impl Strategy<Value = Vec<Point>> {
        proptest::collection::vec((0_i64..200, 1_i64..200, -9_i32..9), 0..80).prop_map(|far| {
            let (mut step, mut at_ms) = (-1_000, 0);
            let point = |(steps, ms, value): (i64, i64, i32)| {
                (step, at_ms) = (step + steps, at_ms + ms);
                Point { step, at_ms, value: value.into() }
            };
            far.into_iter().map(point).collect()
        })
    }

    fn late() -> impl Strategy<Value = Vec<Point>> {
        let point = (-2_000_i64..9_000).prop_map(|step| Point { step, at_ms: -1, value: 0.5 });
        prop_oneof![Just(vec![]), proptest::collection::vec(point, 1..5)]
    }

    #[test]
    fn a_sample_is_picked_from_the_whole_history() {
        let folder = tempfile::tempdir().unwrap();
        let store = PointStore::open(&folder.path().join("points")).unwrap();
        let series = std::cell::Cell::new(0);
        let check = |(spine, late, of, from, most): (Vec<Point>, Vec<Point>, usize, i64, usize)| {
            series.set(series.get() + 1);
            write(&store, series.get(), &spine, of, &late);
            for steps in [(i64::MIN, i64::MAX), (from, from + 3_000)] {
                let mut history = [&*spine, &*late].concat();
                history.retain(|point| (steps.0..=steps.1).contains(&point.step));
                history.sort_by_key(Point::place);
                history.dedup_by_key(|point| point.place());
                let sampled = store.spread(series.get(), steps, most).unwrap();
                prop_assert_eq!(places(&sampled), picked(&history, most));
                let sampled = store.sample(series.get(), steps, most).unwrap();
                prop_assert_eq!(places(&sampled), places(&every_nth(&history, most)));
            }
            Ok(())
        };

        let cases = (spine(), late(), 1_usize..20, -2_000_i64..9_000, 1_usize..40);
        proptest::test_runner::TestRunner::default().run(&cases, check).unwrap();
    }

    #[test]
    fn a_long_history_is_sampled_in_memory_on_disk_and_when_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("points");
        let store = PointStore::open(&folder).unwrap();
        let point =
            |step: i32| Point { step: (step * 3).into(), at_ms: (step * 20).into(), value: f64::from(step).sin() };
        let history: Vec<Point> = (0..30_000).map(point).collect();
        write(&store, 1, &history, 1_000, &[]);
        let check = |store: &PointStore| {
            for most in [1, 2, 320, 2_500] {
                let sampled = store.sample(1, (i64::MIN, i64::MAX), most).unwrap();
                assert_eq!(places(&sampled), picked(&history, most), "{most}");
            }
        };

        check(&store);
        store.chunks.rotate_memtable_and_wait().unwrap();
        check(&store);
        drop(store);
        check(&PointStore::open(&folder).unwrap());
    }
}
