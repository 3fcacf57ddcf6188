//! Putting a model behind an endpoint by asking.
//!
//! A project declares its endpoints in its folder. An endpoint that is asked for on a running server, or where there is no
//! project, is a [`Deployment`] in the catalog instead; [`Registry::with_deployments`] adds those to what is declared, and
//! from there on an endpoint is an endpoint. Which version answers is the alias's matter in both cases, so gates, promotion
//! and rollback are the same.

use jiff::Timestamp;
use mainspring_catalog::{Change, Document, Expect, ListQuery, Principal, Stored};
use mainspring_spec::{Endpoint, Project, mended_name, name_problem};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Error, ModelVersion, Registry, Result};

/// An endpoint that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// How it answers, as a file would declare it.
    pub endpoint: Endpoint,
    /// Who asked.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Document for Deployment {
    const KIND: &'static str = "deployment";

    fn id(&self) -> String {
        self.endpoint.name.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.endpoint.model.clone())
    }
}

/// What is to stand behind which endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// The model.
    pub model: String,
    /// The endpoint; called like the model when nothing is said.
    pub endpoint: Option<String>,
    /// The version that is to get the alias. Without one, the version that has it stays; where none has it, the newest gets
    /// it.
    pub version: Option<u64>,
    /// The alias that the endpoint follows.
    pub alias: String,
    /// Why, for the record.
    pub reason: String,
}

/// What stands behind an endpoint from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// The endpoint.
    pub endpoint: String,
    /// Its model.
    pub model: String,
    /// The version that answers.
    pub version: u64,
    /// The alias that the endpoint follows.
    pub alias: String,
}

impl Deploy {
    /// The endpoint's name.
    ///
    /// # Errors
    /// [`Error::EndpointName`] when it cannot be one.
    pub fn endpoint_name(&self) -> Result<&str> {
        let name = self.endpoint.as_deref().unwrap_or(&self.model);
        match name_problem(name) {
            None => Ok(name),
            Some(problem) => {
                Err(Error::EndpointName { name: name.chars().take(100).collect(), problem, mended: mended_name(name) })
            }
        }
    }
}

impl Registry {
    /// Puts a model behind an endpoint: gives the version its alias, through the gates, and has the endpoint follow it. An
    /// endpoint that a folder declares must be over this model already.
    ///
    /// # Errors
    /// [`Error::EndpointName`], [`Error::EndpointDeclared`], what [`bring_live`](Self::bring_live) refuses, or when the
    /// catalog fails.
    pub async fn deploy(&self, wanted: &Deploy, principal: &Principal) -> Result<Deployed> {
        let name = wanted.endpoint_name()?;
        let declared = self.catalog.declared().await?;
        let declared_endpoint = declared.as_ref().and_then(|project| project.endpoints.get(name));
        if let Some(endpoint) = declared_endpoint
            && (endpoint.model != wanted.model || endpoint.alias != wanted.alias)
        {
            return Err(Error::EndpointDeclared(name.into()));
        }
        let is_declared = declared_endpoint.is_some();
        let live = self.bring_live(wanted, principal).await?;
        if !is_declared {
            let of_project = declared.is_some_and(|project| project.models.contains_key(&wanted.model));
            let mut endpoint = Endpoint::over_registered(name, &wanted.model, &wanted.alias);
            endpoint.registered = !of_project;
            self.keep(endpoint, live.version, principal).await?;
        }
        Ok(Deployed { endpoint: name.into(), model: live.model, version: live.version, alias: wanted.alias.clone() })
    }

    /// Gives the version that is wanted its alias, if it runs here and meets its gates.
    ///
    /// # Errors
    /// When there is no such version, its model does not run here, or as [`set_alias`](Self::set_alias).
    pub async fn bring_live(&self, wanted: &Deploy, principal: &Principal) -> Result<ModelVersion> {
        let Deploy { model, version, alias, reason, .. } = wanted;
        let version = match version {
            Some(number) => self.version(model, *number).await?,
            None => match self.live(model, alias).await? {
                Some(live) => live,
                None => self.latest(model).await?.ok_or_else(|| Error::NoModel(model.clone()))?,
            },
        };
        self.open_model(&version).await?;
        self.set_alias(model, alias, version.version, principal, reason).await?;
        Ok(version)
    }

    async fn keep(&self, endpoint: Endpoint, version: u64, principal: &Principal) -> Result<()> {
        let stored = self.catalog.get::<Deployment>(&endpoint.name).await?;
        if stored.as_ref().is_some_and(|stored| stored.document.endpoint == endpoint) {
            return Ok(());
        }
        let expect = stored.as_ref().map_or(Expect::Absent, Stored::unchanged);
        let subject = format!("endpoint:{}", endpoint.name);
        let detail = json!({ "model": endpoint.model, "alias": endpoint.alias, "version": version });
        let deployment = Deployment { endpoint, by: principal.clone(), at: Timestamp::now() };
        let change = Change::new(principal, "endpoint.deploy", subject).detail(detail).put(&deployment, expect)?;
        self.catalog.commit(change).await?;
        Ok(())
    }

    /// Takes an endpoint away that was asked for. The versions and aliases of its model stay.
    ///
    /// # Errors
    /// [`Error::EndpointDeclared`] for one that a folder declares, [`Error::NoEndpoint`], or when the catalog fails.
    pub async fn undeploy(&self, name: &str, principal: &Principal) -> Result<()> {
        if self.catalog.declared().await?.is_some_and(|project| project.endpoints.contains_key(name)) {
            return Err(Error::EndpointDeclared(name.into()));
        }
        let stored = self.catalog.get::<Deployment>(name).await?;
        let stored = stored.ok_or_else(|| Error::NoEndpoint(name.into()))?;
        let change = Change::new(principal, "endpoint.undeploy", format!("endpoint:{name}"))
            .detail(json!({ "model": stored.document.endpoint.model }))
            .delete::<Deployment>(name, stored.unchanged());
        self.catalog.commit(change).await?;
        Ok(())
    }

    /// The endpoints that were asked for, by name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn deployments(&self) -> Result<Vec<Deployment>> {
        let stored = self.catalog.all::<Deployment>(ListQuery::default()).await?;
        Ok(stored.into_iter().map(|stored| stored.document).collect())
    }

    /// Adds the endpoints that were asked for to those of a project. What a folder declares comes first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn with_deployments(&self, mut project: Project) -> Result<Project> {
        for Deployment { mut endpoint, .. } in self.deployments().await? {
            endpoint.registered = !project.models.contains_key(&endpoint.model);
            project.endpoints.entry(endpoint.name.clone()).or_insert(endpoint);
        }
        Ok(project)
    }
}
