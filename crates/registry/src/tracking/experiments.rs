//! Experiments: made, renamed, deleted, restored, labelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, ListQuery, Principal};
use serde_json::json;

use super::Tracking;
use super::index::ExperimentRow;
use crate::experiment::{ExperimentName, LastNumber};
use crate::registry::until_alone;
use crate::{Error, Experiment, Result, Stage};

/// The experiment that clients use when they name none.
const DEFAULT: (&str, u64) = ("Default", 0);

/// What an experiment is made with.
#[derive(Debug, Clone, Default)]
pub struct NewExperiment {
    /// Its name.
    pub name: String,
    /// Where clients put files, when not in our store.
    pub artifact_location: Option<String>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
}

/// What is done to an experiment.
#[derive(Debug, Clone)]
pub enum ExperimentChange {
    /// Gives it another name.
    Rename(String),
    /// Deletes it, and its runs with it: a run counts as deleted while its experiment is.
    Delete,
    /// Takes that back.
    Restore,
    /// Sets a label.
    SetTag(String, String),
    /// Takes a label away.
    DeleteTag(String),
}

impl ExperimentChange {
    fn action(&self) -> &'static str {
        match self {
            Self::Rename(_) => "experiment.rename",
            Self::Delete => "experiment.delete",
            Self::Restore => "experiment.restore",
            Self::SetTag(..) | Self::DeleteTag(_) => "experiment.tag",
        }
    }

    fn detail(&self) -> serde_json::Value {
        match self {
            Self::Rename(name) => json!({ "name": name }),
            Self::Delete | Self::Restore => json!({}),
            Self::SetTag(key, _) => json!({ "tag": key }),
            Self::DeleteTag(key) => json!({ "tag": key, "removed": true }),
        }
    }

    fn apply(&self, experiment: &mut Experiment) -> Result<()> {
        let is_active = experiment.stage == Stage::Active;
        let wrong_stage = |must: &'static str| Error::ExperimentStage { name: experiment.name.clone(), must };
        match self {
            Self::Restore if is_active => return Err(wrong_stage("deleted")),
            Self::Restore => experiment.stage = Stage::Active,
            _ if !is_active => return Err(wrong_stage("active")),
            Self::Rename(name) => experiment.name.clone_from(name),
            Self::Delete => experiment.stage = Stage::Deleted,
            Self::SetTag(key, value) => {
                experiment.tags.insert(key.clone(), value.clone());
            }
            Self::DeleteTag(key) => {
                if experiment.tags.remove(key).is_none() {
                    return Err(Error::NoTag { of: format!("experiment `{}`", experiment.name), key: key.clone() });
                }
            }
        }
        Ok(())
    }
}

impl Tracking {
    /// Makes an experiment.
    ///
    /// # Errors
    /// [`Error::ExperimentTaken`], or when the catalog fails.
    pub async fn create_experiment(&self, new: NewExperiment, principal: &Principal) -> Result<Arc<ExperimentRow>> {
        let number = create(&self.0.catalog, new, None, principal).await?;
        self.follow().await?;
        self.0.index.experiment_of_number(number).ok_or_else(|| Error::NoExperiment(number.to_string()))
    }

    /// Changes an experiment.
    ///
    /// # Errors
    /// [`Error::NoExperiment`]; [`Error::ExperimentStage`] when it is deleted, or is not and is to be restored;
    /// [`Error::ExperimentTaken`]; [`Error::NoTag`].
    pub async fn change_experiment(
        &self,
        number: u64,
        what: ExperimentChange,
        principal: &Principal,
    ) -> Result<Arc<ExperimentRow>> {
        let row = self.experiment(number).await?;
        let key = row.experiment.key().to_owned();
        let _alone = self.locked(&key).await;
        let busy = || Error::Busy(format!("experiment `{}`", row.experiment.name));
        until_alone(busy, || async {
            let stored = self.0.catalog.get::<Experiment>(&key).await?;
            let stored = stored.ok_or_else(|| Error::NoExperiment(number.to_string()))?;
            let unchanged = stored.unchanged();
            let before = stored.document.name.clone();
            let mut experiment = stored.document;
            what.apply(&mut experiment)?;
            experiment.updated_at = Some(Timestamp::now());
            let mut change = Change::new(principal, what.action(), format!("experiment:{before}"))
                .detail(what.detail())
                .put(&experiment, unchanged)?;
            if experiment.name != before {
                let claim = ExperimentName { name: experiment.name.clone(), key: key.clone() };
                change = change.put(&claim, Expect::Absent)?.delete::<ExperimentName>(&before, Expect::Any);
                // a record of before names could change claims its name by its key
                if self
                    .0
                    .catalog
                    .get::<Experiment>(&experiment.name)
                    .await?
                    .is_some_and(|other| other.document.key.is_empty() && other.document.name == experiment.name)
                {
                    return Err(Error::ExperimentTaken(experiment.name));
                }
            }
            self.0.catalog.commit(change).await.map(|_| ()).map_err(|error| match error {
                mainspring_catalog::Error::Conflict { kind, .. } if kind == "experiment_name" => {
                    Error::ExperimentTaken(experiment.name)
                }
                other => other.into(),
            })
        })
        .await?;
        self.experiment(number).await
    }

    /// The experiment of a number.
    ///
    /// # Errors
    /// [`Error::NoExperiment`], or when the catalog fails.
    pub async fn experiment(&self, number: u64) -> Result<Arc<ExperimentRow>> {
        self.follow().await?;
        self.0.index.experiment_of_number(number).ok_or_else(|| Error::NoExperiment(number.to_string()))
    }

