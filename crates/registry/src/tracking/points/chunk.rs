//! Points that came together, packed: what is kept of a step and a time is how far it is from the one before.
//!
//! Arithmetic: a thousand points of successive steps are some 10 KB, most of it their values, and take some 10 µs to pack
//! and 5 µs to unpack. Who looks for one of them unpacks none: places are read on the way to it, 3 µs for a thousand.

use fjall::UserValue;

use super::Point;
use super::place::Place;

/// The most points of a chunk: what is read for the sake of one of them.
pub(super) const CHUNK_POINTS_MAX: usize = 1_024;
/// Bits of a byte that are payload; the highest says that more bytes follow.
const PAYLOAD_BITS: u32 = 7;
const MORE: u8 = 1 << PAYLOAD_BITS;
/// The bytes of most points: one each for the step and the time, and the value.
const POINT_BYTES_MIN: usize = 2 + size_of::<u64>();
/// What the first point of a chunk is measured from.
const ORIGIN: Place = (0, 0, 0);

/// Packs points in the order of their places.
pub(super) fn pack(points: &[Point]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * 12 + 16);
    let (mut step_before, mut at_before) = (0, 0);
    for point in points {
        let (step, at, value) = point.place();
        put(&mut bytes, step.wrapping_sub(step_before));
        put(&mut bytes, at.wrapping_sub(at_before));
        bytes.extend(value.to_le_bytes());
        (step_before, at_before) = (step, at);
    }
    bytes
}

/// The points of a chunk; `None` when it is damaged.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<Point>> {
    let mut points = Vec::with_capacity((bytes.len() / 10).min(CHUNK_POINTS_MAX));
    let mut place = ORIGIN;
    while !bytes.is_empty() {
        place = next(&mut bytes, place)?;
        points.push(Point::at_place(place));
    }
    Some(points)
}

/// A chunk in which places are sought: it is read no further than to them, and from one on to the next behind it.
pub(super) struct Chunk {
    packed: UserValue,
    first: Place,
    /// How many of its bytes were read, and the last place of these.
    read: usize,
    last: Place,
}

/// The neighbours of a place in a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    /// The last one before it.
    pub(super) before: Option<Place>,
    /// The first one at or behind it.
    pub(super) at: Option<Place>,
}

impl Chunk {
    pub(super) fn of(first: Place, packed: UserValue) -> Self {
        Self { packed, first, read: 0, last: ORIGIN }
    }

    /// The place of its first point.
    pub(super) fn first(&self) -> Place {
        self.first
    }

    /// What is around a place; `None` when the chunk is damaged.
    pub(super) fn around(&mut self, place: Place) -> Option<Around> {
        if place <= self.last {
            // it may have been passed
            (self.read, self.last) = (0, ORIGIN);
        }
        let (mut bytes, mut last, mut at) = (self.packed.get(self.read..)?, self.last, None);
        while !bytes.is_empty() {
            let mut behind = bytes;
            let found = next(&mut behind, last)?;
            if place <= found {
                at = Some(found);
                break;
            }
            (bytes, last) = (behind, found);
        }
        (self.read, self.last) = (self.packed.len() - bytes.len(), last);
        Some(Around { before: (self.read > 0).then_some(last), at })
    }
}

/// The place behind another.
#[inline]
fn next(bytes: &mut &[u8], before: Place) -> Option<Place> {
    // nearly all are a byte of step and a byte of time from the one before
    let (step, at, value) = if let Some((&[step, at, ref value @ ..], behind)) =
        bytes.split_first_chunk::<POINT_BYTES_MIN>()
        && (step | at) & MORE == 0
    {
        *bytes = behind;
        (signed(step.into()), signed(at.into()), *value)
    } else {
        (take(bytes)?, take(bytes)?, *bytes.split_off(..8)?.as_array()?)
    };
    Some((before.0.wrapping_add(step), before.1.wrapping_add(at), u64::from_le_bytes(value)))
}

/// Writes a number so that small ones, of either sign, are short.
fn put(bytes: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= u64::from(MORE) {
        bytes.push(left.to_le_bytes()[0] | MORE);
        left >>= PAYLOAD_BITS;
    }
    bytes.push(left.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(PAYLOAD_BITS as usize) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & !MORE) << shift;
        if byte & MORE == 0 {
            return Some(signed(number));
        }
    }
    None
}

fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::place::tests::point;
    use super::*;

    fn places(points: &[Point]) -> Vec<Place> {
        points.iter().map(Point::place).collect()
    }

    proptest! {
        #[test]
        fn points_come_back_as_they_were_packed(points in proptest::collection::vec(point(), 0..50)) {
            prop_assert_eq!(places(&unpack(&pack(&points)).unwrap()), places(&points));
        }

        #[test]
        fn places_are_found_in_any_order(
            mut points in proptest::collection::vec(point(), 0..50),
            others in proptest::collection::vec(point(), 0..20),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 1..30),
        ) {
            points.sort_by_key(Point::place);
            points.dedup_by_key(|point| point.place());
            let places = places(&points);
            let mut chunk = Chunk::of(ORIGIN, pack(&points).into());

            let sought: Vec<Place> = places.iter().copied().chain(others.iter().map(Point::place)).collect();
            for place in order.iter().filter(|_| !sought.is_empty()).map(|index| *index.get(&sought)) {
                let at = places.partition_point(|other| *other < place);
                let before = at.checked_sub(1).map(|before| places[before]);
                prop_assert_eq!(chunk.around(place), Some(Around { before, at: places.get(at).copied() }));
            }
        }

        #[test]
        fn a_chunk_that_was_cut_short_is_no_chunk(points in proptest::collection::vec(point(), 1..5), cut in 1_usize..8) {
            let packed = pack(&points);

            prop_assert!(unpack(&packed[..packed.len() - cut]).is_none());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _points_or_not = unpack(&bytes);
            let _place_or_not = Chunk::of(ORIGIN, bytes.into()).around((i64::MAX, i64::MAX, u64::MAX));
        }
    }

    #[test]
    fn a_thousand_successive_points_are_small() {
        let points: Vec<Point> = (0..1_000).map(|step| Point { step, at_ms: step * 20, value: 0.5 }).collect();

        assert!(pack(&points).len() < 10_100, "{}", pack(&points).len());
    }
}
