//! Sets of keys.
//!
//! Ten million integer keys cost 80 MB when they come in order and 130 MB when they do not, while they are checked, and
//! nothing afterwards.

use std::collections::HashSet;
use std::ops::Range;

use super::flat::FlatSet;
use super::key::{Key, KeyHash, Keys};

/// Keys whose places are fetched from memory at once: as many reads as a core has under way, a few times over.
const FETCHED: usize = 64;
/// Keys out of order that are kept beside those in order before all go into one table: at least so many...
const STRAYS_MIN: usize = 1_024;
/// ...and one of so many.
const STRAYS_SHARE: usize = 32;

/// A set of keys.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    narrow: Narrow,
    wide: HashSet<u128, KeyHash>,
}

/// Integers and times mostly come in order. A value above all before it is new without a look at them, so it is only
/// appended: 8 bytes and no hashing, and a file of ascending ids never touches the hash table.
#[derive(Debug, Clone)]
enum Narrow {
    /// Few came after a greater one.
    InOrder {
        /// Strictly ascending; holds the greatest of all.
        ascending: Vec<i64>,
        strays: FlatSet,
    },
    Mixed(FlatSet),
}

impl Default for Narrow {
    fn default() -> Self {
        Self::InOrder { ascending: vec![], strays: FlatSet::default() }
    }
}

impl Narrow {
    fn contains(&self, value: u64) -> bool {
        match self {
            Self::InOrder { ascending, strays } => {
                let is_above = ascending.last().is_none_or(|last| value.cast_signed() > *last);
                !is_above && (ascending.binary_search(&value.cast_signed()).is_ok() || strays.contains(value))
            }
            Self::Mixed(all) => all.contains(value),
        }
    }

    fn insert(&mut self, value: u64) -> bool {
        match self {
            Self::InOrder { ascending, strays } => {
                let signed = value.cast_signed();
                if ascending.last().is_none_or(|last| signed > *last) {
                    ascending.push(signed);
                    return true;
                }
                let is_new = ascending.binary_search(&signed).is_err() && strays.insert(value);
                if strays.len() > STRAYS_MIN + ascending.len() / STRAYS_SHARE {
                    *self = mixed(std::mem::take(ascending), std::mem::take(strays));
                }
                is_new
            }
            Self::Mixed(all) => all.insert(value),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::InOrder { ascending, strays } => ascending.len() + strays.len(),
            Self::Mixed(all) => all.len(),
        }
    }
}

fn mixed(ascending: Vec<i64>, strays: FlatSet) -> Narrow {
    let mut all = strays;
    all.reserve(ascending.len());
    for value in ascending {
        all.insert(value.cast_unsigned());
    }
    Narrow::Mixed(all)
}

