//! The sketch of one column.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use mainspring_spec::DataType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdigests::{Centroid, TDigest};
use twox_hash::XxHash64;

use super::counter::Counter;
use super::document::{ColumnProfile, Histogram, Quantile, TopValue};
use super::shown::Shown;

/// Centroids kept of a digest; ranks are within a few in a thousand.
const CENTROIDS: usize = 200;
/// Values gathered before they go into the digest.
const PENDING: usize = 8_192;
/// The quantiles shown.
const SHARES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
/// The bins of a histogram.
const BINS: usize = 20;
/// The values shown as the commonest.
const TOP: usize = 20;
/// What is further from zero is this in the digest, which multiplies values by their number.
const DIGEST_MAX: f64 = 1e288;
/// Hashes of values are kept in the catalog, so this never changes.
const SEED: u64 = 0x006d_7370_726e_6721;

/// What is known of a column's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnSketch {
    name: String,
    data_type: DataType,
    count: u64,
    nulls: u64,
    numbers: Moments,
    texts: Option<(String, String)>,
    values: Counter,
    digest: Vec<(f64, f64)>,
    #[serde(skip)]
    pending: Vec<(f64, f64)>,
}

/// Count, mean and sum of squared deviations, merged by Chan's formula, and bounds. All are finite, which JSON asks for: a sum
/// of squares that is too large for a float is the largest float.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
    bounds: Option<(f64, f64)>,
    /// Of integers, which floats do not hold exactly.
    integers: Option<(i64, i64)>,
}

impl Moments {
    fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        if other.count == 0 {
            return;
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let share = theirs / (ours + theirs);
        let delta = other.mean - self.mean;
        self.mean = match (delta * share).is_finite() {
            true => self.mean + delta * share,
            false => self.mean * (1.0 - share) + other.mean * share,
        };
        self.squares = (self.squares + other.squares + delta * delta * ours * share).min(f64::MAX);
        self.count += other.count;
        self.bounds = widest(self.bounds, other.bounds, f64::min, f64::max);
        self.integers = widest(self.integers, other.integers, i64::min, i64::max);
    }
}

fn widest<T: Copy>(a: Option<(T, T)>, b: Option<(T, T)>, min: fn(T, T) -> T, max: fn(T, T) -> T) -> Option<(T, T)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((min(a.0, b.0), max(a.1, b.1))),
        (found, None) | (None, found) => found,
    }
}

