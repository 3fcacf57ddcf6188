//! Values and how often each was seen: exactly while they are few, the commonest ones when they are many.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::distinct::HyperLogLog;
use super::shown::Shown;

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type KeyHash = BuildHasherDefault<AsItIs>;

/// Up to so many different values are all counted.
const EXACT_MAX: usize = 1_024;
/// Beyond them, counts of so many are kept between two prunings...
const CANDIDATES_MAX: usize = 2_048;
/// ...each of which keeps so many of the commonest.
const CANDIDATES_KEPT: usize = 512;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    value: Shown,
    count: u64,
}

/// A count of values by their hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counter {
    #[serde(with = "as_list")]
    seen: HashMap<u64, Seen, KeyHash>,
    /// Once there were too many values to count them all.
    many: Option<HyperLogLog>,
}

impl Counter {
    pub fn new() -> Self {
        Self { seen: HashMap::default(), many: None }
    }

    /// Whether every value is counted.
    pub fn is_exact(&self) -> bool {
        self.many.is_none()
    }

    /// Counts a value that is seen `weight` times. `value` is only asked when it is new.
    pub fn count(&mut self, hash: u64, weight: u64, value: impl FnOnce() -> Shown) {
        if let Some(seen) = self.seen.get_mut(&hash) {
            seen.count += weight;
            return;
        }
        self.seen.insert(hash, Seen { value: value(), count: weight });
        self.bound();
    }

    /// Notes that values exist, without counting them; only once the counter is no longer exact.
    pub fn note(&mut self, hashes: impl Iterator<Item = u64>) {
        if let Some(many) = &mut self.many {
            for hash in hashes {
                many.insert(hash);
            }
        }
    }

    fn bound(&mut self) {
        if self.many.is_none() {
            if self.seen.len() <= EXACT_MAX {
                return;
            }
            let mut many = HyperLogLog::new();
            for hash in self.seen.keys() {
                many.insert(*hash);
            }
            self.many = Some(many);
        }
        if self.seen.len() > CANDIDATES_MAX {
            let mut ranked: Vec<(u64, u64)> = self.seen.iter().map(|(hash, seen)| (seen.count, *hash)).collect();
            let (_, least, _) = ranked.select_nth_unstable_by(CANDIDATES_KEPT - 1, |a, b| b.cmp(a));
            let least = *least;
            self.seen.retain(|hash, seen| (seen.count, *hash) >= least);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.many {
            let ours = self.many.get_or_insert_with(|| {
                let mut many = HyperLogLog::new();
                for hash in self.seen.keys() {
                    many.insert(*hash);
                }
                many
            });
            ours.merge(theirs);
        }
        let mut theirs: Vec<_> = other.seen.iter().collect();
        theirs.sort_unstable_by_key(|(hash, _)| **hash);
        for (hash, seen) in theirs {
            self.note(std::iter::once(*hash));
            self.count(*hash, seen.count, || seen.value.clone());
        }
    }

    pub fn distinct(&self) -> u64 {
        match &self.many {
            Some(many) => many.estimate(),
            None => self.seen.len() as u64,
        }
    }

    /// The commonest values, commonest first; equal counts by value.
    pub fn top(&self, most: usize) -> Vec<(String, u64)> {
        let mut ranked: Vec<_> = self.seen.values().map(|seen| (seen.value.text(), seen.count)).collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked.truncate(most);
        ranked
    }
}

mod as_list {
    //! JSON keys are text; a list of triples reads back faster and the same way every time.

    use std::collections::HashMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{KeyHash, Seen, Shown};

    pub fn serialize<S: Serializer>(seen: &HashMap<u64, Seen, KeyHash>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list: Vec<(u64, String, u64)> = seen.iter().map(|(h, s)| (*h, s.value.text(), s.count)).collect();
        list.sort_unstable();
        list.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<u64, Seen, KeyHash>, D::Error> {
        let list = Vec::<(u64, Shown, u64)>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|(hash, value, count)| (hash, Seen { value, count })).collect())
    }
}