    /// The experiment of a key, as runs name it.
    #[must_use]
    pub fn experiment_of_key(&self, key: &str) -> Option<Arc<ExperimentRow>> {
        self.0.index.experiment(key)
    }

    /// The experiment of a name, deleted or not.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn experiment_named(&self, name: &str) -> Result<Option<Arc<ExperimentRow>>> {
        self.follow().await?;
        Ok(self.0.index.experiment_named(name))
    }

    /// All experiments, by number, deleted ones too.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn experiments(&self) -> Result<Vec<Arc<ExperimentRow>>> {
        self.follow().await?;
        Ok(self.0.index.experiments())
    }

    /// Makes the experiment that clients use when they name none, if it is not there.
    pub(super) async fn ensure_default_experiment(&self) -> Result<()> {
        let (name, number) = DEFAULT;
        if self.0.catalog.get::<Experiment>(&number.to_string()).await?.is_some() {
            return Ok(());
        }
        let new = NewExperiment { name: name.to_owned(), ..NewExperiment::default() };
        match create(&self.0.catalog, new, Some(number), &Principal::system("tracking")).await {
            Ok(_) | Err(Error::ExperimentTaken(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Makes an experiment, of the next number or a given one, and gives the number.
async fn create(catalog: &Catalog, new: NewExperiment, given: Option<u64>, principal: &Principal) -> Result<u64> {
    let busy = || Error::Busy(format!("experiment `{}`", new.name));
    until_alone(busy, || async {
        let is_named = catalog.get::<ExperimentName>(&new.name).await?.is_some();
        if is_named || catalog.get::<Experiment>(&new.name).await?.is_some_and(|old| old.document.key.is_empty()) {
            return Err(Error::ExperimentTaken(new.name.clone()));
        }
        let last = catalog.get::<LastNumber>(LastNumber::ID).await?;
        let number = given.unwrap_or_else(|| last.as_ref().map_or(1, |last| last.document.number + 1));
        let now = Timestamp::now();
        let experiment = Experiment {
            name: new.name.clone(),
            key: number.to_string(),
            number: Some(number),
            tags: new.tags.clone(),
            artifact_location: new.artifact_location.clone(),
            created_at: Some(now),
            updated_at: Some(now),
            ..Experiment::default()
        };
        commit_new(catalog, &experiment, given.is_none(), last, principal).await?;
        Ok(number)
    })
    .await
}

/// Writes an experiment, its name and its number; a conflict when somebody else was faster with one of them.
async fn commit_new(
    catalog: &Catalog,
    experiment: &Experiment,
    counts: bool,
    last: Option<mainspring_catalog::Stored<LastNumber>>,
    principal: &Principal,
) -> Result<()> {
    let number = experiment.number.unwrap_or_default();
    let claim = ExperimentName { name: experiment.name.clone(), key: experiment.key().to_owned() };
    let mut change = Change::new(principal, "experiment.create", format!("experiment:{}", experiment.name))
        .detail(json!({ "number": number }))
        .put(experiment, Expect::Absent)?
        .put(&claim, Expect::Absent)?;
    if counts {
        let unchanged = last.map_or(Expect::Absent, |last| last.unchanged());
        change = change.put(&LastNumber { number }, unchanged)?;
    }
    catalog.commit(change).await?;
    Ok(())
}

/// The key of the experiment of a name, which is made if there is none.
pub(crate) async fn ensure(catalog: &Catalog, name: &str, principal: &Principal) -> Result<String> {
    let busy = || Error::Busy(format!("experiment `{name}`"));
    until_alone(busy, || async {
        if let Some(claim) = catalog.get::<ExperimentName>(name).await? {
            return Ok(claim.document.key);
        }
        let of_that_key = catalog.get::<Experiment>(name).await?;
        if of_that_key.as_ref().is_some_and(|old| old.document.name == name) {
            return Ok(name.to_owned());
        }
        let last = catalog.get::<LastNumber>(LastNumber::ID).await?;
        let number = last.as_ref().map_or(1, |last| last.document.number + 1);
        let now = Timestamp::now();
        // digits alone are keys of experiments made over the wire, and one that was renamed keeps its key
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let key = if is_number || of_that_key.is_some() { number.to_string() } else { name.to_owned() };
        let experiment = Experiment {
            name: name.to_owned(),
            key,
            number: Some(number),
            created_at: Some(now),
            updated_at: Some(now),
            ..Experiment::default()
        };
        commit_new(catalog, &experiment, true, last, principal).await?;
        Ok(experiment.key)
    })
    .await
}

/// Gives numbers to experiments that were made when there were none.
pub(super) async fn adopt(catalog: &Catalog, principal: &Principal) -> Result<()> {
    for stored in catalog.all::<Experiment>(ListQuery::default()).await? {
        if stored.document.number.is_some() {
            continue;
        }
        let last = catalog.get::<LastNumber>(LastNumber::ID).await?;
        let number = last.as_ref().map_or(1, |last| last.document.number + 1);
        let unchanged = stored.unchanged();
        let experiment = Experiment {
            key: stored.document.key().to_owned(),
            number: Some(number),
            created_at: Some(stored.created_at),
            updated_at: Some(stored.updated_at),
            ..stored.document
        };
        let claim = ExperimentName { name: experiment.name.clone(), key: experiment.key.clone() };
        let change = Change::new(principal, "experiment.number", format!("experiment:{}", experiment.name))
            .detail(json!({ "number": number }))
            .put(&experiment, unchanged)?
            .put(&claim, Expect::Any)?
            .put(&LastNumber { number }, last.map_or(Expect::Absent, |last| last.unchanged()))?;
        match catalog.commit(change).await {
            Ok(_) => {}
            // somebody else is at it; what is left is taken up the next time
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
