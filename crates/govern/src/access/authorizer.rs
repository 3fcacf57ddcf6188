//! The one place where it is decided who may do what.
//!
//! Arithmetic: Cedar needs some 10 µs for a decision, with the request it builds. Decisions depend on nothing but
//! principal, action, resource and roles, so they are kept; one that was made before takes well under a microsecond.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cedar_policy::{
    Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request, Schema,
};
use mainspring_catalog::{Principal, PrincipalKind};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::policies::{default_policy, read, schema, shown_name};
use super::role::Members;
use super::{Resource, Role, Roles};
use crate::{Error, Result};

/// How many decisions are remembered, about 200 bytes each.
const MAX_REMEMBERED: usize = 10_000;
/// Longer names are decided on but not remembered, so that memory stays bounded.
const MAX_REMEMBERED_NAME: usize = 256;

/// Every action that policies know, with its group.
pub const ACTIONS: &[(&str, &str)] = &[
    ("endpoint.predict", "call"),
    ("project.read", "read"),
    ("source.read", "read"),
    ("table.read", "read"),
    ("view.read", "read"),
    ("experiment.read", "read"),
    ("run.read", "read"),
    ("model.read", "read"),
    ("endpoint.read", "read"),
    ("monitor.read", "read"),
    ("alert.read", "read"),
    ("workflow.read", "read"),
    ("source.ingest", "operate"),
    ("source.push", "operate"),
    ("table.maintain", "operate"),
    ("view.backfill", "operate"),
    ("view.materialize", "operate"),
    ("view.check", "operate"),
    ("experiment.create", "operate"),
    ("experiment.update", "operate"),
    ("experiment.delete", "operate"),
    ("run.start", "operate"),
    ("run.log", "operate"),
    ("run.end", "operate"),
    ("run.delete", "operate"),
    ("model.train", "operate"),
    ("model.register", "operate"),
    ("model.promote", "operate"),
    ("model.rollback", "operate"),
    ("model.remove_alias", "operate"),
    ("model.tag", "operate"),
    ("model.note", "operate"),
    ("model.create", "operate"),
    ("model.rename", "operate"),
    ("model.delete", "operate"),
    ("webhook.read", "administer"),
    ("webhook.create", "administer"),
    ("webhook.update", "administer"),
    ("webhook.delete", "administer"),
    ("webhook.test", "administer"),
    ("lineage.observe", "operate"),
    ("endpoint.deploy", "operate"),
    ("endpoint.undeploy", "operate"),
    ("labels.push", "operate"),
    ("monitor.evaluate", "operate"),
    ("alert.acknowledge", "operate"),
    ("alert.resolve", "operate"),
    ("workflow.run", "operate"),
    ("workflow.cancel", "operate"),
    ("project.apply", "administer"),
    ("table.read_personal", "administer"),
    ("audit.read", "administer"),
    ("audit.verify", "administer"),
    ("key.create", "administer"),
    ("key.list", "administer"),
    ("key.revoke", "administer"),
];

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not do {action} on {resource}: {reason}")]
pub struct Denied {
    /// Who asked.
    pub principal: Principal,
    /// To do what.
    pub action: Box<str>,
    /// To what.
    pub resource: Resource,
    /// Why not, and what would help.
    pub reason: Box<str>,
}

/// Decides by the project's policies.
pub struct Authorizer {
    engine: cedar_policy::Authorizer,
    schema: Schema,
    policies: PolicySet,
    roles: Roles,
    entities: ArcSwap<Known>,
    decisions: Cache<Remembered, Decided>,
}

/// A question that was decided.
#[derive(PartialEq, Eq, Hash)]
struct Remembered {
    generation: u64,
    principal: Principal,
    action: Box<str>,
    kind: Box<str>,
    name: Box<str>,
}

/// The same question as it is asked: a look-up copies nothing. It must hash as [`Remembered`] does.
#[derive(Hash)]
struct Asked<'a> {
    generation: u64,
    principal: &'a Principal,
    action: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl Equivalent<Remembered> for Asked<'_> {
    fn equivalent(&self, remembered: &Remembered) -> bool {
        self.generation == remembered.generation
            && *self.name == *remembered.name
            && *self.kind == *remembered.kind
            && *self.action == *remembered.action
            && *self.principal == remembered.principal
    }
}

