//! The steps of a batch in plain code; the compiler finds the vector instructions where there are any.

use super::lanes::{Bits, LANES, Lanes, Numbers};
use super::ranks::{Column, Ranks};
use crate::artifact::Precision;

/// For each byte, its bits spread over the bytes of a word.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            spread[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    spread
};

/// No certain processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Lanes for Plain {
    /// Each row sets a bit at its rank; those at a rank and above are the rows with at least that one.
    #[inline(always)]
    fn rank<const W: usize>(
        self,
        ranks: &Ranks,
        column: Column,
        x: &Numbers<f64, W>,
        rows: usize,
        at_least: &mut [Bits<W>],
    ) {
        at_least.fill([0; W]);
        for (word, x) in x.as_flattened()[..rows].chunks(LANES).enumerate() {
            let mut reached = [0; LANES];
            ranks.reached(column, x, &mut reached);
            let mut row = 1u64;
            for rank in &reached[..x.len()] {
                at_least[usize::from(*rank)][word] |= row;
                row = row.rotate_left(1);
            }
        }
        let mut all = [0; W];
        for rows in at_least.iter_mut().rev() {
            for (all, rows) in all.iter_mut().zip(rows) {
                *all |= *rows;
                *rows = *all;
            }
        }
    }

    #[inline(always)]
    fn number<const LEAVES: usize, const W: usize>(self, arrived: &mut [Bits<W>; LEAVES], leaves: &mut Numbers<u8, W>) {
        let bits = bits_of_numbers(arrived);
        for (word, leaves) in leaves.iter_mut().enumerate() {
            for (byte, leaves) in leaves.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let mut eight = 0;
                for (at, bit) in bits.iter().enumerate().take(LEAVES.ilog2() as usize) {
                    eight |= SPREAD[usize::from((bit[word] >> (8 * byte)) as u8)] << at;
                }
                *leaves = eight.to_le_bytes();
            }
        }
    }

    #[inline(always)]
    fn add<const LEAVES: usize, const W: usize>(
        self,
        precision: Precision,
        values: &[f64; LEAVES],
        leaves: &Numbers<u8, W>,
        rows: usize,
        sums: &mut Numbers<f64, W>,
    ) {
        let rows = sums.as_flattened_mut()[..rows].iter_mut().zip(leaves.as_flattened());
        let rows = rows.map(|(sum, leaf)| (sum, values[usize::from(*leaf) % LEAVES]));
        match precision {
            Precision::Double => rows.for_each(|(sum, value)| *sum = Precision::Double.sum(*sum, value)),
            Precision::Single => rows.for_each(|(sum, value)| *sum = Precision::Single.sum(*sum, value)),
        }
    }
}

/// For each bit of the leaves' numbers, the rows at leaves whose number has it. What arrived is used up.
#[inline(always)]
pub(super) fn bits_of_numbers<const LEAVES: usize, const W: usize>(arrived: &mut [Bits<W>; LEAVES]) -> [Bits<W>; 8] {
    let mut bits = [[0; W]; 8];
    let mut leaves = LEAVES;
    for bit in bits.iter_mut().take(LEAVES.ilog2() as usize) {
        // rows at odd leaves have the bit; then pairs of leaves become one, for the next bit
        leaves /= 2;
        for leaf in 0..leaves {
            for word in 0..W {
                bit[word] |= arrived[2 * leaf + 1][word];
                arrived[leaf][word] = arrived[2 * leaf][word] | arrived[2 * leaf + 1][word];
            }
        }
    }
    bits
}
