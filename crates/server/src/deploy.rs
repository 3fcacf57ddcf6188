//! A running server follows the catalog: waits until the layers, or the engine, have followed what was applied or deployed.

use std::sync::Arc;
use std::time::Duration;

use mainspring_catalog::Principal;
use mainspring_registry::{Deploy, Deployed, Error};
use mainspring_spec::Project;

use crate::app::{App, Layers};
use crate::http::Problem;

/// How long a version may take to stand behind its endpoint: it is read, checked and compiled.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long the layers may take to follow what was applied: they are made anew from it, which takes milliseconds.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

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

    /// The layers of what is applied at this moment. The server looks at the catalog once a second; whoever decides by what is
    /// declared, and is asked right after an `apply`, must not decide by what was declared before.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails, or the server cannot take up what is applied.
    pub async fn applied_layers(&self) -> Result<Arc<Layers>, Problem> {
        let followed = tokio::time::timeout(APPLIED_WITHIN, async {
            let mut has_asked = false;
            loop {
                let looked = self.looked.notified();
                let layers = self.layers();
                if self.is_applied(&layers.project).await.map_err(|error| Problem::internal(&error))? {
                    return Ok(layers);
                }
                // once: what cannot be taken up now is tried again only as often as the server looks by itself
                if !has_asked {
                    self.changed.notify_one();
                    has_asked = true;
                }
                looked.await;
            }
        });
        followed.await.unwrap_or_else(|_| {
            Err(Problem::unavailable(format!(
                "the server has not taken up the project `{}` as it was applied last, and does not go on with the one \
                 before; its log says why, `mainspring validate` what is wrong with the folder",
                self.layers().project.file.project
            )))
        })
    }

    /// Whether a project is what the catalog has: what was applied last, with the endpoints that were asked for.
    async fn is_applied(&self, project: &Project) -> Result<bool, Error> {
        let declared = self.catalog.declared().await?;
        let mut applied = declared.unwrap_or_else(|| Project::empty(&project.folder));
        applied.folder.clone_from(&project.folder);
        Ok(self.registry.with_deployments(applied).await? == *project)
    }

    /// Has the server look at the catalog now, and waits for what comes of it.
    async fn followed(&self, is_so: impl Fn() -> bool) {
        self.changed.notify_one();
        let waited = tokio::time::timeout(UP_WITHIN, async {
            loop {
                let looked = self.looked.notified();
                if is_so() {
                    return;
                }
                looked.await;
            }
        });
        if waited.await.is_err() {
            tracing::warn!("what was deployed or taken away is in the catalog, and the server has not followed yet");
        }
    }
}
