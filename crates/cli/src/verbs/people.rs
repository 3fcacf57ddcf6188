//! What people decide: which version is live, what is said of it, who has a key, whether the audit log is whole.

use std::process::ExitCode;

use anyhow::anyhow;
use mainspring_govern::{ApiKey, NewKey, PrincipalKind, Role};

use super::principal;
use crate::args::{AuditVerb, KeyVerb, PromoteArgs, RollbackArgs, VersionsVerb};
use crate::config::Place;
use crate::output::{self, BAD, Column, Failure, GOOD, listing, talk, time};
use crate::wiring::Stores;

/// `promote`.
pub async fn promote(place: &Place, args: PromoteArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_project(place).await?;
    let moved = stores.registry.set_alias(&args.model, &args.alias, args.version, &principal(), &args.reason).await?;
    output::text(&format!(
        "{} {} is now {} (judged by {} gates)",
        args.model,
        args.version,
        args.alias,
        moved.results.len()
    ))
}

/// `rollback`.
pub async fn rollback(place: &Place, args: RollbackArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_project(place).await?;
    let live = stores.registry.rollback(&args.model, &args.alias, args.to, &principal(), &args.reason).await?;
    output::text(&format!("{} {} is now {}", args.model, live.version, args.alias))
}

/// `versions`.
pub async fn versions(place: &Place, verb: VersionsVerb) -> Result<ExitCode, Failure> {
    // versions that clients logged need no project
    let registry = Stores::of_folder(place).await?.registry;
    match verb {
        VersionsVerb::Note { model, version, text } => {
            registry.note_version(&model, version, &text, &principal()).await?;
            output::text(&format!("{model} {version} has the note"))
        }
        VersionsVerb::Tag { model, version, tag: (key, value) } => {
            registry.tag_version(&model, version, &key, Some(&value), &principal()).await?;
            output::text(&format!("{model} {version} is tagged {key}={value}"))
        }
        VersionsVerb::Untag { model, version, key } => {
            registry.tag_version(&model, version, &key, None, &principal()).await?;
            output::text(&format!("{model} {version} has no tag {key}"))
        }
    }
}

/// `audit verify`.
pub async fn audit(place: &Place, verb: AuditVerb) -> Result<ExitCode, Failure> {
    let AuditVerb::Verify(shown) = verb;
    let stores = Stores::of_project(place).await?;
    let verdict = stores.catalog.verify_audit().await?;
    if shown.json {
        output::json(&verdict)?;
    } else {
        let style = if verdict.is_intact() { GOOD } else { BAD };
        output::text(&format!("{style}{verdict}{style:#}"))?;
    }
    Ok(if verdict.is_intact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `key`.
pub async fn key(place: &Place, verb: KeyVerb) -> Result<ExitCode, Failure> {
    // a server may run on a folder without a project, and may need a key first
    let stores = Stores::of_folder(place).await?;
    let identity = &stores.identity;
    match verb {
        KeyVerb::Create { name, role } => {
            let role: Role = role.parse().map_err(|error| anyhow!("{error}"))?;
            let new = NewKey { name, kind: PrincipalKind::User, roles: vec![role], expires_at: None };
            let made = identity.create_key(&principal(), new).await?;
            talk("the key is shown this once; it is kept as a hash");
            output::text(made.secret.reveal())
        }
        KeyVerb::List(shown) => {
            let keys = identity.list_keys().await?;
            if shown.json {
                return output::json(&keys.iter().map(|key| shown_key(&key.document)).collect::<Vec<_>>());
            }
            let rows = keys.iter().map(|key| {
                let (made, key) = (time(key.created_at), &key.document);
                let roles: Vec<String> = key.roles.iter().map(ToString::to_string).collect();
                let revoked = key.revoked_at.map(time).unwrap_or_default();
                vec![key.name.clone(), key.key_id.clone(), roles.join(" "), made, revoked]
            });
            let columns = ["name", "id", "roles", "made", "revoked"].map(Column::Left);
            listing(&columns, rows.collect())
        }
        KeyVerb::Revoke { name } => {
            identity.revoke_key(&principal(), &name).await?;
            output::text(&format!("the key of {name} is worthless now"))
        }
    }
}

/// A key without what its holder must keep.
fn shown_key(key: &ApiKey) -> serde_json::Value {
    serde_json::json!({
        "name": key.name,
        "id": key.key_id,
        "kind": key.kind,
        "roles": key.roles,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}
