//! How many different values: HyperLogLog with 4,096 registers, whose error is about 1.6 in 100.
//!
//! The estimate is Ertl's (O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6),
//! which needs no correction tables and no special case for few values.

use serde::{Deserialize, Serialize};

const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The greatest value of a register.
const RANK_MAX: usize = (64 - PRECISION + 1) as usize;

/// A count of different hashes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct HyperLogLog {
    registers: Vec<u8>,
}

impl HyperLogLog {
    pub fn new() -> Self {
        Self { registers: vec![0; REGISTERS] }
    }

    pub fn insert(&mut self, hash: u64) {
        let place = (hash >> (64 - PRECISION)) as usize;
        let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
        if let Some(register) = self.registers.get_mut(place) {
            *register = (*register).max(rank);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *ours = (*ours).max(*theirs);
        }
    }

    pub fn estimate(&self) -> u64 {
        let mut counts = [0_u32; RANK_MAX + 1];
        for register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let registers = REGISTERS as f64;
        let share = |rank: usize| f64::from(counts.get(rank).copied().unwrap_or(0)) / registers;
        let mut z = registers * tau(1.0 - share(RANK_MAX));
        for rank in (1..RANK_MAX).rev() {
            z = 0.5 * (z + registers * share(rank));
        }
        z += registers * sigma(share(0));
        let estimate = registers * registers / (2.0 * std::f64::consts::LN_2 * z);
        if estimate.is_finite() { estimate.round() as u64 } else { 0 }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl From<HyperLogLog> for String {
    fn from(sketch: HyperLogLog) -> Self {
        hex::encode(sketch.registers)
    }
}

impl TryFrom<String> for HyperLogLog {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let registers = hex::decode(text).map_err(|error| error.to_string())?;
        if registers.len() != REGISTERS || registers.iter().any(|rank| usize::from(*rank) > RANK_MAX) {
            return Err(format!("a sketch of different values has {REGISTERS} registers of at most {RANK_MAX}"));
        }
        Ok(Self { registers })
    }
}

#[cfg(test)]
mod tests {
    use twox_hash::XxHash64;

    use super::*;

    #[test]
    fn estimates_stay_within_five_percent_from_ten_to_a_million() {
        let mut sketch = HyperLogLog::new();
        assert_eq!(sketch.estimate(), 0);
        let mut inserted = 0_u64;
        for goal in [10_u64, 1_000, 10_000, 20_000, 100_000, 1_000_000] {
            while inserted < goal {
                sketch.insert(XxHash64::oneshot(1, &inserted.to_le_bytes()));
                inserted += 1;
            }
            let error = sketch.estimate() as f64 / goal as f64 - 1.0;
            assert!(error.abs() < 0.05, "{goal}: {error}");
        }
    }
}
