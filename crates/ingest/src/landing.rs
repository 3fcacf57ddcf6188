//! One file's way into the table: reads, judges, parts the rows, and hands them to the writers.
//!
//! Cost, for 10 M rows of 8 columns: decoding and writing Parquet is the bulk; six checks, a set of keys and the profile
//! together make it 1.3 times as long as only rewriting the file. Hashing the file, reading, judging (several batches at
//! once), profiling and writing run side by side; only what depends on the order of rows (`unique`, `key`, counts) is done
//! here, one batch after the other.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use futures::StreamExt;
use mainspring_lake::Progress;
use mainspring_spec::{OnFail, Severity};

use crate::check::{MALFORMED, Test};
use crate::judge::{Judged, judge};
use crate::keys::{Key, KeyHash, KeySet, Keys};
use crate::known::{Known, VALUES_MAX};
use crate::plan::Plan;
use crate::profiler::Profiler;
use crate::quarantine::{Quarantine, row_json};
use crate::read::{Fault, Opened};
use crate::report::CheckResult;
use crate::sink::Sink;

/// Batches judged at once.
const JUDGED_AT_ONCE: usize = 2;
/// Rows shown of each rule.
const EXAMPLES: usize = 5;

/// What is done about the source's key.
#[derive(Debug)]
pub(crate) enum KeyMode {
    /// Rows are added. Stops with [`Stop::KeySeenTwice`] as soon as a key turns up that the file or the table has already.
    Add,
    /// The rows are only looked at, to learn which row of each key is the last.
    Scan,
    /// Only the last row of each key lands, which a scan has found.
    Replace(HashMap<Key, u64, KeyHash>),
}

/// Why a file did not get to its end.
pub(crate) enum Stop {
    /// It is refused, or cannot be read.
    Fault(Fault),
    /// A key came twice while rows were only being added.
    KeySeenTwice,
    /// A writer failed and will say why.
    WriterGone,
}

/// What is known of a file at its end.
#[derive(Debug)]
pub(crate) struct Landed {
    pub tally: Tally,
    /// Its keys and unique values.
    pub known: Known,
    /// After a scan: the last row of each key.
    pub last: HashMap<Key, u64, KeyHash>,
    /// The newest value of each `freshness` rule, by the rule's place.
    pub newest: HashMap<usize, i64>,
}

/// Counts. Rows read are always those landed, superseded, quarantined and dropped together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub read: u64,
    pub landed: u64,
    pub superseded: u64,
    pub quarantined: u64,
    pub dropped: u64,
    /// By the rule's place.
    pub rules: Vec<RuleTally>,
    /// Columns of the file that were left out.
    pub ignored: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RuleTally {
    pub failed: u64,
    pub examples: Vec<String>,
}

impl Tally {
    pub fn new(plan: &Plan) -> Self {
        Self { rules: vec![RuleTally::default(); plan.rules.len()], ..Self::default() }
    }

    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.landed += other.landed;
        self.superseded += other.superseded;
        self.quarantined += other.quarantined;
        self.dropped += other.dropped;
        for (ours, theirs) in self.rules.iter_mut().zip(&other.rules) {
            ours.failed += theirs.failed;
            ours.examples.extend(theirs.examples.iter().take(EXAMPLES.saturating_sub(ours.examples.len())).cloned());
        }
    }

    /// Results of every declared check, and of the built-in rules that some row broke.
    pub fn results(&self, plan: &Plan) -> Vec<CheckResult> {
        let rules = plan.rules.iter().zip(&self.rules).enumerate();
        let shown = rules.filter(|(place, (_, tally))| *place > crate::check::DERIVE || tally.failed > 0);
        shown
            .map(|(_, (rule, tally))| CheckResult {
                name: rule.name.clone(),
                rule: rule.rule.clone(),
                severity: rule.severity,
                passed: tally.failed == 0,
                rows_failed: tally.failed,
                examples: tally.examples.clone(),
            })
            .collect()
    }
}

