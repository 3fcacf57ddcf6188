//! Points that came together, packed: what is kept of a step and a time is how far it is from the one before.
//!
//! Arithmetic: a thousand points of successive steps are some 11 KB, most of it their values, and take some 10 µs to pack
//! and as long to read.

use super::Point;
use super::place::Place;

/// The most points of a chunk: what is read for the sake of one of them.
pub(super) const CHUNK_POINTS_MAX: usize = 1_024;
/// Bits of a byte that are payload; the highest says that more bytes follow.
const PAYLOAD_BITS: u32 = 7;
const MORE: u8 = 1 << PAYLOAD_BITS;

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
    let mut place: Place = (0, 0, 0);
    while !bytes.is_empty() {
        let step = place.0.wrapping_add(take(&mut bytes)?);
        let at = place.1.wrapping_add(take(&mut bytes)?);
        place = (step, at, u64::from_le_bytes(*bytes.split_off(..8)?.as_array()?));
        points.push(Point::at_place(place));
    }
    Some(points)
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
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
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
        fn a_chunk_that_was_cut_short_is_no_chunk(points in proptest::collection::vec(point(), 1..5), cut in 1_usize..8) {
            let packed = pack(&points);

            prop_assert!(unpack(&packed[..packed.len() - cut]).is_none());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _points_or_not = unpack(&bytes);
        }
    }

    #[test]
    fn a_thousand_successive_points_are_small() {
        let points: Vec<Point> = (0..1_000).map(|step| Point { step, at_ms: step * 20, value: 0.5 }).collect();

        assert!(pack(&points).len() < 10_100, "{}", pack(&points).len());
    }
}