impl ColumnSketch {
    pub(super) fn new(name: String, data_type: DataType) -> Self {
        Self {
            name,
            data_type,
            count: 0,
            nulls: 0,
            numbers: Moments::default(),
            texts: None,
            values: Counter::new(),
            digest: vec![],
            pending: vec![],
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Takes in a column of the sketch's type; quantiles and top values look at every `stride`-th value.
    pub(super) fn update(&mut self, column: &ArrayRef, stride: usize) {
        self.nulls += column.null_count() as u64;
        self.count += (column.len() - column.null_count()) as u64;
        match self.data_type {
            DataType::Int64 => self.integers(&present(column.as_primitive::<Int64Type>()), stride, Shown::Integer),
            DataType::Timestamp => {
                self.integers(&present(column.as_primitive::<TimestampMicrosecondType>()), stride, Shown::Instant);
            }
            DataType::Date => {
                let days = present(column.as_primitive::<Date32Type>());
                let days: Vec<i64> = days.iter().copied().map(i64::from).collect();
                self.integers(&days, stride, Shown::Day);
            }
            DataType::Float64 => self.floats(&present(column.as_primitive::<Float64Type>()), stride),
            DataType::Bool => self.bools(column.as_boolean()),
            DataType::String => self.texts(column.as_string::<i32>(), stride),
        }
        if self.pending.len() >= PENDING {
            self.settle();
        }
    }

    fn integers(&mut self, values: &[i64], stride: usize, show: impl Fn(i64) -> Shown) {
        let Some(origin) = values.first().copied() else { return };
        let (mut low, mut high, mut sum) = (i64::MAX, i64::MIN, 0_i128);
        for value in values {
            low = low.min(*value);
            high = high.max(*value);
            sum += i128::from(*value);
        }
        let (offsets, squares) = sums(values, |value| value.wrapping_sub(origin) as f64);
        let count = values.len() as f64;
        self.numbers.merge(&Moments {
            count: values.len() as u64,
            mean: sum as f64 / count,
            squares: (squares - offsets * offsets / count).max(0.0),
            bounds: Some((low as f64, high as f64)),
            integers: Some((low, high)),
        });
        self.pending.extend(values.iter().step_by(stride).map(|value| (*value as f64, stride as f64)));
        self.see(values, stride, |value| mix(value.cast_unsigned()), |value| show(*value));
    }

    /// The values that are finite numbers go into the moments.
    fn floats(&mut self, values: &[f64], stride: usize) {
        self.see(values, stride, |value| mix((value + 0.0).to_bits()), |value| Shown::Float(*value));
        if values.iter().all(|value| value.is_finite()) {
            self.finite(values, stride);
        } else {
            let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
            self.finite(&finite, stride);
        }
    }

    fn finite(&mut self, values: &[f64], stride: usize) {
        let Some(origin) = values.first().copied() else { return };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            low = low.min(*value);
            high = high.max(*value);
        }
        let (offsets, squares) = sums(values, |value| value - origin);
        let count = values.len() as f64;
        let (mean, squares) = match (offsets * offsets).is_finite() && squares.is_finite() {
            true => (origin + offsets / count, (squares - offsets * offsets / count).max(0.0)),
            // too large to be squared
            false => (values.iter().map(|value| value / count).sum::<f64>().clamp(low, high), f64::MAX),
        };
        self.numbers.merge(&Moments {
            count: values.len() as u64,
            mean,
            squares,
            bounds: Some((low, high)),
            integers: None,
        });
        let sampled = values.iter().step_by(stride);
        self.pending.extend(sampled.map(|value| (value.clamp(-DIGEST_MAX, DIGEST_MAX), stride as f64)));
    }

    fn bools(&mut self, values: &BooleanArray) {
        let (yes, no) = (values.true_count() as u64, values.false_count() as u64);
        for (value, count) in [(true, yes), (false, no)] {
            if count > 0 {
                self.values.count(u64::from(value), count, || Shown::Bool(value));
            }
        }
    }

    fn texts(&mut self, values: &StringArray, stride: usize) {
        let values: Vec<&str> = values.iter().flatten().collect();
        let hash = |text: &&str| XxHash64::oneshot(SEED, text.as_bytes());
        let mut bounds: Option<(&str, &str)> = None;
        // A value that was counted before lies within the bounds: only the others are compared with them.
        let counted = self.see(&values, stride, hash, |text| {
            bounds = Some(bounds.map_or((*text, *text), |(low, high)| (low.min(*text), high.max(*text))));
            Shown::of_text(text)
        });
        for text in values.iter().skip(counted) {
            bounds = Some(bounds.map_or((*text, *text), |(low, high)| (low.min(*text), high.max(*text))));
        }
        self.widen_texts(bounds.map(|(low, high)| (low.to_owned(), high.to_owned())));
    }

    fn widen_texts(&mut self, other: Option<(String, String)>) {
        self.texts = match (self.texts.take(), other) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (found, None) | (None, found) => found,
        };
    }

    /// Counts values: all of them while they are few, then every `stride`-th, and how many different ones there are. Gives
    /// how many were all counted; of those, `show` was asked of each that was new.
    fn see<T>(
        &mut self,
        values: &[T],
        stride: usize,
        hash: impl Fn(&T) -> u64,
        mut show: impl FnMut(&T) -> Shown,
    ) -> usize {
        let mut rest = values;
        while self.values.is_exact()
            && let Some((value, after)) = rest.split_first()
        {
            self.values.count(hash(value), 1, || show(value));
            rest = after;
        }
        self.values.note(rest.iter().map(&hash));
        for value in rest.iter().step_by(stride) {
            self.values.count(hash(value), stride as u64, || show(value));
        }
        values.len() - rest.len()
    }

    /// Moves the gathered values into the digest.
    fn settle(&mut self) {
        self.digest = compressed(std::mem::take(&mut self.digest).into_iter().chain(self.pending.drain(..)));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.nulls += other.nulls;
        self.numbers.merge(&other.numbers);
        self.widen_texts(other.texts.clone());
        self.values.merge(&other.values);
        self.pending.extend(other.digest.iter().chain(&other.pending));
        self.settle();
    }

