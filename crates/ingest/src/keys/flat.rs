//! A set of 64-bit keys in one flat array.
//!
//! Ten million keys are 128 MB and do not fit a cache, so each key costs a trip to memory, about 100 ns when it is waited
//! for. Here it is one trip (a hash table with its marks apart makes two), and [`FlatSet::fetch`] makes those of several
//! keys at once: it reads where each would be, which no read before has to be waited for, and leaves them in the cache.

use super::key::spread;

/// Slots of the smallest table.
const SLOTS_MIN: usize = 64;

/// A set of 64-bit keys: open addressing, each key in the first free slot from its home on.
#[derive(Debug, Clone, Default)]
pub(super) struct FlatSet {
    /// None, or a power of two of which at most two thirds are taken; 0 is a free slot.
    slots: Vec<u64>,
    taken: usize,
    /// The key that looks like a free slot.
    has_zero: bool,
}

impl FlatSet {
    pub fn len(&self) -> usize {
        self.taken + usize::from(self.has_zero)
    }

    pub fn contains(&self, key: u64) -> bool {
        match key {
            0 => self.has_zero,
            _ => self.slots.get(self.place(key)).is_some_and(|slot| *slot == key),
        }
    }

    /// Puts a key in; `false` when it was there.
    pub fn insert(&mut self, key: u64) -> bool {
        if key == 0 {
            return !std::mem::replace(&mut self.has_zero, true);
        }
        self.reserve(1);
        let place = self.place(key);
        match self.slots.get_mut(place) {
            Some(slot) if *slot != key => {
                *slot = key;
                self.taken += 1;
                true
            }
            _ => false,
        }
    }

    /// Makes room for so many more keys. Room that is never used stays without memory.
    pub fn reserve(&mut self, more: usize) {
        let needed = self.taken + more;
        if needed * 3 <= self.slots.len() * 2 {
            return;
        }
        let slots = (needed * 3 / 2 + 1).next_power_of_two().max(SLOTS_MIN);
        let before = std::mem::replace(&mut self.slots, vec![0; slots]);
        for key in before.into_iter().filter(|key| *key != 0) {
            let place = self.place(key);
            if let Some(slot) = self.slots.get_mut(place) {
                *slot = key;
            }
        }
    }

    /// Brings where these keys are, or would be, into the cache.
    pub fn fetch(&self, keys: &[u64]) {
        let fetched = keys.iter().fold(0, |all, key| all | self.slots.get(self.home(*key)).copied().unwrap_or(0));
        std::hint::black_box(fetched);
    }

    /// The keys, in no order.
    pub fn into_keys(self) -> impl Iterator<Item = u64> {
        self.slots.into_iter().filter(|key| *key != 0).chain(self.has_zero.then_some(0))
    }

    fn home(&self, key: u64) -> usize {
        spread(key) as usize & self.slots.len().wrapping_sub(1)
    }

    /// Where a key is, or would be put. Ends, as there is always a free slot.
    fn place(&self, key: u64) -> usize {
        let mut place = self.home(key);
        while self.slots.get(place).is_some_and(|slot| *slot != 0 && *slot != key) {
            place = (place + 1) & (self.slots.len() - 1);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_flat_set_says_what_a_plain_set_says(keys in proptest::collection::vec(0_u64..500, 0..1_000)) {
            let (mut flat, mut plain) = (FlatSet::default(), HashSet::new());
            for key in keys {
                flat.fetch(&[key]);
                prop_assert_eq!(flat.contains(key), plain.contains(&key));
                prop_assert_eq!(flat.insert(key), plain.insert(key));
                prop_assert_eq!(flat.len(), plain.len());
            }
            prop_assert_eq!(flat.into_keys().collect::<HashSet<_>>(), plain);
        }
    }

    #[test]
    fn room_made_before_holds_as_many_as_it_was_made_for() {
        let mut flat = FlatSet::default();
        flat.reserve(100_000);
        let room = flat.slots.len();

        assert!((0..100_000_u64).all(|key| flat.insert(key << 32)));

        assert_eq!((flat.slots.len(), flat.len()), (room, 100_000));
    }
}
