//! How many requests an endpoint lets in at once. There is no waiting room: a caller who waits in ours cannot decide to go
//! elsewhere, and a queue that is never empty only adds its length to every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The requests under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    inside: Arc<AtomicU32>,
}

/// A place inside; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    inside: Arc<AtomicU32>,
}

impl Admission {
    /// Takes a place, unless `most` are taken.
    pub(crate) fn enter(&self, most: u32) -> Option<Permit> {
        // Counting first and looking after never lets in one too many; two that meet at the bound may both be refused.
        if self.inside.fetch_add(1, Ordering::AcqRel) >= most {
            self.inside.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Permit { inside: Arc::clone(&self.inside) })
    }

    /// How many places are taken.
    pub(crate) fn inside(&self) -> u32 {
        self.inside.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_bound_get_in_and_places_come_back() {
        let admission = Admission::default();

        let first = admission.enter(2).unwrap();
        let second = admission.enter(2).unwrap();
        assert!(admission.enter(2).is_none());
        drop(first);
        assert!(admission.enter(2).is_some());

        assert_eq!(admission.inside(), 1);
        drop(second);
        assert_eq!(admission.inside(), 0);
    }
}
