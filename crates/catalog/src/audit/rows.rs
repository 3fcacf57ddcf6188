//! Holding metrics and edges against the entries that wrote them.
//!
//! Both are streamed, and nothing is kept of a row: memory is about 150 bytes for each *entry* that wrote some. A row costs
//! one JSON text and one digest over some 100 bytes, about a microsecond; a million metrics are held in seconds.
//!
//! Metrics lie in the order in which they were written and are never removed, so the next of them always belong to the
//! next entry that wrote some. An edge that is written again stays one row and is of the entry that added it.

use std::collections::VecDeque;

use super::Fault;
use super::tally::Tally;
use crate::Edge;

const SIGN: u64 = 1 << 63;

/// What an entry says of the rows that it wrote.
pub(super) struct Sealed {
    pub(super) seq: i64,
    pub(super) subject: String,
    pub(super) count: u64,
    pub(super) sha256: String,
}

/// A metric as it is stored.
#[derive(Debug)]
pub(crate) struct MetricRow {
    pub ordinal: i64,
    pub run: String,
    pub key: String,
    pub step: i64,
    /// None stands for "not a number".
    pub value: Option<f64>,
    pub at: i64,
}

/// An edge as it is stored, with the entry that added it.
#[derive(Debug)]
pub(crate) struct EdgeRow {
    pub seq: i64,
    pub edge: Edge,
    pub at: i64,
}

/// The bits of a value as the store gives it back: one zero, and one "not a number".
pub(super) fn kept_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// Takes all metrics in the order in which they were written.
pub(super) struct MetricCheck {
    sealed: VecDeque<Sealed>,
    readings: Vec<Reading>,
    /// How many of the first sealed entry's metrics were taken.
    taken: u64,
    next_ordinal: i64,
}

/// One way to read the values that a store does not keep whole: entries of an older release say the sign of a zero and of a
/// "not a number" as the trainer gave them.
struct Reading {
    zero: u64,
    nan: u64,
    tally: Tally,
}

impl Reading {
    fn plain() -> Self {
        Self { zero: 0, nan: f64::NAN.to_bits(), tally: Tally::metrics() }
    }

    fn every_sign(&self) -> Vec<Self> {
        let signs = [(0, 0), (0, SIGN), (SIGN, 0), (SIGN, SIGN)];
        let read = |(zero, nan): (u64, u64)| Self { zero, nan: f64::NAN.to_bits() | nan, tally: self.tally.clone() };
        signs.into_iter().map(read).collect()
    }

    fn add(&mut self, row: &MetricRow) {
        let bits = match row.value {
            None => self.nan,
            Some(0.0) => self.zero,
            Some(value) => value.to_bits(),
        };
        self.tally.metric(&row.run, &row.key, row.step, bits, row.at);
    }
}

impl MetricCheck {
    pub(super) fn new() -> Self {
        Self { sealed: VecDeque::new(), readings: vec![Reading::plain()], taken: 0, next_ordinal: 1 }
    }

    /// Says what the next entry that wrote metrics says of them.
    pub(super) fn expect(&mut self, sealed: Sealed) {
        self.sealed.push_back(sealed);
    }

    /// Takes the next metric.
    pub(super) fn take(&mut self, row: &MetricRow) -> Result<(), Fault> {
        let added = || Fault::MetricAdded { run: row.run.clone(), key: row.key.clone(), step: row.step };
        let sealed = self.sealed.front().ok_or_else(added)?;
        if row.ordinal < self.next_ordinal {
            return Err(added());
        }
        if row.ordinal > self.next_ordinal {
            return Err(Fault::MetricsMissing { subject: sealed.subject.clone(), seq: sealed.seq });
        }
        self.next_ordinal += 1;
        self.taken += 1;
        if let [only] = &self.readings[..]
            && row.value.is_none_or(|value| value == 0.0)
        {
            self.readings = only.every_sign();
        }
        for reading in &mut self.readings {
            reading.add(row);
        }
        if self.taken < sealed.count {
            return Ok(());
        }
        let as_written = self.readings.drain(..).any(|reading| reading.tally.sha256() == sealed.sha256);
        if !as_written {
            return Err(Fault::MetricsAltered { subject: sealed.subject.clone(), seq: sealed.seq });
        }
        self.sealed.pop_front();
        self.readings = vec![Reading::plain()];
        self.taken = 0;
        Ok(())
    }

