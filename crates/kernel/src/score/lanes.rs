//! What is done to many rows at once, for each kind of processor.
//!
//! What takes most of the time of a batch is written over [`Lanes`]. [`Plain`] names no vector instructions, the compiler
//! finds them; compiled once more for AVX2 it takes a tenth less. With AVX-512 (`avx512.rs`) the tables of a column or tree
//! are looked up in registers for eight rows at a time, and a batch takes less than half as long as with the plain code. What
//! a processor has is found out when a model is compiled. The bits of a score do not depend on it.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

pub(super) use super::plain::Plain;
use super::ranks::{Column, Ranks};
use crate::artifact::Precision;

/// Rows of a lane: bits of a word.
pub(super) const LANES: usize = 64;

/// For the rows of `W` lanes, bit `r` of word `w` is the one of row `64 * w + r`.
pub(super) type Bits<const W: usize> = [u64; W];

/// A number for each row of `W` lanes.
pub(super) type Numbers<T, const W: usize> = [[T; LANES]; W];

/// Something that begins with a cache line, so that loads of vectors do not touch two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Aligned<T>(pub(super) T);

/// The steps of a batch that take most of its time.
///
/// Implementations are inlined all the way up to [`Processor::run`], because only what is inlined there is compiled for that
/// processor.
pub(super) trait Lanes: Copy {
    /// Ranks the values of a column, of so many rows: sets `at_least[rank]` to the rows with at least that rank. There is one
    /// for each rank, from 0 to the number of thresholds. Bits of further rows do not matter.
    fn rank<const W: usize>(
        self,
        ranks: &Ranks,
        column: Column,
        x: &Numbers<f64, W>,
        rows: usize,
        at_least: &mut [Bits<W>],
    );

    /// Turns the rows that arrived at each leaf into the number of each row's leaf. What arrived is used up.
    fn number<const LEAVES: usize, const W: usize>(self, arrived: &mut [Bits<W>; LEAVES], leaves: &mut Numbers<u8, W>);

    /// Adds to the sum of each of so many rows the value of its leaf. `LEAVES` is 32 or 64.
    fn add<const LEAVES: usize, const W: usize>(
        self,
        precision: Precision,
        values: &[f64; LEAVES],
        leaves: &Numbers<u8, W>,
        rows: usize,
        sums: &mut Numbers<f64, W>,
    );
}

/// Work on a batch, for whichever processor.
pub(super) trait Work {
    fn run<L: Lanes>(self, lanes: L);
}

/// The instructions that there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Processor {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
}

impl Processor {
    /// All that this one can be used as, the fastest last.
    pub(super) fn all() -> Vec<Self> {
        let all = [Some(Self::Plain)];
        #[cfg(target_arch = "x86_64")]
        let all = [all[0], V3::try_new().map(Self::Avx2), V4::try_new().map(Self::Avx512)];
        all.into_iter().flatten().collect()
    }

    /// The fastest.
    pub(super) fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Plain)
    }

    /// Does work with the instructions of this processor.
    pub(super) fn run(self, work: impl Work) {
        match self {
            Self::Plain => work.run(Plain),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.vectorize(On { lanes: Plain, work }),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.vectorize(On { lanes: avx512, work }),
        }
    }
}

/// Work as `pulp` takes it. It would take a closure, but that is not inlined.
#[cfg(target_arch = "x86_64")]
struct On<L, W> {
    lanes: L,
    work: W,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes, W: Work> pulp::NullaryFnOnce for On<L, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.work.run(self.lanes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Some rows of a column, and the leaves that they reach.
    #[derive(Debug)]
    struct Rows {
        thresholds: Vec<f64>,
        x: Vec<f64>,
        leaves: Vec<u8>,
        values: [f64; 64],
    }

    impl Rows {
        fn draw(random: &mut SmallRng, thresholds: usize, rows: usize, leaves: u8) -> Self {
            // even ones are found through a grid, and others by halving
            let is_even: bool = random.random();
            let number = |random: &mut SmallRng| match (is_even, random.random_range(-30.0..30.0)) {
                (true, x) => x,
                (false, x) => f64::exp(x),
            };
            let thresholds: Vec<f64> = (0..thresholds).map(|_| number(random)).collect();
            let x = (0..rows).map(|_| match random.random_range(0..8) {
                0 => f64::NAN,
                1 => [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 0.0][random.random_range(0..4)],
                2 | 3 if !thresholds.is_empty() => thresholds[random.random_range(0..thresholds.len())],
                _ => number(random),
            });
            Self {
                x: x.collect(),
                leaves: (0..rows).map(|_| random.random_range(0..leaves)).collect(),
                values: std::array::from_fn(|_| random.random()),
                thresholds,
            }
        }
    }

    /// Does all steps for trees of at most `LEAVES`, and compares what comes of them with what they mean.
    struct Compare<'a, const LEAVES: usize, const W: usize>(&'a Rows);

    impl<const LEAVES: usize, const W: usize> Work for Compare<'_, LEAVES, W> {
        fn run<L: Lanes>(self, lanes: L) {
            let Rows { thresholds, x, leaves, values } = self.0;
            let rows = x.len();
            let mut ranks = Ranks::default();
            ranks.push(0, thresholds.clone());
            let mut column = [[0.0; LANES]; W];
            column.as_flattened_mut()[..rows].copy_from_slice(x);
            let mut at_least = vec![[0; W]; ranks.columns[0].count + 1];
            let mut arrived = [[0; W]; LEAVES];
            for (row, leaf) in leaves.iter().enumerate() {
                arrived[usize::from(*leaf)][row / LANES] |= 1 << (row % LANES);
            }
            let mut numbers = [[7; LANES]; W];

            lanes.rank(&ranks, ranks.columns[0], &column, rows, &mut at_least);
            lanes.number(&mut arrived, &mut numbers);

            let mut known = thresholds.clone();
            known.sort_by(f64::total_cmp);
            known.dedup();
            for (row, x) in x.iter().enumerate() {
                let reached = known.iter().filter(|threshold| *threshold <= x).count();
                for (rank, rows) in at_least.iter().enumerate() {
                    assert_eq!(rows[row / LANES] >> (row % LANES) & 1 == 1, rank <= reached, "{x} at {rank}");
                }
            }
            assert_eq!(&numbers.as_flattened()[..rows], leaves);
            for precision in [Precision::Double, Precision::Single] {
                let mut sums = [[0.1; LANES]; W];
                let some = values.first_chunk::<LEAVES>().unwrap();
                lanes.add(precision, some, &numbers, rows, &mut sums);
                for (sum, leaf) in sums.as_flattened().iter().zip(leaves) {
                    assert_eq!(sum.to_bits(), precision.sum(0.1, values[usize::from(*leaf)]).to_bits());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn each_processor_does_what_the_steps_mean(
            seed in any::<u64>(),
            thresholds in prop_oneof![0usize..40, 0usize..600, 120usize..132, 250usize..260],
            rows in 1usize..=4 * LANES,
        ) {
            let mut random = SmallRng::seed_from_u64(seed);
            let many = Rows::draw(&mut random, thresholds, rows, 32);
            let few = Rows::draw(&mut random, thresholds, rows.min(LANES), 64);

            for processor in Processor::all() {
                processor.run(Compare::<32, 4>(&many));
                processor.run(Compare::<64, 4>(&many));
                processor.run(Compare::<64, 1>(&few));
            }
        }
    }
}