/// Where a file's rows go. All are left out when rows are only looked at.
pub(crate) struct Sinks {
    pub table: Option<Sink>,
    pub quarantine: Option<Sink>,
}

impl Sinks {
    /// Says to the writers that these were all the rows.
    pub async fn finish(self) -> Result<(), Stop> {
        for sink in [self.quarantine, self.table].into_iter().flatten() {
            sink.finish().await.map_err(|_| Stop::WriterGone)?;
        }
        Ok(())
    }
}

/// A file on its way.
pub(crate) struct Landing<'a> {
    pub plan: &'a Arc<Plan>,
    pub uri: &'a str,
    pub table: &'a Known,
    pub mode: KeyMode,
    pub sinks: Sinks,
    pub profiler: Option<&'a Profiler>,
    /// Whether the rows are in the table already, from a run that ended before it could say so. Then they are judged
    /// once more for the record, and the file is no longer refused for its age.
    pub has_landed: bool,
    /// Rows in the file, once it says so.
    pub rows_expected: usize,
    /// Rows of the files that land in the same commit before this one: a row's number among all of them starts there.
    pub rows_before: u64,
    pub progress: &'a dyn Progress,
}

/// What becomes of each row of a batch.
struct Parted {
    lands: Vec<bool>,
    /// With the `unique` rules each breaks; the others it breaks are in the judgement.
    quarantined: Vec<(usize, Vec<usize>)>,
    dropped: u64,
    superseded: u64,
}

