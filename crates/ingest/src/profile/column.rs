//! The sketch of one column.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use mainspring_spec::DataType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdigests::{Centroid, TDigest};
use twox_hash::XxHash64;

use super::counter::Counter;
use super::document::{ColumnProfile, Histogram, Quantile, TopValue};

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

/// Count, mean and sum of squared deviations, merged by Chan's formula, and bounds.
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
        if other.count == 0 {
            return;
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * theirs / (ours + theirs);
        self.squares += other.squares + delta * delta * ours * theirs / (ours + theirs);
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

    /// Takes in a column of the sketch's type; quantiles and top values look at every `stride`-th row.
    pub(super) fn update(&mut self, column: &ArrayRef, stride: usize) {
        self.nulls += column.null_count() as u64;
        self.count += (column.len() - column.null_count()) as u64;
        match self.data_type {
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>();
                self.integers(values.iter(), stride, |v| v.to_string());
            }
            DataType::Timestamp => {
                let values = column.as_primitive::<TimestampMicrosecondType>();
                self.integers(values.iter(), stride, instant);
            }
            DataType::Date => {
                let values = column.as_primitive::<Date32Type>();
                self.integers(values.iter().map(|v| v.map(i64::from)), stride, day);
            }
            DataType::Float64 => self.floats(column.as_primitive::<Float64Type>().iter(), stride),
            DataType::Bool => {
                for value in column.as_boolean().iter().flatten() {
                    self.values.count(u64::from(value), 1, || value.to_string());
                }
            }
            DataType::String => self.text(column.as_string::<i32>().iter(), stride),
        }
        if self.pending.len() >= PENDING {
            self.settle();
        }
    }

    fn integers(&mut self, values: impl Iterator<Item = Option<i64>>, stride: usize, show: impl Fn(i64) -> String) {
        let (mut low, mut high, mut sum, mut count) = (i64::MAX, i64::MIN, 0_i128, 0_u64);
        let (mut offset_sum, mut offset_squares, mut origin) = (0.0, 0.0, None);
        for (row, value) in values.enumerate() {
            let Some(value) = value else { continue };
            low = low.min(value);
            high = high.max(value);
            sum += i128::from(value);
            count += 1;
            let offset = value.wrapping_sub(*origin.get_or_insert(value)) as f64;
            offset_sum += offset;
            offset_squares += offset * offset;
            self.see(mix(value.cast_unsigned()), row, stride, || show(value));
            if row % stride == 0 {
                self.pending.push((value as f64, stride as f64));
            }
        }
        if count > 0 {
            let squares = offset_squares - offset_sum * offset_sum / count as f64;
            self.numbers.merge(&Moments {
                count,
                mean: sum as f64 / count as f64,
                squares: squares.max(0.0),
                bounds: Some((low as f64, high as f64)),
                integers: Some((low, high)),
            });
        }
    }

    fn floats(&mut self, values: impl Iterator<Item = Option<f64>>, stride: usize) {
        let (mut low, mut high, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0_u64);
        let (mut sum, mut squares, mut origin) = (0.0, 0.0, None);
        for (row, value) in values.enumerate() {
            let Some(value) = value else { continue };
            self.see(mix((value + 0.0).to_bits()), row, stride, || value.to_string());
            if !value.is_finite() {
                continue;
            }
            low = low.min(value);
            high = high.max(value);
            count += 1;
            let offset = value - *origin.get_or_insert(value);
            sum += offset;
            squares += offset * offset;
            if row % stride == 0 {
                self.pending.push((value, stride as f64));
            }
        }
        if let Some(origin) = origin {
            let rows = count as f64;
            self.numbers.merge(&Moments {
                count,
                mean: origin + sum / rows,
                squares: (squares - sum * sum / rows).max(0.0),
                bounds: Some((low, high)),
                integers: None,
            });
        }
    }

    fn text<'a>(&mut self, values: impl Iterator<Item = Option<&'a str>>, stride: usize) {
        let mut bounds: Option<(&str, &str)> = None;
        for (row, value) in values.enumerate() {
            let Some(value) = value else { continue };
            bounds = Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
            self.see(XxHash64::oneshot(SEED, value.as_bytes()), row, stride, || value.to_owned());
        }
        let bounds = bounds.map(|(low, high)| (low.to_owned(), high.to_owned()));
        self.widen_texts(bounds);
    }

    fn widen_texts(&mut self, other: Option<(String, String)>) {
        self.texts = match (self.texts.take(), other) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (found, None) | (None, found) => found,
        };
    }

    fn see(&mut self, hash: u64, row: usize, stride: usize, text: impl FnOnce() -> String) {
        if self.values.is_exact() {
            self.values.count(hash, 1, text);
            return;
        }
        self.values.note(hash);
        if row.is_multiple_of(stride) {
            self.values.count(hash, stride as u64, text);
        }
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
            distinct: self.values.distinct().min(self.count),
            distinct_is_exact: self.values.is_exact(),
            min: self.bound(|b| b.0, |b| b.0, |b| &b.0),
            max: self.bound(|b| b.1, |b| b.1, |b| &b.1),
            mean: bounds.is_some().then_some(self.numbers.mean),
            std: (is_number && self.numbers.count > 1).then(|| variance.sqrt()),
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
            DataType::Timestamp => self.numbers.integers.map(integer).map(|v| Value::from(instant(v))),
            DataType::Date => self.numbers.integers.map(integer).map(|v| Value::from(day(v))),
            DataType::Float64 => self.numbers.bounds.map(float).map(Value::from),
            DataType::String => self.texts.as_ref().map(text).map(|v| Value::from(v.as_str())),
            DataType::Bool => None,
        }
    }
}

/// Spreads a value's bits; the finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| format!("{micros} µs"), |time| time.to_string())
}

fn day(days: i64) -> String {
    let midnight = days.checked_mul(86_400).and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    midnight.map_or_else(|| format!("day {days}"), |time| time.strftime("%Y-%m-%d").to_string())
}

fn to_digest(centroids: Vec<(f64, f64)>) -> TDigest {
    TDigest::from_centroids(centroids.into_iter().map(|(mean, weight)| Centroid::new(mean, weight)).collect())
}

fn compressed(centroids: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let centroids: Vec<(f64, f64)> = centroids.filter(|(mean, _)| mean.is_finite()).collect();
    if centroids.len() <= CENTROIDS {
        return centroids;
    }
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
