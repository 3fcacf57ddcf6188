//! Points sought by their place, one after another.

use std::ops::Bound::{Excluded, Included};

use super::chunk::{Around, Chunk};
use super::place::Place;
use super::store::{chunk_of, damaged_chunk, failed, key, place_of_key};
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
    chunk: Option<Chunk>,
    has_late: bool,
}

impl<'a> Seeker<'a> {
    pub(super) fn of(store: &'a PointStore, series: u64) -> Self {
        let has_late = store.late.range(key(series, FIRST)..=key(series, LAST)).next().is_some();
        Self { store, series, chunk: None, has_late }
    }

    /// Whether there is a point at a place.
    pub(super) fn has(&mut self, place: Place) -> Result<bool> {
        if self.around(place)?.at == Some(place) {
            return Ok(true);
        }
        if !self.has_late {
            return Ok(false);
        }
        self.store.late.contains_key(key(self.series, place)).map_err(failed("reading"))
    }

    /// The first point at or behind a place, and before the end.
    pub(super) fn at_or_after(&mut self, place: Place, end: Place) -> Result<Option<Point>> {
        let of_spine = match self.around(place)?.at {
            Some(at) => Some(at),
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
        let Around { before, at } = self.around(place)?;
        let of_spine = at.filter(|at| *at == place).or(before);
        let of_late = match self.has_late {
            true => first(self.store.late.range(key(self.series, FIRST)..=self.key(place)).rev())?,
            false => None,
        };
        Ok(of_spine.max(of_late).map(Point::at_place))
    }

    /// What is around a place in the chunk that begins at or before it and is the last of these.
    fn around(&mut self, place: Place) -> Result<Around> {
        if let Some(chunk) = self.chunk.as_mut().filter(|chunk| chunk.first() <= place) {
            let around = chunk.around(place).ok_or_else(damaged_chunk)?;
            // if the chunk ends before the place, another may begin between the two
            if around.at.is_some() {
                return Ok(around);
            }
        }
        let begun = self.store.chunks.range(key(self.series, FIRST)..=self.key(place)).next_back();
        let Some(begun) = begun else { return Ok(Around::default()) };
        self.chunk.insert(chunk_of(begun)?).around(place).ok_or_else(damaged_chunk)
    }

    fn key(&self, place: Place) -> [u8; super::store::KEY_BYTES] {
        key(self.series, place)
    }
}

fn first(mut guards: impl Iterator<Item = fjall::Guard>) -> Result<Option<Place>> {
    let key = guards.next().map(fjall::Guard::key).transpose().map_err(failed("reading"))?;
    key.map(|key| place_of_key(&key)).transpose()
}
