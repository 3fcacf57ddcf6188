//! How long things take, counted without a lock: a thread that is stopped while it holds one keeps all others waiting, and
//! with as many busy threads as cores those are the slowest one in a hundred.

use std::array::from_fn;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use histogram::AtomicHistogram;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::spent::add;

/// Bounds of the buckets that Prometheus is told, in microseconds: from a bare scoring to a timeout.
const BOUNDS_US: [u64; 15] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000];
/// Quantiles are off by at most one in two to this.
const PRECISION: u8 = 7;
/// Two to this many microseconds, more than a minute, is the most that is told apart.
const LONGEST: u8 = 26;

/// Durations by bucket, as Prometheus has them. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// One for each bound, and one for what is beyond them all.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Counts a duration.
    pub(crate) fn observe(&self, took: Duration) {
        let bucket = BOUNDS_US.partition_point(|bound| Duration::from_micros(*bound) < took);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        add(&self.0.sum_ns, took);
    }

    /// All durations together.
    pub(crate) fn sum_ns(&self) -> u64 {
        self.0.sum_ns.load(Ordering::Relaxed)
    }
}

impl TypedMetric for Latencies {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latencies {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS_US.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64()).chain([f64::MAX]);
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let sum = Duration::from_nanos(self.sum_ns()).as_secs_f64();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Durations for their quantiles.
pub(crate) struct Quantiles(AtomicHistogram);

impl Quantiles {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never: the bounds are valid.
    pub(crate) fn new() -> Result<Self, histogram::Error> {
        AtomicHistogram::new(PRECISION, LONGEST).map(Self)
    }

    /// Counts a duration; a longer one than the longest as that.
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min((1 << LONGEST) - 1);
        // the bounds hold it
        let _counted = self.0.increment(micros);
    }

    /// What these shares of all took at most, in microseconds; 0 before the first.
    pub(crate) fn at_most<const COUNT: usize>(&self, shares: [f64; COUNT]) -> [u64; COUNT] {
        let counted = self.0.load();
        shares.map(|share| counted.quantile_bucket(share).ok().flatten().map_or(0, |bucket| bucket.end()))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn prometheus_is_told_buckets_that_hold_their_bounds() {
        let latencies = Latencies::default();
        [10, 11, 25, 600_000, 2_000_000]
            .into_iter()
            .for_each(|micros| latencies.observe(Duration::from_micros(micros)));
        let mut registry = Registry::default();
        registry.register("took", "Time", latencies);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();

        for line in [
            "took_sum 2.600046",
            "took_count 5",
            "took_bucket{le=\"0.00001\"} 1",
            "took_bucket{le=\"0.000025\"} 3",
            "took_bucket{le=\"0.5\"} 3",
            "took_bucket{le=\"1.0\"} 4",
            "took_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn quantiles_are_right_to_one_in_a_hundred_and_the_longest_are_not_lost() {
        let quantiles = Quantiles::new().unwrap();
        assert_eq!(quantiles.at_most([0.5, 0.99]), [0, 0]);
        (1..=10_000).for_each(|micros| quantiles.record(Duration::from_micros(micros)));

        for (found, right) in quantiles.at_most([0.5, 0.99]).into_iter().zip([5_000, 9_900]) {
            assert!(found >= right && found - right <= right / 100, "{found} for {right}");
        }
        quantiles.record(Duration::from_secs(3_600));
        assert_eq!(quantiles.at_most([1.0]), [(1 << LONGEST) - 1]);
    }
}
