//! Judges a batch of rows: casts, derived columns, rules. Knows no other batch, so several are judged at once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;

use crate::cast::Cast;
use crate::check::{DERIVE, TYPE, value_text};
use crate::keys::Keys;
use crate::plan::Plan;
use crate::read::{Fault, RawBatch, RowFault, RowNumbers};

/// A batch with what is known of its rows so far.
pub(crate) struct Judged {
    /// The rows as the table's columns; what could not be cast or computed is null.
    pub batch: RecordBatch,
    /// The same rows as the file had them.
    pub raw: RecordBatch,
    pub rows: RowNumbers,
    pub faults: Vec<RowFault>,
    /// By the rule's place, ascending: the rows that break it. Only rules that some row breaks.
    pub broken: Vec<(usize, BooleanBuffer)>,
    /// By rule and row, where the rule's words and the row's values do not say enough.
    pub reasons: HashMap<(usize, usize), String>,
    /// The rows' keys, for sources that have one.
    pub key: Option<Keys>,
    /// The values that must be unique, by `unique` rule.
    pub unique: Vec<Keys>,
}

/// Judges one batch.
pub(crate) fn judge(plan: &Plan, casts: &[Cast], raw: RawBatch) -> Result<Judged, Fault> {
    let RawBatch { batch: raw, rows, faults } = raw;
    let count = raw.num_rows();
    let mut judged = Columns { arrays: Vec::with_capacity(plan.schema.fields().len()), reasons: HashMap::new() };
    let mut broken: Vec<(usize, BooleanBuffer)> = Vec::new();

    if let Some(failed) = judged.cast(plan, casts, &raw)? {
        broken.push((TYPE, failed));
    }
    let derive_failed = judged.derive(plan, count)?;
    let batch = assemble(plan, judged.arrays, count)?;
    let mut reasons = judged.reasons;
    for (place, rule) in plan.rules.iter().enumerate() {
        if place == DERIVE {
            broken.extend(derive_failed.clone().map(|failed| (DERIVE, failed)));
        }
        let Some(answer) = rule.test.ask(&batch) else { continue };
        for (row, reason) in answer.reasons {
            reasons.insert((place, row), reason);
        }
        broken.push((place, answer.broken));
    }
    let columns = |places: &[usize]| -> Keys {
        Keys::of(&places.iter().map(|place| Arc::clone(batch.column(*place))).collect::<Vec<_>>())
    };
    Ok(Judged {
        key: (!plan.key.is_empty()).then(|| columns(&plan.key)),
        unique: plan.unique.iter().map(|(_, places)| columns(places)).collect(),
        raw,
        rows,
        faults,
        broken,
        reasons,
        batch,
    })
}

struct Columns {
    arrays: Vec<ArrayRef>,
    reasons: HashMap<(usize, usize), String>,
}

impl Columns {
    fn cast(&mut self, plan: &Plan, casts: &[Cast], raw: &RecordBatch) -> Result<Option<BooleanBuffer>, Fault> {
        let mut all_failed: Option<BooleanBuffer> = None;
        for ((cast, array), column) in casts.iter().zip(raw.columns()).zip(&plan.source.columns) {
            let casted = cast.apply(array).map_err(|error| {
                Fault::Refused(format!("column `{}` cannot be read as {}: {error}", column.name, column.data_type))
            })?;
            if let Some(failed) = casted.failed {
                for row in failed.set_indices() {
                    let reason =
                        format!("`{}` is {}, which is not {}", column.name, value_text(array, row), column.data_type);
                    note(&mut self.reasons, (TYPE, row), reason);
                }
                all_failed = Some(all_failed.map_or_else(|| failed.clone(), |before| &before | &failed));
            }
            self.arrays.push(casted.array);
        }
        Ok(all_failed)
    }

    fn derive(&mut self, plan: &Plan, rows: usize) -> Result<Option<BooleanBuffer>, Fault> {
        let mut failed = vec![false; if plan.derived.is_empty() { 0 } else { rows }];
        for (expression, column) in plan.derived.iter().zip(&plan.source.derive) {
            let batch = assemble(plan, self.arrays.clone(), rows)?;
            let (array, errors) = expression.evaluate(&batch);
            for (row, error) in errors {
                note(&mut self.reasons, (DERIVE, row), format!("`{}` cannot be computed: {error}", column.name));
                if let Some(slot) = failed.get_mut(row) {
                    *slot = true;
                }
            }
            self.arrays.push(array);
        }
        Ok(failed.contains(&true).then(|| BooleanBuffer::from(failed)))
    }
}

fn note(reasons: &mut HashMap<(usize, usize), String>, at: (usize, usize), reason: String) {
    reasons
        .entry(at)
        .and_modify(|before| {
            before.push_str("; ");
            before.push_str(&reason);
        })
        .or_insert(reason);
}

/// The first columns of the table as a batch.
fn assemble(plan: &Plan, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, Fault> {
    let known: Vec<usize> = (0..arrays.len()).collect();
    let schema = if arrays.len() == plan.schema.fields().len() {
        Ok(Arc::clone(&plan.schema))
    } else {
        plan.schema.project(&known).map(Arc::new)
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    schema
        .and_then(|schema| RecordBatch::try_new_with_options(schema, arrays, &options))
        .map_err(|error| Fault::Refused(format!("cannot be brought into the table's columns: {error}")))
}

impl Judged {
    /// Why a row breaks a rule, in words.
    pub fn reason(&self, plan: &Plan, rule: usize, row: usize) -> String {
        if let Some(reason) = self.reasons.get(&(rule, row)) {
            return reason.clone();
        }
        let Some(compiled) = plan.rules.get(rule) else { return String::new() };
        let values = compiled.test.columns().iter().filter_map(|place| {
            let name = plan.schema.fields().get(*place)?.name();
            let column = self.batch.columns().get(*place)?;
            let wrong = rule != crate::check::REQUIRED || column.is_null(row);
            wrong.then(|| format!("`{name}` is {}", value_text(column, row)))
        });
        let values: Vec<String> = values.collect();
        match (values.is_empty(), rule) {
            (true, _) => format!("not true: {}", compiled.rule),
            (false, crate::check::REQUIRED) => values.join(", "),
            (false, _) => format!("{}, and the rule is {}", values.join(", "), compiled.rule),
        }
    }
}
