//! Points of a metric, and their two orders: by step, then time, then value; and by time, then step, then value.

/// One value of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// The iteration.
    pub step: i64,
    /// When it was measured, in milliseconds since 1970 as clients write it.
    pub at_ms: i64,
    /// The value; NaN and infinities are values like others.
    pub value: f64,
}

/// Where a point stands in one of the orders. The value is its bits, turned so that they order as numbers do.
pub(super) type Place = (i64, i64, u64);

/// Bytes of a place.
pub(super) const PLACE_BYTES: usize = 24;

impl Point {
    /// What orders points: the last in this order is the metric's latest value, by MLflow's rule of highest step, time and
    /// value. NaN is behind all numbers, so that the order is total.
    #[must_use]
    pub fn place(&self) -> (i64, i64, u64) {
        (self.step, self.at_ms, ordered_bits(self.value))
    }

    /// The point that stands at a place.
    pub(super) fn at_place((step, at_ms, bits): Place) -> Self {
        Self { step, at_ms, value: value_of(bits) }
    }

    /// What orders points by time: the order of MLflow's histories.
    pub(crate) fn time_place(&self) -> (i64, i64, u64) {
        let (step, at_ms, value) = self.place();
        (at_ms, step, value)
    }

    pub(super) fn at_time_place((at_ms, step, value): Place) -> Self {
        Self::at_place((step, at_ms, value))
    }

    pub(super) fn to_bytes(self) -> [u8; PLACE_BYTES] {
        place_bytes(self.place())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        place_of(bytes).map(Self::at_place)
    }
}

/// A place as bytes that order as places do.
pub(super) fn place_bytes((first, second, value): Place) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    for (part, number) in bytes.chunks_exact_mut(8).zip([ordered(first), ordered(second), value]) {
        part.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// The place that bytes begin with.
pub(super) fn place_of(bytes: &[u8]) -> Option<Place> {
    let part = |from: usize| Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
    Some((unordered(part(0)?), unordered(part(8)?), part(16)?))
}

/// The sign bit turned, so that bytes order as numbers do.
fn ordered(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

fn unordered(bits: u64) -> i64 {
    (bits ^ (1 << 63)).cast_signed()
}

/// Negative numbers are turned over, others lifted above them; every NaN is one, behind all.
fn ordered_bits(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn value_of(bits: u64) -> f64 {
    if bits == u64::MAX {
        return f64::NAN;
    }
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            Just(0.0),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::NAN),
            Just(f64::MIN_POSITIVE)
        ]
    }

    pub(in super::super) fn point() -> impl Strategy<Value = Point> {
        (any::<i64>(), any::<i64>(), number()).prop_map(|(step, at_ms, value)| Point { step, at_ms, value })
    }

    proptest! {
        #[test]
        fn bytes_read_back_and_order_as_points_do(a in point(), b in point()) {
            let back = Point::from_bytes(&a.to_bytes()).unwrap();
            prop_assert_eq!((back.step, back.at_ms), (a.step, a.at_ms));
            prop_assert!(back.value.to_bits() == a.value.to_bits() || (back.value.is_nan() && a.value.is_nan()));
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.place().cmp(&b.place()));
            prop_assert_eq!(Point::at_time_place(a.time_place()).place(), a.place());
        }

        #[test]
        fn values_order_as_numbers_do_with_nan_last(a in number(), b in number()) {
            let expected = match (a.is_nan(), b.is_nan()) {
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) => std::cmp::Ordering::Greater,
                (false, true) => std::cmp::Ordering::Less,
                (false, false) => a.total_cmp(&b),
            };
            prop_assert_eq!(ordered_bits(a).cmp(&ordered_bits(b)), expected);
        }
    }
}
