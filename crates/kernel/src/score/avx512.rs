//! The steps of a batch with AVX-512, as server processors have it since 2017.
//!
//! The instruction behind all of them looks up eight numbers at a time in a table of sixteen that lies in two registers.
//! The thresholds at one depth of a search are 16 registers at most and the leaves of a tree 8; what lies in more than two is
//! looked up in each two, and then selected by the further bits of the place. Loads from computed places (`gather`) would do the
//! same and are not used: with the mitigation for CVE-2022-40982 one of them takes longer than eight loads.
//!
//! Arithmetic for 100 trees of 31 leaves over 28 columns: eight ranks among 107 thresholds take some 11 lookups and 30 other
//! instructions, and the questions of 64 rows about a column then one comparison and one store for each threshold. Each tree
//! takes some 12 instructions for each of its 30 questions of 256 rows, 120 for the numbers of their leaves, and 7 for each
//! eight of the sums. That is some 500 instructions a row, where the plain code takes 1,800.

use std::arch::x86_64::{__m512d, __m512i, _CMP_LE_OQ};
use std::hint::black_box;

use pulp::cast;
use pulp::x86::V4;

use super::lanes::{Bits, LANES, Lanes, Numbers, Plain};
use super::plain::bits_of_numbers;
use super::ranks::{Column, Ranks};
use crate::artifact::Precision;

/// The most pairs of registers that a table is looked up in: those of the last level of 255 thresholds.
const PAIRS_MAX: usize = 8;

impl Lanes for V4 {
    #[inline(always)]
    fn rank<const W: usize>(
        self,
        ranks: &Ranks,
        column: Column,
        x: &Numbers<f64, W>,
        rows: usize,
        at_least: &mut [Bits<W>],
    ) {
        let eights = &x.as_flattened().as_chunks().0[..rows.div_ceil(8)];
        let halves = ranks.halves(column);
        match halves.len() {
            1 => rank::<1, W>(self, halves, eights, at_least),
            2 => rank::<2, W>(self, halves, eights, at_least),
            4 => rank::<4, W>(self, halves, eights, at_least),
            8 => rank::<8, W>(self, halves, eights, at_least),
            16 => rank::<16, W>(self, halves, eights, at_least),
            32 => rank::<32, W>(self, halves, eights, at_least),
            // their ranks are no bytes
            _ => Plain.rank(ranks, column, x, rows, at_least),
        }
    }

