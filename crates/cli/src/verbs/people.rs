//! What people decide: which version is live, who has a key, whether the audit log is whole.

use std::process::ExitCode;

use anyhow::anyhow;
use mainspring_govern::{Identity, NewKey, Role};

use super::principal;
use crate::args::{AuditVerb, KeyVerb, PromoteArgs, RollbackArgs};
use crate::config::Place;
use crate::output::{self, BAD, Column, Failure, GOOD, count, listing, talk, time};
use crate::wiring::Stores;

/// `promote`.
pub async fn promote(place: &Place, args: PromoteArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::open(place, None).await?;
    let moved = stores.registry.set_alias(&args.model, &args.alias, args.version, &principal(), &args.reason).await?;
    output::text(&format!("{} {} is now {} (judged by {} gates)", args.model, args.version, args.alias, moved.results.len()))
}

/// `rollback`.
pub async fn rollback(place: &Place, args: RollbackArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::open(place, None).await?;
    stores.registry.rollback(&args.model, &args.alias, &principal(), &args.reason).await?;
    let live = stores.registry.live(&args.model, &args.alias).await?;
    let version = live.map_or_else(|| "no version".into(), |live| format!("version {}", live.version));
    output::text(&format!("{} of {} is now {version}", args.alias, args.model))
}

/// `audit verify`.
pub async fn audit(place: &Place, verb: AuditVerb) -> Result<ExitCode, Failure> {
    let AuditVerb::Verify(shown) = verb;
    let stores = Stores::open(place, None).await?;
    let verdict = stores.catalog.verify_audit().await?;
    if shown.json {
        output::json(&verdict)?;
    } else if let Some(fault) = &verdict.fault {
        output::text(&format!("{BAD}broken{BAD:#} {fault}"))?;
    } else {
        output::text(&format!("{GOOD}whole{GOOD:#}  {} entries", count(verdict.entries)))?;
    }
    Ok(if verdict.fault.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `key`.
pub async fn key(place: &Place, verb: KeyVerb) -> Result<ExitCode, Failure> {
    let stores = Stores::open(place, None).await?;
    let identity = Identity::new(stores.catalog.clone());
    match verb {
        KeyVerb::Create { name, role } => {
            let role: Role = role.parse().map_err(|error| anyhow!("{error}"))?;
            let made = identity.create_key(NewKey { name, role, kind: mainspring_catalog::PrincipalKind::User }, &principal()).await?;
            talk("the key is shown this once; it is kept as a hash");
            output::text(made.secret.reveal())
        }
        KeyVerb::List(shown) => {
            let keys = identity.keys().await?;
            if shown.json {
                return output::json(&keys);
            }
            let rows = keys.iter().map(|key| {
                let revoked = key.revoked_at.map(time).unwrap_or_default();
                vec![key.id.clone(), key.principal.to_string(), key.role.to_string(), time(key.created_at), revoked]
            });
            let columns = ["id", "principal", "role", "created", "revoked"].map(Column::Left);
            listing(&columns, rows.collect())
        }
        KeyVerb::Revoke { id } => {
            identity.revoke_key(&id, &principal()).await?;
            output::text(&format!("key {id} is worthless now"))
        }
    }
}
