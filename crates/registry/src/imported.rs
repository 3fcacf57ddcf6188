//! Versions made from a model file of another library, without a client that logs it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_kernel::import;

use crate::registry::blocking;
use crate::{Error, ModelVersion, Registry, Result, VersionStage};

impl Registry {
    /// Registers a LightGBM or XGBoost model file as the next version of a model, which is made when there is none of this
    /// name. `file` names it in errors.
    ///
    /// # Errors
    /// [`Error::NotAModel`] when it is in no format that runs here, [`Error::ModelName`], or when disk or catalog fail.
    pub async fn register_file(
        &self,
        model: &str,
        file: &str,
        bytes: Vec<u8>,
        description: &str,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        let (store, name) = (self.artifacts().clone(), file.to_owned());
        let (imported, artifact) = blocking(move || {
            let imported = import::read(&bytes)
                .map_err(|error| Error::NotAModel { name: name.clone(), reason: error.to_string() })?;
            let artifact = store.put_model("model.json", &imported.artifact)?;
            Ok((imported, artifact))
        })
        .await?;
        match self.model(model).await {
            Ok(_) => {}
            Err(Error::NoModel(_)) => match self.create_model(model, "", BTreeMap::new(), principal).await {
                // somebody else made it at the same time
                Ok(_) | Err(Error::ModelExists(_)) => {}
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
        let tags = [("format", imported.format.as_str()), ("objective", imported.objective.as_str()), ("file", file)];
        let version = ModelVersion {
            model: model.into(),
            version: 0,
            run: None,
            task: Some(imported.artifact.task),
            artifact: Some(artifact),
            training_set: None,
            logged: None,
            tables: BTreeMap::new(),
            commit: None,
            fingerprint: String::new(),
            metrics: BTreeMap::new(),
            baseline: BTreeMap::new(),
            compared: None,
            gates: vec![],
            created_at: Timestamp::now(),
            created_by: principal.clone(),
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            notes: vec![],
            description: description.into(),
            stage: VersionStage::None,
            updated_at: None,
        };
        self.next_version(version, principal).await
    }
}
