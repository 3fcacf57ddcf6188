//! Checks: rules on rows, compiled for the columns of one source.
//!
//! A rule over a batch is one pass over one column that yields a bit per row, set where the rule is broken. Most batches
//! break nothing, and a rule that nothing broke costs no more than that pass: 16,384 comparisons, about 10 µs. Only for
//! rows that broke something is it worked out which rules, in words.

mod compile;
mod test;

use mainspring_spec::{OnFail, Severity};

pub(crate) use compile::compile;
pub(crate) use test::{Test, value_text};

/// A row without columns; always the first rule.
pub(crate) const MALFORMED: usize = 0;
/// A value that is not of its column's type; always the second rule.
pub(crate) const TYPE: usize = 1;
/// A null in a key column or one declared `nullable: false`; always the third rule.
pub(crate) const REQUIRED: usize = 2;
/// A derived column that cannot be computed; always the fourth rule.
pub(crate) const DERIVE: usize = 3;

/// A rule, ready to run.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    /// The check's name, or one made from its rule.
    pub name: String,
    /// What it asks, in words.
    pub rule: String,
    pub severity: Severity,
    pub on_fail: OnFail,
    pub test: Test,
}

impl CompiledRule {
    /// Whether rows that break it do not land.
    pub fn removes_rows(&self) -> bool {
        self.severity == Severity::Error
    }
}
