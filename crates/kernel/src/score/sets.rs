//! Sets of categories, laid out for being asked once a node.

/// Sets, each as bits where that takes no more room than its list, and else as its list.
#[derive(Debug, Default)]
pub(super) struct Sets {
    places: Vec<Place>,
    words: Vec<u64>,
    members: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Bits { first: usize, words: usize },
    List { first: usize, members: usize },
}

/// A set of few categories may take this many words of bits more than its list: a bit is found without a search.
const SPARE_WORDS: usize = 8;

impl Sets {
    /// Lays out sets, each in ascending order.
    pub(super) fn compile(sets: &[Vec<u32>]) -> Self {
        let mut compiled = Self::default();
        for set in sets {
            let words = set.last().map_or(0, |greatest| *greatest as usize / 64 + 1);
            let place = if words <= set.len() / 2 + SPARE_WORDS {
                let first = compiled.words.len();
                compiled.words.resize(first + words, 0);
                for category in set {
                    compiled.words[first + *category as usize / 64] |= 1 << (category % 64);
                }
                Place::Bits { first, words }
            } else {
                let first = compiled.members.len();
                compiled.members.extend(set);
                Place::List { first, members: set.len() }
            };
            compiled.places.push(place);
        }
        compiled
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a category is in a set. A fraction is cut off, so that what lies between -1 and 1 is category 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the bounds before")]
    pub(super) fn has(&self, set: usize, category: f64) -> bool {
        if !(category > -1.0 && category < 4_294_967_296.0) {
            return false;
        }
        let category = category as u32;
        match self.places[set] {
            Place::Bits { first, words } => {
                let word = category as usize / 64;
                word < words && self.words[first + word] >> (category % 64) & 1 == 1
            }
            Place::List { first, members } => self.members[first..first + members].binary_search(&category).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_categories_are_found_and_others_are_not() {
        let lists = [vec![], vec![0, 3, 64, 130], vec![7, 4_000_000_000], vec![16_777_215]];
        let sets = Sets::compile(&lists);

        assert!(matches!(
            sets.places[..],
            [Place::Bits { .. }, Place::Bits { .. }, Place::List { .. }, Place::List { .. }]
        ));
        for (number, list) in lists.iter().enumerate() {
            for category in [0u32, 1, 3, 7, 63, 64, 130, 131, 191, 192, 16_777_215, 4_000_000_000, u32::MAX] {
                assert_eq!(sets.has(number, category.into()), list.contains(&category), "{category} in {list:?}");
            }
            for category in [-1.0, -7.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4_294_967_296.0, 1e300] {
                assert!(!sets.has(number, category), "{category} in {list:?}");
            }
        }
        assert!(sets.has(1, 3.9) && sets.has(1, -0.5));
    }
}