impl KeySet {
    /// Whether a key is in the set.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        match key {
            Key::Narrow(value) => self.narrow.contains(value),
            Key::Wide(value) => self.wide.contains(&value),
        }
    }

    /// Puts a key in; `false` when it was there.
    pub fn insert(&mut self, key: Key) -> bool {
        match key {
            Key::Narrow(value) => self.narrow.insert(value),
            Key::Wide(value) => self.wide.insert(value),
        }
    }

    /// Puts the keys of a batch in, in the order of its rows, but for those that are in this set or the other; gives the
    /// rows of these.
    pub fn insert_new(&mut self, keys: &Keys, other: &Self) -> Vec<usize> {
        let mut repeats = Vec::new();
        for start in (0..keys.len()).step_by(FETCHED) {
            let rows = start..keys.len().min(start + FETCHED);
            self.fetch(keys, rows.clone());
            other.fetch(keys, rows.clone());
            for row in rows {
                let Some(key) = keys.get(row) else { continue };
                if other.contains(key) || !self.insert(key) {
                    repeats.push(row);
                }
            }
        }
        repeats
    }

    fn fetch(&self, keys: &Keys, rows: Range<usize>) {
        if let Narrow::Mixed(all) = &self.narrow {
            all.fetch(keys.integers(rows));
        }
    }

    /// Makes room for so many keys like this one, so that the table is not built anew as it grows.
    pub fn reserve(&mut self, like: Key, keys: usize) {
        match (like, &mut self.narrow) {
            // The room is for keys that turn out not to be in order.
            (Key::Narrow(_), Narrow::InOrder { strays: table, .. } | Narrow::Mixed(table)) => table.reserve(keys),
            (Key::Wide(_), _) => self.wide.reserve(keys),
        }
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.narrow.len() + self.wide.len()
    }

    /// Takes in another set's keys; the smaller one is moved.
    pub fn absorb(&mut self, mut other: Self) {
        if other.len() > self.len() {
            std::mem::swap(self, &mut other);
        }
        let (ascending, rest) = match other.narrow {
            Narrow::InOrder { ascending, strays } => (ascending, strays),
            Narrow::Mixed(all) => (vec![], all),
        };
        for value in ascending.into_iter().map(i64::cast_unsigned).chain(rest.into_keys()) {
            self.narrow.insert(value);
        }
        self.wide.extend(other.wide);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn narrow(value: i64) -> Key {
        Key::Narrow(value.cast_unsigned())
    }

    /// In order, then back and forth: first a few strays, then so many that the set changes its ways.
    fn shuffled() -> Vec<i64> {
        let ascending = (-5_000..5_000).map(|value| value * 3);
        let mixed = (0..20_000).map(|step| (step * 7_919) % 30_011 - 15_000);
        ascending.chain([0, 1, 1, i64::MIN, i64::MAX]).chain(mixed).collect()
    }

    #[test]
    fn a_set_says_what_a_plain_set_says_in_any_order() {
        for values in [vec![1_i64, 2, 3, 3, 2], vec![-1, -5, 0, -5, i64::MAX, i64::MIN, -1], shuffled()] {
            let (mut set, mut plain) = (KeySet::default(), HashSet::new());
            for value in values {
                assert_eq!(set.contains(narrow(value)), plain.contains(&value), "{value}");
                assert_eq!(set.insert(narrow(value)), plain.insert(value), "{value}");
            }
            assert_eq!(set.len(), plain.len());
        }
    }

    #[test]
    fn the_repeats_of_a_batch_are_those_found_one_by_one() {
        let ints: ArrayRef = Arc::new(Int64Array::from_iter(shuffled().into_iter().map(|v| (v != 7).then_some(v))));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(shuffled().iter().map(|v| format!("number {v}"))));
        for column in [ints, texts] {
            let keys = Keys::of(&[column]);
            let (mut other, mut one_by_one, mut at_once) = (KeySet::default(), KeySet::default(), KeySet::default());
            for key in (0..keys.len()).step_by(5).filter_map(|row| keys.get(row)) {
                other.insert(key);
            }
            let is_repeat =
                |row: &usize| keys.get(*row).is_some_and(|key| other.contains(key) || !one_by_one.insert(key));
            let expected: Vec<usize> = (0..keys.len()).filter(is_repeat).collect();

            assert_eq!(at_once.insert_new(&keys, &other), expected);
            assert_eq!(at_once.len(), one_by_one.len());
        }
    }

    #[test]
    fn sets_absorb_either_way_round() {
        let (mut small, mut large) = (KeySet::default(), KeySet::default());
        small.insert(narrow(1));
        large.insert(narrow(2));
        large.insert(Key::Wide(3));
        for value in shuffled() {
            large.insert(narrow(value));
        }
        let (mut also_large, also_small, plain) = (large.clone(), small.clone(), large.len());

        small.absorb(large);
        also_large.absorb(also_small);

        for set in [small, also_large] {
            assert_eq!(set.len(), plain);
            assert!(set.contains(Key::Wide(3)) && set.contains(narrow(i64::MIN)) && !set.contains(Key::Wide(1)));
        }
    }
}
