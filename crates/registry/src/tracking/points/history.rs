//! Histories in order: the spine of a series with its late points merged in.

use std::iter::Peekable;
use std::ops::Bound::{Excluded, Included};

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::seek::{FIRST, LAST};
use super::store::{failed, key, place_of_key, points_of};
use super::{Point, PointStore};
use crate::Result;

/// Where a page of a history by time ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryCursor {
    /// The last point of the spine, by step.
    spine: Option<Place>,
    /// The last late point, by time.
    late: Option<Place>,
}

/// A page of a history in the order of time, step and value.
#[derive(Debug)]
pub struct HistoryPage {
    /// The points.
    pub points: Vec<Point>,
    /// Where the next page starts, if there is one.
    pub next: Option<HistoryCursor>,
}

impl HistoryPage {
    /// A page of points that lie in no store; they count as late.
    pub(crate) fn of(mut points: Vec<Point>, after: HistoryCursor, limit: usize) -> Self {
        points.sort_unstable_by_key(Point::time_place);
        points.retain(|point| after.late.is_none_or(|after| after < point.time_place()));
        let is_more = points.len() > limit;
        points.truncate(limit);
        let late = points.last().map(Point::time_place);
        Self { points, next: is_more.then_some(HistoryCursor { spine: None, late }) }
    }
}

impl PointStore {
    /// Points in the order of step, after one of them or from the start.
    pub(crate) fn history(&self, series: u64, after: Option<Point>, limit: usize) -> Result<Vec<Point>> {
        let after = after.map(|point| point.place());
        let spine = self.spine(series, after, LAST);
        let late = self.late(series, after, LAST);
        merged(spine, late, Point::place).map(|point| point.map(|(point, _)| point)).take(limit).collect()
    }

    /// The points whose step is in a range, in the order of step, lazily.
    pub(super) fn within(&self, series: u64, (from, to): (i64, i64)) -> impl Iterator<Item = Result<Point>> + use<> {
        let (from, to) = ((from, i64::MIN, 0), (to, i64::MAX, u64::MAX));
        // a place of no point: its value's bits are those of no number
        let spine = self.spine(series, Some(from), to);
        let late = self.late(series, Some(from), to);
        merged(spine, late, Point::place).map(|point| point.map(|(point, _)| point))
    }

    /// A page in the order of time.
    pub(crate) fn by_time(&self, series: u64, after: HistoryCursor, limit: usize) -> Result<HistoryPage> {
        let spine = self.spine(series, after.spine, LAST);
        let range = (Excluded(key(series, after.late.unwrap_or(FIRST))), Included(key(series, LAST)));
        let late = self.late_by_time.range(range).map(|guard| place(guard).map(Point::at_time_place));
        let mut merged = merged(spine, late, Point::time_place);
        let mut points = Vec::new();
        let mut cursor = after;
        for point in merged.by_ref().take(limit) {
            let (point, strand) = point?;
            match strand {
                Strand::Spine => cursor.spine = Some(point.place()),
                Strand::Late => cursor.late = Some(point.time_place()),
            }
            points.push(point);
        }
        let is_more = merged.next().transpose()?.is_some();
        Ok(HistoryPage { points, next: is_more.then_some(cursor) })
    }

    /// The spine behind a place, up to an end.
    fn spine(&self, series: u64, after: Option<Place>, end: Place) -> impl Iterator<Item = Result<Point>> + use<> {
        let after = after.unwrap_or(FIRST);
        let at = key(series, after);
        let around = self.chunks.range(key(series, FIRST)..=at).next_back();
        let behind = self.chunks.range((Excluded(at), Included(key(series, end))));
        let chunks = around.into_iter().chain(behind).map(points_of);
        let points = Spine { chunks, open: vec![].into_iter() };
        let is_in = move |point: &Result<Point>| point.as_ref().map_or(true, |point| point.place() <= end);
        points.skip_while(move |point| point.as_ref().is_ok_and(|point| point.place() <= after)).take_while(is_in)
    }

    /// The late points behind a place, by step.
    fn late(&self, series: u64, after: Option<Place>, end: Place) -> impl Iterator<Item = Result<Point>> + use<> {
        let range = (Excluded(key(series, after.unwrap_or(FIRST))), Included(key(series, end)));
        self.late.range(range).map(|guard| place(guard).map(Point::at_place))
    }
}

fn place(guard: fjall::Guard) -> Result<Place> {
    place_of_key(&guard.key().map_err(failed("reading"))?)
}

/// The points of chunks, one by one.
struct Spine<I> {
    chunks: I,
    open: std::vec::IntoIter<Point>,
}

impl<I: Iterator<Item = Result<Vec<Point>>>> Iterator for Spine<I> {
    type Item = Result<Point>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(point) = self.open.next() {
                return Some(Ok(point));
            }
            match self.chunks.next()? {
                Ok(points) => self.open = points.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Which of the two a point was read from.
#[derive(Debug, Clone, Copy)]
enum Strand {
    Spine,
    Late,
}

struct Merged<A: Iterator, B: Iterator> {
    spine: Peekable<A>,
    late: Peekable<B>,
    order: fn(&Point) -> Place,
}

/// Two ordered readings as one.
fn merged<A, B>(spine: A, late: B, order: fn(&Point) -> Place) -> Merged<A, B>
where
    A: Iterator<Item = Result<Point>>,
    B: Iterator<Item = Result<Point>>,
{
    Merged { spine: spine.peekable(), late: late.peekable(), order }
}

impl<A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = Result<Point>>,
    B: Iterator<Item = Result<Point>>,
{
    type Item = Result<(Point, Strand)>;

    fn next(&mut self) -> Option<Self::Item> {
        let late_is_next = match (self.spine.peek(), self.late.peek()) {
            (Some(Ok(spine)), Some(Ok(late))) => (self.order)(late) < (self.order)(spine),
            (Some(_), Some(Ok(_)) | None) => false,
            // an error ends the reading, wherever it is
            (None, _) | (_, Some(Err(_))) => true,
        };
        if late_is_next {
            self.late.next().map(|point| point.map(|point| (point, Strand::Late)))
        } else {
            self.spine.next().map(|point| point.map(|point| (point, Strand::Spine)))
        }
    }
}