    pub(super) fn profile(&self) -> ColumnProfile {
        let digest = compressed(self.digest.iter().chain(&self.pending).copied());
        let digest = (!digest.is_empty()).then(|| to_digest(digest));
        let bounds = self.numbers.bounds;
        let is_number = matches!(self.data_type, DataType::Int64 | DataType::Float64);
        let variance = self.numbers.squares / self.numbers.count.saturating_sub(1) as f64;
        ColumnProfile {
            name: self.name.clone(),
            data_type: self.data_type,
            count: self.count,
            nulls: self.nulls,
            not_finite: if is_number { self.count - self.numbers.count } else { 0 },
            distinct: self.values.distinct().min(self.count),
            distinct_is_exact: self.values.is_exact(),
            min: self.bound(|b| b.0, |b| b.0, |b| &b.0),
            max: self.bound(|b| b.1, |b| b.1, |b| &b.1),
            mean: bounds.is_some().then_some(self.numbers.mean),
            std: (is_number && self.numbers.count > 1 && self.numbers.squares < f64::MAX).then(|| variance.sqrt()),
            quantiles: match (&digest, bounds) {
                (Some(digest), Some((low, high))) => SHARES
                    .iter()
                    .map(|share| Quantile { share: *share, value: digest.estimate_quantile(*share).clamp(low, high) })
                    .collect(),
                _ => vec![],
            },
            histogram: digest.zip(bounds).map(|(digest, bounds)| histogram(&digest, bounds, self.numbers.count)),
            top: self.values.top(TOP).into_iter().map(|(value, count)| TopValue { value, count }).collect(),
        }
    }

    fn bound(
        &self,
        integer: fn((i64, i64)) -> i64,
        float: fn((f64, f64)) -> f64,
        text: fn(&(String, String)) -> &String,
    ) -> Option<Value> {
        match self.data_type {
            DataType::Int64 => self.numbers.integers.map(integer).map(Value::from),
            DataType::Timestamp => self.numbers.integers.map(integer).map(|v| Value::from(Shown::Instant(v).text())),
            DataType::Date => self.numbers.integers.map(integer).map(|v| Value::from(Shown::Day(v).text())),
            DataType::Float64 => self.numbers.bounds.map(float).map(Value::from),
            DataType::String => self.texts.as_ref().map(text).map(|v| Value::from(v.as_str())),
            DataType::Bool => None,
        }
    }
}

/// A column's values without its nulls.
fn present<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> Cow<'_, [T::Native]> {
    match column.nulls() {
        None => Cow::Borrowed(column.values()),
        Some(nulls) => {
            let runs = nulls.valid_slices().filter_map(|(start, end)| column.values().get(start..end));
            Cow::Owned(runs.flatten().copied().collect())
        }
    }
}

/// The sum of numbers and of their squares, in lanes that do not wait for each other.
fn sums<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> (f64, f64) {
    const LANES: usize = 4;
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks.iter().map(<[T; LANES]>::as_slice).chain([rest]) {
        for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(chunk) {
            let number = number(*value);
            *sum += number;
            *square += number * number;
        }
    }
    (sums.iter().sum(), squares.iter().sum())
}

/// Spreads a value's bits; the finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn to_digest(centroids: Vec<(f64, f64)>) -> TDigest {
    TDigest::from_centroids(centroids.into_iter().map(|(mean, weight)| Centroid::new(mean, weight)).collect())
}

fn compressed(centroids: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut centroids: Vec<(f64, f64)> = centroids.filter(|(mean, _)| mean.is_finite()).collect();
    if centroids.len() <= CENTROIDS {
        return centroids;
    }
    // The digest sorts them itself, but stably, which takes three times as long unless they are in order.
    centroids.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut digest = to_digest(centroids);
    digest.compress(CENTROIDS);
    digest.centroids().iter().map(|centroid| (centroid.mean, centroid.weight)).collect()
}

fn histogram(digest: &TDigest, (low, high): (f64, f64), count: u64) -> Histogram {
    if low >= high || !(high - low).is_finite() {
        return Histogram { edges: vec![low, high], counts: vec![count] };
    }
    let width = (high - low) / BINS as f64;
    let edges: Vec<f64> = (0..=BINS).map(|bin| if bin == BINS { high } else { low + width * bin as f64 }).collect();
    let below = |edge: &f64| (digest.estimate_rank(*edge).clamp(0.0, 1.0) * count as f64).round() as u64;
    let mut cumulative: Vec<u64> = edges.iter().map(below).collect();
    if let [first, .., last] = cumulative.as_mut_slice() {
        (*first, *last) = (0, count);
    }
    // Estimated ranks may step back by a hair; the counts must still add up.
    let mut highest = 0;
    for rank in &mut cumulative {
        highest = highest.max(*rank);
        *rank = highest;
    }
    let counts = cumulative.windows(2).map(|pair| match pair {
        [a, b] => b.saturating_sub(*a),
        _ => 0,
    });
    Histogram { counts: counts.collect(), edges }
}
