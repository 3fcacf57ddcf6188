//! Comparisons of 32-bit floats, as comparisons of 64-bit ones.

/// The number `b` for which `x < b` holds of a 64-bit float exactly when `(x as f32) < t` does.
///
/// Rounding goes to the nearer of two neighbours, so it turns halfway between `t` and the float before it; halfway itself
/// goes to the one whose last bit is 0.
pub(super) fn less_than_single(t: f32) -> f64 {
    let before = t.next_down();
    let halfway = if before.is_infinite() {
        // below the least float, rounding turns where the next one would lie if there were one
        f64::from(t) - (f64::from(f32::MAX) - f64::from(f32::MAX.next_down())) / 2.0
    } else {
        f64::midpoint(f64::from(before), f64::from(t))
    };
    if t.to_bits() & 1 == 0 { halfway } else { halfway.next_up() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agrees(t: f32, x: f64) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what is tested")]
        let rounded = x as f32;
        (rounded < t) == (x < less_than_single(t))
    }

    #[test]
    fn the_ends_of_the_range_turn_where_rounding_does() {
        for t in [0.0, -0.0, f32::MIN, f32::MAX, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1e-45, -1e-45, 1.0, -1.0] {
            let turn = less_than_single(t);
            for x in [turn, turn.next_up(), turn.next_down(), f64::from(t), f64::from(t).next_down(), 0.0, -0.0] {
                assert!(agrees(t, x), "{t:e} and {x:e}");
            }
            assert!(agrees(t, f64::INFINITY) && agrees(t, f64::NEG_INFINITY) && agrees(t, f64::NAN));
        }
    }

    proptest! {
        #[test]
        fn comparing_with_the_turn_is_rounding_and_comparing(bits in any::<u32>(), steps in -3i64..4, x in any::<f64>()) {
            let t = f32::from_bits(bits);
            prop_assume!(t.is_finite());
            let turn = less_than_single(t);
            let near = f64::from_bits(turn.to_bits().wrapping_add_signed(steps));
            prop_assert!(agrees(t, near) && agrees(t, x) && agrees(t, turn));
        }
    }
}
