//! Two empirical distribution functions walked together, value by value.

/// Both distribution functions just after one of the values at which either steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub value: f64,
    /// The share of the reference at most `value`.
    pub reference: f64,
    /// The share of the current sample at most `value`.
    pub current: f64,
    /// Whether the reference has the value itself.
    pub in_reference: bool,
}

/// A distribution function that is read from left to right.
pub(super) trait Steps {
    /// The next value at which it steps.
    fn peek(&self) -> Option<f64>;
    /// Goes past every step at `value`, and returns the share at most `value`.
    fn pass(&mut self, value: f64) -> f64;
}

/// Calls `visit` at each distinct value of either, ascending. Visits nothing when either is empty.
pub(super) fn walk(mut reference: impl Steps, mut current: impl Steps, mut visit: impl FnMut(Step)) {
    if reference.peek().is_none() || current.peek().is_none() {
        return;
    }
    loop {
        let (value, in_reference) = match (reference.peek(), current.peek()) {
            (Some(a), Some(b)) if a <= b => (a, true),
            (_, Some(b)) => (b, false),
            (Some(a), None) => (a, true),
            (None, None) => return,
        };
        // A side past its end, or before the value, only repeats its last share.
        let step = Step { value, reference: reference.pass(value), current: current.pass(value), in_reference };
        visit(step);
    }
}

/// A sample sorted ascending; each value weighs the same.
pub(super) struct Sorted<'a> {
    values: &'a [f64],
    position: usize,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(values: &'a [f64]) -> Self {
        debug_assert!(values.is_sorted(), "samples are sorted before they are walked");
        Self { values, position: 0 }
    }
}

impl Steps for Sorted<'_> {
    fn peek(&self) -> Option<f64> {
        self.values.get(self.position).copied()
    }

    fn pass(&mut self, value: f64) -> f64 {
        while self.peek() == Some(value) {
            self.position += 1;
        }
        self.position as f64 / self.values.len() as f64
    }
}

/// Points with weights, sorted ascending by value.
pub(super) struct Weighted<'a> {
    points: &'a [(f64, f64)],
    total: f64,
    passed: f64,
    position: usize,
}

impl<'a> Weighted<'a> {
    pub(super) fn new(points: &'a [(f64, f64)]) -> Self {
        Self { points, total: points.iter().map(|point| point.1).sum(), passed: 0.0, position: 0 }
    }
}

impl Steps for Weighted<'_> {
    fn peek(&self) -> Option<f64> {
        self.points.get(self.position).map(|point| point.0)
    }

    fn pass(&mut self, value: f64) -> f64 {
        while self.peek() == Some(value) {
            self.passed += self.points[self.position].1;
            self.position += 1;
        }
        if self.position == self.points.len() { 1.0 } else { self.passed / self.total }
    }
}