impl Asked<'_> {
    fn remembered(&self) -> Remembered {
        Remembered {
            generation: self.generation,
            principal: self.principal.clone(),
            action: self.action.into(),
            kind: self.kind.into(),
            name: self.name.into(),
        }
    }
}

/// The principals that Cedar knows, as of an assignment of roles.
struct Known {
    generation: u64,
    entities: Entities,
}

#[derive(Clone)]
enum Decided {
    Allowed,
    Denied(Arc<str>),
}

impl Authorizer {
    /// Reads policies: file names in `policies/` and their texts. Without any, [`default_policy`] holds. Until
    /// [roles are given](Self::with_roles) only the local owner has one.
    ///
    /// # Errors
    /// [`Error::Policies`] when one does not parse or speaks of what does not exist, each with file and line.
    pub fn new(policies: &BTreeMap<String, String>) -> Result<Self> {
        let schema = schema()?;
        let policies = if policies.is_empty() {
            read(&BTreeMap::from([("default.cedar".to_owned(), default_policy().to_owned())]), &schema)?
        } else {
            read(policies, &schema)?
        };
        let roles = Roles::default();
        let entities = ArcSwap::from_pointee(known(&roles.members(), &schema)?);
        Ok(Self {
            engine: cedar_policy::Authorizer::new(),
            schema,
            policies,
            roles,
            entities,
            decisions: Cache::new(MAX_REMEMBERED),
        })
    }

    /// Takes who holds which roles from the identities: `Authorizer::new(..)?.with_roles(identity.roles())`.
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self.decisions.clear();
        // Generations count from 1, so these are made anew at the first question.
        self.entities.store(Arc::new(Known { generation: 0, entities: Entities::empty() }));
        self
    }

    /// Decides whether `principal` may do `action` to `resource`. What is not known is denied.
    ///
    /// # Errors
    /// [`Denied`], with the reason and, where a role would help, which.
    pub fn check(&self, principal: &Principal, action: &str, resource: &Resource) -> Result<(), Denied> {
        self.check_named(principal, action, &resource.kind, &resource.name)
    }

    /// The same, of a resource that is named by its kind and name: nothing is copied for a question that was asked before.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_named(&self, principal: &Principal, action: &str, kind: &str, name: &str) -> Result<(), Denied> {
        let asked = Asked { generation: self.roles.generation(), principal, action, kind, name };
        let decided = match self.decisions.get(&asked) {
            Some(decided) => decided,
            None => {
                let members = self.roles.members();
                let asked = Asked { generation: members.generation, ..asked };
                let decided = self.decide(&members, principal, action, &Resource::new(kind, name));
                if principal.name.len() + action.len() + kind.len() + name.len() <= MAX_REMEMBERED_NAME {
                    self.decisions.insert(asked.remembered(), decided.clone());
                }
                decided
            }
        };
        match decided {
            Decided::Allowed => Ok(()),
            Decided::Denied(reason) => Err(Denied {
                principal: principal.clone(),
                action: action.into(),
                resource: Resource::new(kind, name),
                reason: reason.as_ref().into(),
            }),
        }
    }

    fn decide(&self, members: &Members, principal: &Principal, action: &str, resource: &Resource) -> Decided {
        let entities = match self.entities_of(members) {
            Ok(entities) => entities,
            Err(error) => return Decided::Denied(error.to_string().into()),
        };
        let request = match request(principal_uid(principal), action, resource, &self.schema) {
            Ok(request) => request,
            Err(reason) => return Decided::Denied(reason.into()),
        };
        let response = self.engine.is_authorized(&request, &self.policies, &entities.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            // Cedar passes over a policy that fails. If it was a `forbid`, going on would open what it closes.
            return Decided::Denied(format!("a policy failed while it was asked: {error}").into());
        }
        match response.decision() {
            Decision::Allow => Decided::Allowed,
            Decision::Deny => match response.diagnostics().reason().next() {
                Some(forbidding) => Decided::Denied(format!("the policy {} forbids it", shown_name(forbidding)).into()),
                None => Decided::Denied(self.missing_role(members, &entities, principal, action, resource).into()),
            },
        }
    }

    /// Says which roles the principal has, and which is the least that would do.
    fn missing_role(
        &self,
        members: &Members,
        known: &Known,
        principal: &Principal,
        action: &str,
        resource: &Resource,
    ) -> String {
        let held = match members.by_principal.get(principal).map(Vec::as_slice) {
            None | Some([]) => "it has no role".to_owned(),
            Some([role]) => format!("the role {role} does not allow it"),
            Some(roles) => {
                let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                format!("the roles {} do not allow it", roles.join(", "))
            }
        };
        let would_do = Role::ALL.into_iter().find(|role| {
            request(uid("User", &holder(*role)), action, resource, &self.schema).is_ok_and(|request| {
                self.engine.is_authorized(&request, &self.policies, &known.entities).decision() == Decision::Allow
            })
        });
        match would_do {
            Some(role) => format!("{held}; the least role that does is {role}"),
            None => format!("{held}, and no role alone does; see the policies of the project"),
        }
    }

    fn entities_of(&self, members: &Members) -> Result<Arc<Known>> {
        let entities = self.entities.load_full();
        if entities.generation == members.generation {
            return Ok(entities);
        }
        let entities = Arc::new(known(members, &self.schema)?);
        self.entities.store(Arc::clone(&entities));
        Ok(entities)
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").field("policies", &self.policies.num_of_policies()).finish_non_exhaustive()
    }
}