    #[inline(always)]
    fn number<const LEAVES: usize, const W: usize>(self, arrived: &mut [Bits<W>; LEAVES], leaves: &mut Numbers<u8, W>) {
        let bits = bits_of_numbers(arrived);
        for (word, leaves) in leaves.iter_mut().enumerate() {
            let mut numbers = self.avx512f._mm512_setzero_si512();
            for (at, bit) in bits.iter().enumerate().take(LEAVES.ilog2() as usize) {
                let with_bit = self.avx512f._mm512_set1_epi8(1 << at);
                numbers = self.avx512bw._mm512_mask_add_epi8(numbers, bit[word], numbers, with_bit);
            }
            *leaves = cast(numbers);
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
        let f = self.avx512f;
        // a copy is known not to change with the sums, and stays in registers
        let values = *values;
        let (values, _) = values.as_chunks();
        let (sums, _) = sums.as_flattened_mut().as_chunks_mut::<8>();
        let (leaves, _) = leaves.as_flattened().as_chunks();
        for (sums, leaves) in sums[..rows.div_ceil(8)].iter_mut().zip(leaves) {
            let leaves = f._mm512_cvtepu8_epi64(cast([u64::from_le_bytes(*leaves), 0]));
            let value = match (values.first_chunk::<8>(), values.first_chunk::<4>()) {
                (Some(values), _) => look_up(self, values, leaves),
                (None, Some(values)) => look_up(self, values, leaves),
                (None, None) => f._mm512_setzero_pd(),
            };
            *sums = cast(match precision {
                Precision::Double => f._mm512_add_pd(cast(*sums), value),
                Precision::Single => {
                    let sum = self.avx._mm256_add_ps(f._mm512_cvtpd_ps(cast(*sums)), f._mm512_cvtpd_ps(value));
                    f._mm512_cvtps_pd(sum)
                }
            });
        }
    }
}

/// Ranks the values of a column of fewer than `8 * LINES` thresholds.
#[inline(always)]
fn rank<const LINES: usize, const W: usize>(avx512: V4, halves: &[[f64; 8]], x: &[[f64; 8]], at_least: &mut [Bits<W>]) {
    let f = avx512.avx512f;
    let Some(halves) = halves.first_chunk::<LINES>() else {
        debug_assert!(false, "the caller looked at how many there are");
        return;
    };
    // were it known to be 1, the compiler would put three instructions into the place of one
    let one = f._mm512_set1_epi64(black_box(1));
    let mut places = [[0; LANES]; W];
    for (x, places) in x.iter().zip(places.as_flattened_mut().as_chunks_mut::<8>().0) {
        let eight: [u64; 2] = cast(f._mm512_cvtepi64_epi8(halved(avx512, one, halves, cast(*x))));
        *places = eight[0].to_le_bytes();
    }
    // a byte holds the one bit of the number of places, which comes before the rank, or no longer holds it
    let before = f._mm512_set1_epi8((8 * LINES) as u8 as i8);
    let ranks: [__m512i; W] = places.map(|places| avx512.avx512bw._mm512_sub_epi8(cast(places), before));
    for (rank, at_least) in at_least.iter_mut().enumerate() {
        let rank = f._mm512_set1_epi8(rank as u8 as i8);
        for (rows, ranks) in at_least.iter_mut().zip(ranks) {
            *rows = avx512.avx512bw._mm512_cmpge_epu8_mask(ranks, rank);
        }
    }
}

/// Where halving comes to an end for eight values: their ranks behind the number of places.
#[inline(always)]
fn halved<const LINES: usize>(avx512: V4, one: __m512i, halves: &[[f64; 8]; LINES], x: __m512d) -> __m512i {
    let f = avx512.avx512f;
    let go_on = |places: __m512i, half: __m512d| {
        let is_reached = f._mm512_cmp_pd_mask::<_CMP_LE_OQ>(half, x);
        let doubled = f._mm512_add_epi64(places, places);
        f._mm512_mask_add_epi64(doubled, is_reached, doubled, one)
    };
    let mut places = f._mm512_set1_epi64(1);
    if let Some(first) = halves.first_chunk::<1>() {
        for _ in 0..3 {
            places = go_on(places, look_up(avx512, first, places));
        }
    }
    // each level is twice the one before, and as long as all of them before
    if let Some(level) = level::<1>(halves) {
        places = go_on(places, look_up(avx512, level, places));
    }
    if let Some(level) = level::<2>(halves) {
        places = go_on(places, look_up(avx512, level, places));
    }
    if let Some(level) = level::<4>(halves) {
        places = go_on(places, look_up(avx512, level, places));
    }
    if let Some(level) = level::<8>(halves) {
        places = go_on(places, look_up(avx512, level, places));
    }
    if let Some(level) = level::<16>(halves) {
        places = go_on(places, look_up(avx512, level, places));
    }
    places
}

/// The level of so many lines, where halving goes on that far.
#[inline(always)]
fn level<const LINES: usize>(halves: &[[f64; 8]]) -> Option<&[[f64; 8]; LINES]> {
    halves.get(LINES..)?.first_chunk()
}

/// Looks up eight places, of which the bits above those of the table do not matter.
#[inline(always)]
fn look_up<const LINES: usize>(avx512: V4, table: &[[f64; 8]; LINES], places: __m512i) -> __m512d {
    let f = avx512.avx512f;
    if let [line] = table[..] {
        return f._mm512_permutexvar_pd(places, cast(line));
    }
    let (pairs, _) = table.as_chunks();
    let mut found = [f._mm512_setzero_pd(); PAIRS_MAX];
    for (found, [low, high]) in found.iter_mut().zip(pairs) {
        *found = f._mm512_permutex2var_pd(cast(*low), places, cast(*high));
    }
    let (mut left, mut bit) = (LINES / 2, 16);
    while left > 1 {
        left /= 2;
        let is_high = f._mm512_test_epi64_mask(places, f._mm512_set1_epi64(bit));
        for pair in 0..left {
            found[pair] = f._mm512_mask_blend_pd(is_high, found[2 * pair], found[2 * pair + 1]);
        }
        bit *= 2;
    }
    found[0]
}
