//! Points sought by their place, one after another.

use std::ops::Bound::{Excluded, Included};

use super::place::Place;
use super::store::{failed, key, place_of_key, points_of};
use super::{Point, PointStore};
use crate::Result;

/// The last place of all.
pub(super) const LAST: Place = (i64::MAX, i64::MAX, u64::MAX);
/// The first.
pub(super) const FIRST: Place = (i64::MIN, i64::MIN, 0);

/// Looks for points of one series, and keeps the chunk it looked into last: who asks for one point often asks for its
/// neighbour next.
pub(super) struct Seeker<'a> {
    store: &'a PointStore,
    series: u64,
    chunk: Vec<Point>,
    has_late: bool,
}

impl<'a> Seeker<'a> {
    pub(super) fn of(store: &'a PointStore, series: u64) -> Self {
        let has_late = store.late.range(key(series, FIRST)..=key(series, LAST)).next().is_some();
        Self { store, series, chunk: Vec::new(), has_late }
    }

    /// Whether there is a point at a place.
    pub(super) fn has(&mut self, place: Place) -> Result<bool> {
        self.open(place)?;
        if self.chunk.binary_search_by_key(&place, Point::place).is_ok() {
            return Ok(true);
        }
        if !self.has_late {
            return Ok(false);
        }
        self.store.late.contains_key(key(self.series, place)).map_err(failed("reading"))
    }

    /// The first point at or behind a place, and before the end.
    pub(super) fn at_or_after(&mut self, place: Place, end: Place) -> Result<Option<Point>> {
        self.open(place)?;
        let at = self.chunk.partition_point(|point| point.place() < place);
        let of_spine = match self.chunk.get(at) {
            Some(point) => Some(point.place()),
            // a chunk's key is its first point
            None => first(self.store.chunks.range((Excluded(key(self.series, place)), Included(self.key(end)))))?,
        };
        let of_late = match self.has_late {
            true => first(self.store.late.range(self.key(place)..=self.key(end)))?,
            false => None,
        };
        let found = of_spine.into_iter().chain(of_late).min();
        Ok(found.filter(|place| *place <= end).map(Point::at_place))
    }

    /// The last point at or before a place.
    pub(super) fn at_or_before(&mut self, place: Place) -> Result<Option<Point>> {
        self.open(place)?;
        let at = self.chunk.partition_point(|point| point.place() <= place);
        let of_spine = at.checked_sub(1).and_then(|at| self.chunk.get(at)).map(Point::place);
        let of_late = match self.has_late {
            true => first(self.store.late.range(key(self.series, FIRST)..=self.key(place)).rev())?,
            false => None,
        };
        Ok(of_spine.max(of_late).map(Point::at_place))
    }

    /// Opens the chunk that begins at or before a place and is the last of these; none if there is none.
    fn open(&mut self, place: Place) -> Result<()> {
        let is_within = |first: &Point, last: &Point| first.place() <= place && place <= last.place();
        if self.chunk.first().zip(self.chunk.last()).is_some_and(|(first, last)| is_within(first, last)) {
            return Ok(());
        }
        let before = self.store.chunks.range(key(self.series, FIRST)..=self.key(place)).next_back();
        self.chunk = before.map(points_of).transpose()?.unwrap_or_default();
        Ok(())
    }

    fn key(&self, place: Place) -> [u8; super::store::KEY_BYTES] {
        key(self.series, place)
    }
}

fn first(mut guards: impl Iterator<Item = fjall::Guard>) -> Result<Option<Place>> {
    let key = guards.next().map(fjall::Guard::key).transpose().map_err(failed("reading"))?;
    key.map(|key| place_of_key(&key)).transpose()
}
