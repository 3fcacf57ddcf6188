//! The identifiers of predictions: UUIDs of version 7 (RFC 9562), ordered by time and within a request by row.
//!
//! One random number a request, from a generator of the thread that is seeded once by the system: asking the system for
//! each row's bits takes longer than scoring the row.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use uuid::{Builder, Uuid};

thread_local! {
    static RANDOM: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

/// Identifiers for the rows of a request at a moment, in microseconds since 1970.
pub(crate) fn identifiers(at: i64, rows: usize) -> Vec<Uuid> {
    let millis = u64::try_from(at.div_euclid(1_000)).unwrap_or(0);
    // the part of the millisecond, in 4096ths: the first 12 bits behind it
    let part = u16::try_from(at.rem_euclid(1_000) * 4_096 / 1_000).unwrap_or(0);
    // the upper bit stays free, so that counting the rows on never starts anew from 0
    let first = RANDOM.with_borrow_mut(|random| random.next_u64()) >> 3;
    (first..)
        .take(rows)
        .map(|number| {
            let mut bytes = [0; 10];
            bytes[..2].copy_from_slice(&part.to_be_bytes());
            bytes[2..].copy_from_slice(&number.to_be_bytes());
            Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_of_version_7_ordered_and_never_the_same() {
        let at = 1_764_158_400_123_456;
        let first = identifiers(at, 1_000);
        let later = identifiers(at + 1, 1_000);

        assert!(first.iter().chain(&later).all(|id| id.get_version_num() == 7));
        assert!(first.is_sorted());
        assert!(first.last() < later.first());
        let (seconds, nanos) = first[0].get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos / 1_000_000), (1_764_158_400, 123));
        let mut all: Vec<Uuid> = (0..1_000).flat_map(|_| identifiers(at, 3)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3_000);
    }

    #[test]
    fn moments_before_1970_do_not_stop_it() {
        assert_eq!(identifiers(-1, 2).len(), 2);
    }
}