impl Landing<'_> {
    /// Drives the file to its end, and says so to the writers.
    pub async fn run(mut self, opened: Opened) -> Result<Landed, Stop> {
        let landed = self.drive(opened, HashMap::default()).await?;
        self.sinks.finish().await?;
        Ok(landed)
    }

    /// Drives the file to its end; the writers wait for more. `last` is what a scan of the files before has found.
    pub async fn drive(&mut self, opened: Opened, last: HashMap<Key, u64, KeyHash>) -> Result<Landed, Stop> {
        let plan = self.plan;
        let casts: Arc<[_]> = plan.casts(&opened.schema).map_err(Stop::Fault)?.into();
        let mut landed = Landed { tally: Tally::new(plan), known: Known::nothing(plan), last, newest: HashMap::new() };
        self.rows_expected = opened.rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
        let mut judged = opened
            .batches
            .map(|raw| {
                let (plan, casts) = (Arc::clone(plan), Arc::clone(&casts));
                async move {
                    let raw = raw?;
                    let task = tokio::spawn(async move { judge(&plan, &casts, raw) });
                    task.await.map_err(|error| Fault::Storage(format!("a batch could not be judged: {error}")))?
                }
            })
            .buffered(JUDGED_AT_ONCE);
        while let Some(batch) = judged.next().await {
            self.take(batch.map_err(Stop::Fault)?, &mut landed).await?;
        }
        drop(judged);
        self.judge_file(&mut landed)?;
        Ok(landed)
    }

    async fn take(&mut self, judged: Judged, landed: &mut Landed) -> Result<(), Stop> {
        let rows = judged.batch.num_rows() + judged.faults.len();
        landed.tally.read += rows as u64;
        let parted = self.part(&judged, landed)?;

        landed.tally.dropped += parted.dropped;
        landed.tally.superseded += parted.superseded;
        landed.tally.quarantined += (parted.quarantined.len() + judged.faults.len()) as u64;
        if let Some(sink) = &self.sinks.quarantine
            && parted.quarantined.len() + judged.faults.len() > 0
        {
            let batch = self.quarantine(&judged, &parted.quarantined).map_err(Stop::Fault)?;
            sink.send(batch).await.map_err(|_| Stop::WriterGone)?;
        }
        let good = select(judged.batch, &parted.lands).map_err(Stop::Fault)?;
        landed.tally.landed += good.num_rows() as u64;
        for (place, rule) in self.plan.rules.iter().enumerate() {
            if let Test::Freshness { column, .. } = rule.test {
                let newest = arrow::compute::max(good.column(column).as_primitive::<TimestampMicrosecondType>());
                if let Some(newest) = newest {
                    landed.newest.entry(place).and_modify(|n| *n = newest.max(*n)).or_insert(newest);
                }
            }
        }
        if good.num_rows() > 0 {
            if let Some(profiler) = self.profiler {
                profiler.update(&good).await;
            }
            if let Some(sink) = &self.sinks.table {
                sink.send(good).await.map_err(|_| Stop::WriterGone)?;
            }
        }
        self.progress.advance(rows as u64);
        Ok(())
    }

    /// Decides what becomes of each row, in their order.
    fn part(&self, judged: &Judged, landed: &mut Landed) -> Result<Parted, Stop> {
        let rows = judged.batch.num_rows();
        let mut parted = Parted { lands: vec![], quarantined: vec![], dropped: 0, superseded: 0 };
        for fault in &judged.faults {
            note(&mut landed.tally, MALFORMED, || format!("{} row {}: {}", self.uri, fault.row, fault.reason));
        }
        for (rule, broken) in &judged.broken {
            for row in broken.set_indices() {
                self.broke(judged, *rule, row, landed)?;
            }
        }
        if judged.broken.is_empty() && self.plan.key.is_empty() {
            match (self.plan.unique.as_slice(), judged.unique.as_slice()) {
                ([], _) => return Ok(parted),
                ([(rule, _)], [values]) => return self.part_by_one_unique(judged, *rule, values, landed),
                _ => {}
            }
        }
        parted.lands = vec![true; rows];
        let mut fates: Vec<Option<OnFail>> = vec![None; if judged.broken.is_empty() { 0 } else { rows }];
        for (rule, broken) in &judged.broken {
            let Some(rule) = self.plan.rules.get(*rule).filter(|rule| rule.removes_rows()) else { continue };
            for row in broken.set_indices() {
                // A row that one rule drops and another quarantines is kept for a person to see.
                if let Some(fate) = fates.get_mut(row).filter(|fate| **fate != Some(OnFail::Quarantine)) {
                    *fate = Some(rule.on_fail);
                }
            }
        }
        for row in 0..rows {
            let fate = fates.get(row).copied().flatten();
            let key = judged.key.as_ref().and_then(|keys| keys.get(row));
            let repeats = self.repeats(judged, row, key, landed)?;
            let by_error = repeats.iter().any(|rule| self.plan.rules.get(*rule).is_some_and(|r| r.removes_rows()));
            if fate.is_none() && !by_error {
                if self.lands(judged, row, key, landed)? {
                    continue;
                }
                parted.superseded += 1;
            } else if fate == Some(OnFail::Quarantine) || repeats.iter().any(|rule| self.quarantines(*rule)) {
                parted.quarantined.push((row, repeats));
            } else {
                parted.dropped += 1;
            }
            if let Some(lands) = parted.lands.get_mut(row) {
                *lands = false;
            }
        }
        Ok(parted)
    }

    /// As [`part`](Self::part), for the common case: a clean batch, no key, one `unique` rule. All values at once.
    fn part_by_one_unique(
        &self,
        judged: &Judged,
        rule: usize,
        values: &Keys,
        landed: &mut Landed,
    ) -> Result<Parted, Stop> {
        let mut parted = Parted { lands: vec![], quarantined: vec![], dropped: 0, superseded: 0 };
        let (Some(taken), Some(table)) = (landed.known.taken.first_mut(), self.table.taken.first()) else {
            return Ok(parted);
        };
        if let Some(like) = values.get(0).filter(|_| landed.tally.read as usize == values.len()) {
            taken.reserve(like, self.rows_expected.min(VALUES_MAX));
        }
        let repeats = taken.take_new(values, table);
        if repeats.is_empty() {
            return Ok(parted);
        }
        let removes = self.plan.rules.get(rule).is_some_and(|rule| rule.removes_rows());
        parted.lands = vec![true; values.len()];
        for row in repeats {
            self.broke(judged, rule, row, landed)?;
            if !removes {
                continue;
            }
            if let Some(lands) = parted.lands.get_mut(row) {
                *lands = false;
            }
            if self.quarantines(rule) {
                parted.quarantined.push((row, vec![rule]));
            } else {
                parted.dropped += 1;
            }
        }
        Ok(parted)
    }

    fn quarantines(&self, rule: usize) -> bool {
        self.plan.rules.get(rule).is_some_and(|rule| rule.removes_rows() && rule.on_fail == OnFail::Quarantine)
    }

    /// Notes that a row broke a rule; the file is refused when the rule says so.
    fn broke(&self, judged: &Judged, rule: usize, row: usize, landed: &mut Landed) -> Result<(), Stop> {
        let number = judged.rows.get(row);
        note(&mut landed.tally, rule, || format!("{} row {number}: {}", self.uri, judged.reason(self.plan, rule, row)));
        match self.plan.rules.get(rule) {
            Some(compiled) if compiled.removes_rows() && compiled.on_fail == OnFail::Fail => {
                Err(Stop::Fault(Fault::Refused(format!(
                    "breaks check `{}` in row {number}: {}; nothing of it landed, as the check says `on_fail: fail`",
                    compiled.name,
                    judged.reason(self.plan, rule, row)
                ))))
            }
            _ => Ok(()),
        }
    }

    /// The `unique` rules that a row breaks, by their places.
    fn repeats(&self, judged: &Judged, row: usize, key: Option<Key>, landed: &mut Landed) -> Result<Vec<usize>, Stop> {
        let mut repeats = Vec::new();
        for (index, ((rule, _), values)) in self.plan.unique.iter().zip(&judged.unique).enumerate() {
            let Some(value) = values.get(row) else { continue };
            let (Some(ours), Some(table)) = (landed.known.taken.get(index), self.table.taken.get(index)) else {
                continue;
            };
            if ours.by_another(table, value, key) {
                self.broke(judged, *rule, row, landed)?;
                repeats.push(*rule);
            }
        }
        if let Some(key) = key.filter(|_| !self.plan.unique_key.is_empty())
            && self.came_before(key, landed)
        {
            for rule in &self.plan.unique_key {
                self.broke(judged, *rule, row, landed)?;
                repeats.push(*rule);
            }
        }
        Ok(repeats)
    }

    /// Whether a good row of the same file had this key before.
    fn came_before(&self, key: Key, landed: &Landed) -> bool {
        match &self.mode {
            KeyMode::Scan => landed.last.get(&key).is_some_and(|last| *last > self.rows_before),
            KeyMode::Add | KeyMode::Replace(_) => landed.known.keys.as_ref().is_some_and(|keys| keys.contains(key)),
        }
    }

    /// Settles whether a good row lands (or a later one of its key does), and takes its key and unique values. Whether it
    /// lands or not: what is taken decides of the rows after it, and a scan must not find others good than land later.
    fn lands(&self, judged: &Judged, row: usize, key: Option<Key>, landed: &mut Landed) -> Result<bool, Stop> {
        let mut lands = true;
        if let Some(key) = key {
            let number = self.rows_before + judged.rows.get(row);
            match &self.mode {
                KeyMode::Add => {
                    let in_table = self.table.keys.as_ref().is_none_or(|keys| keys.contains(key));
                    let new = landed.known.keys.as_mut().is_some_and(|keys| keys.insert(key));
                    if in_table || !new {
                        return Err(Stop::KeySeenTwice);
                    }
                }
                KeyMode::Scan => {
                    landed.last.insert(key, number);
                    if landed.last.len() > VALUES_MAX {
                        return Err(Stop::Fault(Fault::Refused(format!(
                            "has, with the files that are read with it, more than {VALUES_MAX} different keys, too many to replace rows at once; part the file"
                        ))));
                    }
                }
                KeyMode::Replace(last) => {
                    lands = last.get(&key).is_none_or(|last| *last == number);
                    landed.known.keys.get_or_insert_with(KeySet::default).insert(key);
                }
            }
        }
        for (taken, values) in landed.known.taken.iter_mut().zip(&judged.unique) {
            taken.take(values.get(row), key);
        }
        Ok(lands)
    }

    fn quarantine(&self, judged: &Judged, rows: &[(usize, Vec<usize>)]) -> Result<RecordBatch, Fault> {
        let mut quarantine = Quarantine::new();
        for fault in &judged.faults {
            let text = serde_json::Value::from(fault.text.as_str()).to_string();
            quarantine.push(self.uri, fault.row, "malformed", &fault.reason, &text);
        }
        for (row, repeats) in rows {
            let mut broken: Vec<usize> =
                judged.broken.iter().filter(|(_, broken)| broken.value(*row)).map(|(rule, _)| *rule).collect();
            broken.extend(repeats);
            broken.sort_unstable();
            let names: Vec<&str> =
                broken.iter().filter_map(|rule| self.plan.rules.get(*rule)).map(|rule| rule.name.as_str()).collect();
            let reasons: Vec<String> = broken.iter().map(|rule| judged.reason(self.plan, *rule, *row)).collect();
            let text = row_json(&judged.raw, *row);
            quarantine.push(self.uri, judged.rows.get(*row), &names.join(", "), &reasons.join("; "), &text);
        }
        debug_assert!(quarantine.rows() > 0, "a batch goes to the quarantine only with rows in it");
        quarantine.finish().map_err(|error| Fault::Storage(error.to_string()))
    }

    /// The rules on the file as a whole.
    fn judge_file(&self, landed: &mut Landed) -> Result<(), Stop> {
        for (place, rule) in self.plan.rules.iter().enumerate() {
            let broken = match &rule.test {
                Test::RowCount { min, max } => {
                    let read = landed.tally.read;
                    (read < *min || read > *max)
                        .then(|| format!("has {read} rows, and check `{}` asks for {}", rule.name, rule.rule))
                }
                Test::Freshness { max_age_micros, .. } if rule.on_fail == OnFail::Fail => {
                    let oldest = jiff::Timestamp::now().as_microsecond().saturating_sub(*max_age_micros);
                    let newest = landed.newest.get(&place).copied();
                    (newest.is_none_or(|newest| newest < oldest))
                        .then(|| format!("has no row new enough for check `{}`: {}", rule.name, rule.rule))
                }
                _ => None,
            };
            let Some(reason) = broken else { continue };
            if rule.severity == Severity::Error && !self.has_landed {
                return Err(Stop::Fault(Fault::Refused(reason)));
            }
            note(&mut landed.tally, place, || format!("{} {reason}", self.uri));
        }
        Ok(())
    }
}

fn note(tally: &mut Tally, rule: usize, words: impl FnOnce() -> String) {
    if let Some(tally) = tally.rules.get_mut(rule) {
        tally.failed += 1;
        if tally.examples.len() < EXAMPLES {
            tally.examples.push(words());
        }
    }
}

/// The rows that land; an empty list says all.
fn select(batch: RecordBatch, lands: &[bool]) -> Result<RecordBatch, Fault> {
    if lands.iter().all(|lands| *lands) {
        return Ok(batch);
    }
    let mask = BooleanArray::from(lands.to_vec());
    debug_assert_eq!(mask.len(), batch.num_rows(), "one decision per row");
    filter_record_batch(&batch, &mask).map_err(|error| Fault::Storage(error.to_string()))
}
