//! Deployments on a running server: one function of the registry, and a wait until the engine has followed.

use std::time::Duration;

use mainspring_catalog::Principal;
use mainspring_registry::{Deploy, Deployed, Error};

use crate::app::App;

/// How long a version may take to stand behind its endpoint: it is read, checked and compiled.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl App {
    /// Puts a model behind an endpoint, and waits until it answers. Whoever calls this has asked the policy whether the caller
    /// may `endpoint.deploy` the endpoint and `model.promote` the model.
    ///
    /// # Errors
    /// As [`Registry::deploy`](mainspring_registry::Registry::deploy).
    pub async fn deploy(&self, wanted: &Deploy, principal: &Principal) -> Result<Deployed, Error> {
        let deployed = self.registry.deploy(wanted, principal).await?;
        let is_up = || {
            let endpoint = self.serve.endpoint(&deployed.endpoint).ok()?;
            let now = endpoint.deployed();
            let live = now.live.as_ref()?;
            (live.model == deployed.model && live.version == deployed.version).then_some(())
        };
        self.followed(|| is_up().is_some()).await;
        Ok(deployed)
    }

    /// Takes an endpoint away that was asked for, and waits until it is gone. Whoever calls this has asked the policy whether
    /// the caller may `endpoint.undeploy` it.
    ///
    /// # Errors
    /// As [`Registry::undeploy`](mainspring_registry::Registry::undeploy).
    pub async fn undeploy(&self, endpoint: &str, principal: &Principal) -> Result<(), Error> {
        self.registry.undeploy(endpoint, principal).await?;
        self.followed(|| self.serve.endpoint(endpoint).is_err()).await;
        Ok(())
    }

    /// Has the server look at the catalog now, and waits for what comes of it.
    async fn followed(&self, is_so: impl Fn() -> bool) {
        self.changed.notify_one();
        let waited = tokio::time::timeout(UP_WITHIN, async {
            while !is_so() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        if waited.await.is_err() {
            tracing::warn!("what was deployed or taken away is in the catalog, and the server has not followed yet");
        }
    }
}
