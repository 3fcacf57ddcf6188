//! What is asked of a table and not of its rows, and how it stands with all its rules.

use jiff::Timestamp;
use mainspring_catalog::{Change, Expect, ListQuery, Principal};

use crate::Result;
use crate::check::Test;
use crate::documents::{JudgedTable, TableSketch, TableVersion};
use crate::ingestor::{Ingestor, Run};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::report::CheckResult;

/// Asks the `freshness` rules of a table, by its profile.
pub(crate) fn judge_freshness(plan: &Plan, profile: Option<&Profile>, checks: &mut [CheckResult]) {
    for rule in &plan.rules {
        let Test::Freshness { column, max_age_micros } = rule.test else { continue };
        let Some(check) = checks.iter_mut().find(|check| check.name == rule.name && check.rule == rule.rule) else {
            continue;
        };
        let name = plan.schema.field(column).name();
        let newest =
            profile.and_then(|profile| profile.column(name)?.max.as_ref()?.as_str()?.parse::<Timestamp>().ok());
        let age = newest.map(|newest| Timestamp::now().as_microsecond().saturating_sub(newest.as_microsecond()));
        check.passed = age.is_some_and(|age| age <= max_age_micros);
        check.examples = match newest {
            _ if check.passed => vec![],
            Some(newest) => vec![format!("the newest `{name}` is {newest}")],
            None => vec![format!("`{name}` has no value")],
        };
    }
}

impl Ingestor {
    /// Judges the table at the end of an ingest, above all when no new file came, and keeps how it stands.
    pub(crate) async fn judge_table(&self, run: &Run, principal: &Principal) -> Result<Vec<CheckResult>> {
        let mut checks = run.tally.results(&run.plan);
        let profile = self.newest_profile(run).await?;
        judge_freshness(&run.plan, profile.as_ref(), &mut checks);
        if run.version.is_none() {
            return Ok(checks);
        }
        let table = run.table.to_string();
        let kept = self.catalog.get::<JudgedTable>(&table).await?.map(|stored| stored.document.checks);
        let standing = match &kept {
            _ if run.has_landed => checks.clone(),
            Some(before) => standing(&run.plan, before, &checks),
            None => {
                let before = self.newest_version(run).await?.map(|version| version.checks).unwrap_or_default();
                standing(&run.plan, &before, &checks)
            }
        };
        if kept.unwrap_or_default() != standing {
            let change = Change::new(principal, "ingest.judge", format!("table:{table}"))
                .put(&JudgedTable { table, at: Timestamp::now(), checks: standing }, Expect::Any)?;
            self.catalog.commit(change).await?;
        }
        Ok(checks)
    }

    async fn newest_version(&self, run: &Run) -> Result<Option<TableVersion>> {
        let newest = ListQuery::of(run.table.to_string()).newest_first().limit(1);
        let versions = self.catalog.list::<TableVersion>(newest).await?;
        Ok(versions.into_iter().next().map(|stored| stored.document))
    }

    /// The table's profile as it is now; none is looked for where no rule asks.
    async fn newest_profile(&self, run: &Run) -> Result<Option<Profile>> {
        if !run.plan.rules.iter().any(|rule| matches!(rule.test, Test::Freshness { .. })) {
            return Ok(None);
        }
        let stored = self.catalog.get::<TableSketch>(&run.table.to_string()).await?;
        match stored.map(|stored| stored.document.sketch).filter(|sketch| sketch.rows() > 0) {
            Some(sketch) => Ok(Some(sketch.profile())),
            // of a table too wide for its sketch to be kept
            None => Ok(self.newest_version(run).await?.and_then(|version| version.profile)),
        }
    }
}

/// How a table stands to which no rows came: with the rules on rows as before, with those on the table as judged now.
fn standing(plan: &Plan, before: &[CheckResult], now: &[CheckResult]) -> Vec<CheckResult> {
    let results = plan.rules.iter().filter_map(|rule| {
        let judged = if matches!(rule.test, Test::Freshness { .. }) { now } else { before };
        judged.iter().find(|check| check.name == rule.name && check.rule == rule.rule).cloned()
    });
    results.collect()
}
