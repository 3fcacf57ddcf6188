//! The alerts of a monitor while its windows are judged, and how they reach the catalog.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, Principal};
use uuid::Uuid;

use super::{Alert, AlertState, Event, JudgedSubject, JudgedSubjects, Subject, transition};
use crate::{Bound, Judgement, Result, Rule};

/// What a monitor remembers: by rule and column how far it has judged, and the latest alert.
pub(crate) struct AlertBook {
    judged: JudgedSubjects,
    judged_expect: Expect,
    alerts: BTreeMap<String, (Alert, Expect)>,
    changed: BTreeSet<String>,
    judged_changed: bool,
}

impl AlertBook {
    /// Reads the book of a monitor.
    pub(crate) async fn open(catalog: &Catalog, monitor: &str) -> Result<Self> {
        let stored = catalog.get::<JudgedSubjects>(monitor).await?;
        let judged_expect = stored.as_ref().map_or(Expect::Absent, |stored| stored.unchanged());
        let judged = stored.map_or_else(
            || JudgedSubjects { monitor: monitor.to_owned(), ..Default::default() },
            |stored| stored.document,
        );
        let mut alerts = BTreeMap::new();
        for id in judged.subjects.values().filter_map(|subject| subject.alert.as_ref()) {
            if let Some(stored) = catalog.get::<Alert>(id).await? {
                let expect = stored.unchanged();
                alerts.insert(id.clone(), (stored.document, expect));
            }
        }
        Ok(Self { judged, judged_expect, alerts, changed: BTreeSet::new(), judged_changed: false })
    }

    /// Judges a closed window. `judgements` are those of all versions that answered in it: the worst counts.
    pub(crate) fn judge(&mut self, window: Timestamp, judgements: &[(u64, Judgement)], by: &Principal, now: Timestamp) {
        let mut worst: BTreeMap<String, &(u64, Judgement)> = BTreeMap::new();
        for candidate in judgements {
            let excess = |judged: &(u64, Judgement)| judged.1.bound.excess(judged.1.value);
            let entry = worst.entry(candidate.1.subject()).or_insert(candidate);
            if (candidate.1.broken, excess(candidate)) > (entry.1.broken, excess(entry)) {
                *entry = candidate;
            }
        }
        for (model_version, judgement) in worst.into_values() {
            self.judge_subject(window, *model_version, judgement, None, by, now);
        }
    }

    /// Judges a run of a source by how many files it refused; `detail` tells which, and why. The run's moment is its window.
    pub(crate) fn judge_files(&mut self, refused: usize, detail: Option<String>, by: &Principal, now: Timestamp) {
        let (value, broken) = (refused as f64, refused > 0);
        let bound = Bound::AtMost(0.0);
        let judgement = Judgement { rule: Rule::FilesRefused, column: None, value, bound, broken };
        self.judge_subject(now, 0, &judgement, detail, by, now);
    }

    fn judge_subject(
        &mut self,
        window: Timestamp,
        model_version: u64,
        judgement: &Judgement,
        detail: Option<String>,
        by: &Principal,
        now: Timestamp,
    ) {
        let name = judgement.subject();
        let event = if judgement.broken {
            Event::Breach { window, value: judgement.value, bound: judgement.bound, model_version, detail }
        } else {
            Event::Fine { window }
        };
        let known = self.judged.subjects.get(&name);
        let through = known.map(|known| known.through);
        let latest =
            known.and_then(|known| known.alert.as_ref()).and_then(|id| self.alerts.get(id)).map(|entry| &entry.0);
        let subject = Subject {
            id: Uuid::now_v7().to_string(),
            monitor: self.judged.monitor.clone(),
            rule: judgement.rule.clone(),
            column: judgement.column.clone(),
        };
        let next = transition(latest, through, &event, &subject, by, now);
        let alert = next.as_ref().map(|alert| alert.id.clone()).or_else(|| latest.map(|alert| alert.id.clone()));
        let entry = JudgedSubject { through: through.map_or(window, |through| through.max(window)), alert };
        if known != Some(&entry) {
            self.judged.subjects.insert(name, entry);
            self.judged_changed = true;
        }
        if let Some(next) = next {
            self.changed.insert(next.id.clone());
            let expect = self.alerts.get(&next.id).map_or(Expect::Absent, |entry| entry.1);
            self.alerts.insert(next.id.clone(), (next, expect));
        }
    }

    /// How many alerts are not resolved.
    pub(crate) fn open_alerts(&self) -> usize {
        self.alerts.values().filter(|(alert, _)| alert.state != AlertState::Resolved).count()
    }

    /// Adds what has changed to a change of the catalog, under the condition that nobody else has changed it.
    pub(crate) fn write(&self, mut change: Change) -> Result<Change> {
        if self.judged_changed {
            change = change.put(&self.judged, self.judged_expect)?;
        }
        for id in &self.changed {
            if let Some((alert, expect)) = self.alerts.get(id) {
                change = change.put(alert, *expect)?;
            }
        }
        Ok(change)
    }

    /// Takes note that the change was committed: the documents written now have the version `seq`.
    pub(crate) fn committed(&mut self, seq: i64) {
        if std::mem::take(&mut self.judged_changed) {
            self.judged_expect = Expect::Version(seq);
        }
        for id in std::mem::take(&mut self.changed) {
            if let Some(entry) = self.alerts.get_mut(&id) {
                entry.1 = Expect::Version(seq);
            }
        }
    }
}
