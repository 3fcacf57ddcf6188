//! What runs read and made: datasets and logged models.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainspring_catalog::{Change, Expect, Principal};
use serde_json::json;

use super::Tracking;
use super::index::RunRow;
use super::runs::Outcome;
use crate::{Dataset, DatasetInput, ModelOutput, Result};

/// The label of a dataset input that says what it was used for.
const CONTEXT: &str = "mlflow.data.context";

/// A dataset that runs of an experiment read, and what for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetSummary {
    /// The number of the experiment.
    pub experiment: u64,
    /// Its name.
    pub name: String,
    /// A short hash of what is in it.
    pub digest: String,
    /// What it was used for: `training`.
    pub context: Option<String>,
}

impl Tracking {
    /// Notes that a run read datasets and logged models. What was noted before stays; the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::NoRun`](crate::Error::NoRun), [`Error::RunDeleted`](crate::Error::RunDeleted), or when the catalog fails.
    pub async fn log_inputs(
        &self,
        run: &str,
        datasets: Vec<(Dataset, BTreeMap<String, String>)>,
        models: Vec<String>,
        principal: &Principal,
    ) -> Result<Arc<RunRow>> {
        let row = self.active_run(run).await?;
        for (dataset, _) in &datasets {
            let dataset = Dataset { experiment: row.experiment.to_string(), ..dataset.clone() };
            let id = Dataset::document_id(&dataset.experiment, &dataset.name, &dataset.digest);
            if self.0.catalog.get::<Dataset>(&id).await?.is_some() {
                continue;
            }
            let change = Change::new(principal, "run.log", format!("run:{run}"))
                .detail(json!({ "dataset": dataset.name, "digest": dataset.digest }))
                .put(&dataset, Expect::Absent)?;
            match self.0.catalog.commit(change).await {
                Ok(_) => {}
                // somebody else told of it first
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names: Vec<&str> = datasets.iter().map(|(dataset, _)| dataset.name.as_str()).collect();
        let detail = json!({ "datasets": names, "models": models });
        self.change_run(run, ("run.log", detail), principal, |run| {
            let mut outcome = Outcome::Same;
            for (dataset, tags) in &datasets {
                let known = |input: &DatasetInput| input.name == dataset.name && input.digest == dataset.digest;
                if !run.inputs.iter().any(known) {
                    let (name, digest) = (dataset.name.clone(), dataset.digest.clone());
                    run.inputs.push(DatasetInput { name, digest, tags: tags.clone() });
                    outcome = Outcome::Changed;
                }
            }
            for model in &models {
                if !run.model_inputs.contains(model) {
                    run.model_inputs.push(model.clone());
                    outcome = Outcome::Changed;
                }
            }
            Ok(outcome)
        })
        .await
    }

    /// Notes that a run made logged models.
    ///
    /// # Errors
    /// [`Error::NoRun`](crate::Error::NoRun), [`Error::RunDeleted`](crate::Error::RunDeleted), or when the catalog fails.
    pub async fn log_outputs(&self, run: &str, models: Vec<ModelOutput>, principal: &Principal) -> Result<Arc<RunRow>> {
        self.active_run(run).await?;
        let ids: Vec<&str> = models.iter().map(|model| model.model_id.as_str()).collect();
        self.change_run(run, ("run.log", json!({ "made_models": ids })), principal, |run| {
            let mut outcome = Outcome::Same;
            for model in &models {
                if !run.model_outputs.contains(model) {
                    run.model_outputs.push(model.clone());
                    outcome = Outcome::Changed;
                }
            }
            Ok(outcome)
        })
        .await
    }

    /// What is known of a dataset that a run of an experiment read.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn dataset(&self, experiment: &str, name: &str, digest: &str) -> Result<Option<Dataset>> {
        let id = Dataset::document_id(experiment, name, digest);
        Ok(self.0.catalog.get::<Dataset>(&id).await?.map(|stored| stored.document))
    }

    /// The datasets that active runs of some experiments read, at most `limit` of them.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn datasets_of(&self, experiments: &[u64], limit: usize) -> Result<Vec<DatasetSummary>> {
        self.follow().await?;
        let mut found = BTreeSet::new();
        for number in experiments {
            let Some(experiment) = self.0.index.experiment_of_number(*number) else { continue };
            for row in self.0.index.runs_of(&[experiment.experiment.key().into()]) {
                for input in &row.inputs {
                    if found.len() == limit {
                        return Ok(found.into_iter().collect());
                    }
                    found.insert(DatasetSummary {
                        experiment: *number,
                        name: input.name.clone(),
                        digest: input.digest.clone(),
                        context: input.tags.get(CONTEXT).cloned(),
                    });
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// What a dataset input was used for.
pub(super) fn context(input: &DatasetInput) -> Option<&str> {
    input.tags.get(CONTEXT).map(String::as_str)
}