    /// The fault when the next metric cannot even be read.
    pub(super) fn unreadable(&self) -> Fault {
        let (subject, seq) = self.sealed.front().map(|sealed| (sealed.subject.clone(), sealed.seq)).unwrap_or_default();
        Fault::MetricsAltered { subject, seq }
    }

    /// Says that there are no more metrics; gives their number.
    pub(super) fn end(&self) -> Result<u64, Fault> {
        match self.sealed.front() {
            Some(sealed) => Err(Fault::MetricsMissing { subject: sealed.subject.clone(), seq: sealed.seq }),
            None => Ok((self.next_ordinal - 1).unsigned_abs()),
        }
    }
}

/// Takes all edges by the entry that added them, then by input, output and kind.
pub(super) struct EdgeCheck {
    sealed: VecDeque<Sealed>,
    tally: Tally,
    seen: u64,
}

impl EdgeCheck {
    pub(super) fn new() -> Self {
        Self { sealed: VecDeque::new(), tally: Tally::added_edges(), seen: 0 }
    }

    /// Says what the next entry that added edges says of them.
    pub(super) fn expect(&mut self, sealed: Sealed) {
        self.sealed.push_back(sealed);
    }

    /// Takes the next edge.
    pub(super) fn take(&mut self, row: &EdgeRow) -> Result<(), Fault> {
        while self.sealed.front().is_some_and(|sealed| sealed.seq < row.seq) {
            self.close_first()?;
        }
        if self.sealed.front().is_none_or(|sealed| sealed.seq != row.seq) {
            let Edge { from, to, kind } = row.edge.clone();
            return Err(Fault::EdgeAdded { from, to, kind });
        }
        self.tally.added_edge(&row.edge, row.at);
        self.seen += 1;
        Ok(())
    }

    /// The fault when the next edge cannot even be read.
    pub(super) fn unreadable(&self) -> Fault {
        let (subject, seq) = self.sealed.front().map(|sealed| (sealed.subject.clone(), sealed.seq)).unwrap_or_default();
        Fault::EdgesAltered { subject, seq }
    }

    /// Says that there are no more edges; gives their number.
    pub(super) fn end(&mut self) -> Result<u64, Fault> {
        while !self.sealed.is_empty() {
            self.close_first()?;
        }
        Ok(self.seen)
    }

    /// Compares the first sealed entry with the edges taken for it.
    fn close_first(&mut self) -> Result<(), Fault> {
        let tally = std::mem::replace(&mut self.tally, Tally::added_edges());
        let Some(Sealed { seq, subject, count, sha256 }) = self.sealed.pop_front() else {
            return Ok(());
        };
        let found = tally.count();
        if found < count {
            return Err(Fault::EdgesMissing { subject, seq, written: count, found });
        }
        if found > count {
            return Err(Fault::EdgesAdded { subject, seq, written: count, found });
        }
        if tally.sha256() == sha256 { Ok(()) } else { Err(Fault::EdgesAltered { subject, seq }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ordinal: i64, value: f64) -> MetricRow {
        let value = (!value.is_nan()).then_some(value);
        MetricRow { ordinal, run: "r".into(), key: "k".into(), step: ordinal, value, at: 7 }
    }

    /// An older release digested the bits as they came, and the store keeps neither the sign of a zero nor of a NaN.
    #[test]
    fn digests_over_signs_that_the_store_does_not_keep_still_fit() {
        for (zero, nan) in [(0.0, f64::NAN), (-0.0, f64::NAN), (0.0, -f64::NAN), (-0.0, -f64::NAN)] {
            let values = [0.5, zero, nan, 2.0];
            let mut tally = Tally::metrics();
            for (ordinal, value) in (1..).zip(values) {
                tally.metric("r", "k", ordinal, f64::to_bits(value), 7);
            }
            let mut check = MetricCheck::new();
            check.expect(Sealed { seq: 1, subject: "run:r".into(), count: 4, sha256: tally.sha256() });

            for (ordinal, value) in (1..).zip(values) {
                check.take(&row(ordinal, value)).unwrap();
            }

            assert_eq!(check.end(), Ok(4));
        }
    }

    #[test]
    fn what_is_digested_is_what_the_store_gives_back() {
        let kept = [0.5, -0.0, 0.0, f64::NAN, -f64::NAN, f64::NEG_INFINITY].map(kept_bits);

        let back = [0.5, 0.0, 0.0, f64::NAN, f64::NAN, f64::NEG_INFINITY].map(f64::to_bits);
        assert_eq!(kept, back);
    }
}