/// A user who holds one role and nothing else, made up to find out which role is missing. No key can have such a name.
fn holder(role: Role) -> String {
    format!("\u{1}holder of {role}")
}

fn known(members: &Members, schema: &Schema) -> Result<Known> {
    let role = |role: Role| uid("Role", role.as_str());
    let mut entities = Vec::with_capacity(members.by_principal.len() + 2 * Role::ALL.len());
    for each in Role::ALL {
        let below = each.below().into_iter().map(role).collect::<Result<_>>()?;
        entities.push(Entity::new_no_attrs(role(each)?, below));
        entities.push(Entity::new_no_attrs(uid("User", &holder(each))?, HashSet::from([role(each)?])));
    }
    for (principal, roles) in &members.by_principal {
        if principal.kind != PrincipalKind::System {
            let parents = roles.iter().copied().map(role).collect::<Result<_>>()?;
            entities.push(Entity::new_no_attrs(principal_uid(principal)?, parents));
        }
    }
    let entities =
        Entities::from_entities(entities, Some(schema)).map_err(|error| Error::Engine { reason: error.to_string() })?;
    Ok(Known { generation: members.generation, entities })
}

fn request(
    principal: Result<EntityUid>,
    action: &str,
    resource: &Resource,
    schema: &Schema,
) -> Result<Request, String> {
    if !ACTIONS.iter().any(|(name, _)| *name == action) {
        return Err(format!("there is no action {action}"));
    }
    let Some(type_name) = resource.type_name() else {
        return Err(format!("there is no kind of resource {}", resource.kind));
    };
    let words = |error: Error| error.to_string();
    let (principal, action_uid) = (principal.map_err(words)?, uid("Action", action).map_err(words)?);
    let resource_uid = uid(type_name, &resource.name).map_err(words)?;
    Request::new(principal, action_uid, resource_uid, Context::empty(), Some(schema))
        .map_err(|_| format!("{action} does not apply to the kind {}", resource.kind))
}

fn principal_uid(principal: &Principal) -> Result<EntityUid> {
    let type_name = match principal.kind {
        PrincipalKind::User => "User",
        PrincipalKind::Service => "Service",
        PrincipalKind::System => "System",
    };
    uid(type_name, &principal.name)
}

fn uid(type_name: &str, id: &str) -> Result<EntityUid> {
    let type_name = EntityTypeName::from_str(type_name).map_err(|error| Error::Engine { reason: error.to_string() })?;
    Ok(EntityUid::from_type_name_and_id(type_name, EntityId::new(id)))
}

#[cfg(test)]
mod tests;
