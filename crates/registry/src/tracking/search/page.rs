//! The page that is found.

use std::sync::Arc;

use super::order::Ranking;
use super::query::{Prepared, Seen};
use super::{Cursor, RunQuery};
use crate::tracking::Tracking;
use crate::tracking::index::{ExperimentRow, Index, RunRow};
use crate::{Error, Result, Stage};

/// A page of runs.
pub struct FoundRuns {
    /// The runs, each with its experiment.
    pub runs: Vec<(Arc<RunRow>, Arc<ExperimentRow>)>,
    /// Where the next page starts, if there is one.
    pub next: Option<Cursor>,
}

impl Tracking {
    /// Finds runs.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn search_runs(&self, query: RunQuery) -> Result<FoundRuns> {
        self.follow().await?;
        let parts = Arc::clone(&self.0);
        let found = tokio::task::spawn_blocking(move || search(&parts.index, &query)).await;
        found.map_err(|error| Error::Points { doing: "searching", reason: error.to_string() })
    }
}

pub(super) fn search(index: &Index, query: &RunQuery) -> FoundRuns {
    let clauses: Vec<Prepared<'_>> = query.clauses.iter().map(|clause| Prepared::of(clause, &index.keys)).collect();
    let mut numbers = query.experiments.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let mut seen: Vec<Seen> = Vec::new();
    for experiment in numbers.into_iter().filter_map(|number| index.experiment_of_number(number)) {
        for run in index.runs_of(&[experiment.experiment.key().into()]) {
            let stage = if experiment.experiment.stage == Stage::Deleted { Stage::Deleted } else { run.stage };
            if query.view.sees(stage) && clauses.iter().all(|clause| clause.holds(&run, &experiment)) {
                seen.push((run, Arc::clone(&experiment)));
            }
        }
    }
    let ranking = Ranking::of(&query.order, &index.keys);
    let mut ranked: Vec<_> = seen.iter().map(|seen| (ranking.rank(&seen.0), seen)).collect();
    if let Some(cursor) = &query.after {
        ranked.retain(|(rank, _)| ranking.compare_to(rank, cursor).is_gt());
    }
    let is_more = ranked.len() > query.limit;
    if is_more && query.limit > 0 {
        ranked.select_nth_unstable_by(query.limit - 1, |(a, _), (b, _)| ranking.compare(a, b));
        ranked.truncate(query.limit);
    }
    ranked.sort_unstable_by(|(a, _), (b, _)| ranking.compare(a, b));
    let next = if is_more { ranked.last().map(|(rank, _)| rank.cursor()) } else { None };
    FoundRuns { runs: ranked.into_iter().map(|(_, seen)| seen.clone()).collect(), next }
}
