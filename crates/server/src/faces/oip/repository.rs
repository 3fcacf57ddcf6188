//! The model repository extension: what is served, and taking models in and out of service.

use mainspring_catalog::Principal;
use mainspring_serve::Error;
use serde::{Deserialize, Serialize};

use crate::faces::{Refusal, Served};

/// `POST /v2/repository/index`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct IndexRequest {
    /// Only models that are ready.
    #[serde(default)]
    pub(super) ready: bool,
}

/// A model of the repository.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) state: &'static str,
    pub(super) reason: String,
}

/// The models that the caller may see, by name.
pub(super) fn index(served: &Served, caller: &Principal, only_ready: bool) -> Vec<Entry> {
    let endpoints = served.engine.endpoints();
    let visible = endpoints.iter().filter(|endpoint| (served.gate)(caller, "endpoint.read", endpoint.name()).is_ok());
    let entries = visible.map(|endpoint| {
        let name = endpoint.name().to_owned();
        match &endpoint.deployed().live {
            Some(live) => Entry { name, version: live.version_text.clone(), state: "READY", reason: String::new() },
            None => {
                let declared = endpoint.declared();
                let reason = format!("no version of `{}` has the alias `{}`", declared.model, declared.alias);
                Entry { name, version: String::new(), state: "UNAVAILABLE", reason }
            }
        }
    });
    entries.filter(|entry| !only_ready || entry.state == "READY").collect()
}

/// Sees to it that a model is in service.
///
/// # Errors
/// When there is no such model, or nothing of it that could answer.
pub(super) fn load(served: &Served, caller: &Principal, model: &str) -> Result<(), Refusal> {
    let endpoint = served.endpoint(Some(caller), "endpoint.read", model)?;
    if endpoint.deployed().live.is_some() {
        return Ok(());
    }
    let declared = endpoint.declared();
    Err(Refusal::Serve(Error::NothingLive {
        endpoint: model.to_owned(),
        model: declared.model.clone(),
        alias: declared.alias.clone(),
    }))
}

/// Takes a model out of service.
///
/// # Errors
/// When there is no such model, or the project declares its endpoint.
pub(super) fn unload(served: &Served, caller: &Principal, model: &str) -> Result<(), Refusal> {
    served.endpoint(Some(caller), "endpoint.read", model)?;
    Err(Refusal::Serve(Error::Invalid(format!(
        "endpoint `{model}` is declared by the project; remove endpoints/{model}.yaml and apply the project to take it \
         out of service"
    ))))
}
