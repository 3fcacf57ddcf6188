//! What stands behind an endpoint at a moment.

use std::sync::Arc;

use mainspring_kernel::{ModelArtifact, Scorer};
use mainspring_spec::Task;

use crate::Error;
use crate::log::LogColumns;
use crate::lookup::FeatureLookup;
use crate::plan::Plan;

/// Everything a request needs, in one pointer: never changed, only replaced.
pub struct Deployed {
    /// What a request brings and what is looked up.
    pub plan: Plan,
    /// The version that answers; `None` while no version has the alias or it cannot be loaded.
    pub live: Option<Live>,
    /// How its predictions are logged.
    pub(crate) columns: Arc<LogColumns>,
}

/// A version of a model, ready to answer.
pub struct Live {
    /// The model's name.
    pub model: String,
    /// The version's number.
    pub version: u64,
    /// The number as text, as most protocols want it.
    pub version_text: String,
    /// What kind of answer it gives.
    pub task: Task,
    /// The names of its classes; for a binary model of false and true, or none.
    pub classes: Vec<String>,
    pub(crate) scorer: Scorer,
    pub(crate) lookup: Option<Arc<dyn FeatureLookup>>,
    /// Whether an encoded row is the row of inputs as numbers.
    pub(crate) numbers_are_encoded: bool,
}

impl Deployed {
    /// The state without a version.
    #[must_use]
    pub fn empty(plan: Plan) -> Self {
        Self { columns: Arc::new(LogColumns::of(&plan)), plan, live: None }
    }

    /// Makes a version ready. `lookup` is needed when the plan has features.
    ///
    /// # Errors
    /// When the artifact is not valid, or its inputs are not the plan's.
    pub fn new(
        artifact: &ModelArtifact,
        model: &str,
        version: u64,
        plan: Plan,
        lookup: Option<Arc<dyn FeatureLookup>>,
    ) -> Result<Self, Error> {
        let unservable = |reason: &str| Error::Unservable { model: model.into(), version, reason: reason.into() };
        let same = artifact.inputs.len() == plan.inputs.len()
            && artifact.inputs.iter().zip(&plan.inputs).all(|(input, planned)| input.name == planned.name);
        if !same {
            return Err(unservable("its inputs are not those planned for"));
        }
        if lookup.is_none() && !plan.features.is_empty() {
            return Err(unservable("it needs features, and there is no online store"));
        }
        let scorer = Scorer::compile(artifact)?;
        let numbers_are_encoded = scorer.encoder().takes_numbers_as_they_are();
        let live = Live {
            model: model.to_owned(),
            version,
            version_text: version.to_string(),
            task: artifact.task,
            classes: artifact.classes.clone(),
            scorer,
            lookup,
            numbers_are_encoded,
        };
        Ok(Self { columns: Arc::new(LogColumns::of(&plan)), plan, live: Some(live) })
    }

    /// The number of the version that answers.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.version)
    }
}
