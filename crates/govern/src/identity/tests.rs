//! Keys from making to revoking, and every way of not being let in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mainspring_catalog::{AuditQuery, Catalog, Principal, PrincipalKind};

use super::*;
use crate::{Authorizer, Error, Resource, Role, check_bind};

const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];

fn elsewhere() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

async fn identity() -> Identity {
    Identity::open(Catalog::open("sqlite::memory:").await.unwrap()).await.unwrap()
}

fn bearer(created: &CreatedKey) -> String {
    format!("Bearer {}", created.secret.reveal())
}

#[tokio::test]
async fn loopback_without_credentials_is_the_local_owner_and_nobody_else_is() {
    let identity = identity().await;

    for peer in LOOPBACK {
        assert_eq!(identity.authenticate(None, peer.parse().unwrap()), Ok(Principal::local_owner()));
    }
    assert_eq!(identity.authenticate(None, elsewhere()), Err(Unauthenticated::Missing));
    let behind_a_proxy = identity.requiring_keys();
    for peer in LOOPBACK {
        assert_eq!(behind_a_proxy.authenticate(None, peer.parse().unwrap()), Err(Unauthenticated::Missing));
    }
}

#[tokio::test]
async fn a_key_works_from_making_to_revoking() {
    let identity = identity().await;
    let owner = Principal::local_owner();
    let public = "0.0.0.0:80".parse().unwrap();
    assert!(check_bind(public, identity.has_keys()).is_err());

    let created = identity.create_key(&owner, NewKey::service("app", Role::Viewer)).await.unwrap();
    let header = bearer(&created);

    assert!(check_bind(public, identity.has_keys()).is_ok());
    assert_eq!(identity.authenticate(Some(&header), elsewhere()), Ok(Principal::service("app")));
    assert_eq!(
        identity.authenticate(Some(&header.replace("Bearer", "bearer")), elsewhere()),
        Ok(Principal::service("app"))
    );
    let authorizer = Authorizer::new(&BTreeMap::new()).unwrap().with_roles(identity.roles());
    let model = Resource::new("model", "m");
    assert!(authorizer.check(&Principal::service("app"), "model.read", &model).is_ok());
    assert!(authorizer.check(&Principal::service("app"), "model.promote", &model).is_err());

    identity.revoke_key(&owner, "app").await.unwrap();

    assert_eq!(identity.authenticate(Some(&header), elsewhere()), Err(Unauthenticated::Wrong));
    assert!(authorizer.check(&Principal::service("app"), "model.read", &model).is_err());
    assert!(!identity.has_keys());
    let twice = identity.revoke_key(&owner, "app").await.unwrap_err();
    assert!(matches!(twice, Error::NoSuchKey { .. }), "{twice}");

    let again = identity.create_key(&owner, NewKey::service("app", Role::Caller)).await.unwrap();
    assert_eq!(identity.authenticate(Some(&header), elsewhere()), Err(Unauthenticated::Wrong));
    assert_eq!(identity.authenticate(Some(&bearer(&again)), elsewhere()), Ok(Principal::service("app")));
}

#[tokio::test]
async fn wrong_keys_are_wrong_from_everywhere() {
    let identity = identity().await;
    let created = identity.create_key(&Principal::local_owner(), NewKey::user("ada", Role::Admin)).await.unwrap();
    let right = created.secret.reveal().to_owned();
    let mut other_end = right.clone();
    other_end.replace_range(right.len() - 1.., if right.ends_with('0') { "1" } else { "0" });

    let wrong = [
        other_end,
        right.to_uppercase(),
        format!("{right}0"),
        right[..right.len() - 1].to_owned(),
        format!("ms_0000000000000000_{}", "0".repeat(64)),
        "x".to_owned(),
        "ms__".to_owned(),
    ];
    for key in wrong {
        for peer in [elsewhere(), "127.0.0.1".parse().unwrap()] {
            let header = format!("Bearer {key}");
            assert_eq!(identity.authenticate(Some(&header), peer), Err(Unauthenticated::Wrong), "{key} {peer}");
        }
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTo=",
        "Basic !",
        "Digest YTpi",
        &right,
        &format!("Bearer {}", "x".repeat(5_000)),
    ] {
        let answer = identity.authenticate(Some(header), "127.0.0.1".parse().unwrap());
        assert_eq!(answer, Err(Unauthenticated::Malformed), "{header}");
    }
}

#[tokio::test]
async fn a_client_that_knows_only_passwords_sends_the_key_as_one() {
    let identity = identity().await;
    let created = identity.create_key(&Principal::local_owner(), NewKey::user("ada", Role::Admin)).await.unwrap();
    let basic = |pair: String| format!("basic {}", STANDARD.encode(pair));

    let right = identity.authenticate(Some(&basic(format!("whoever:{}", created.secret.reveal()))), elsewhere());
    let unpadded = basic(format!("w:{}", created.secret.reveal())).trim_end_matches('=').to_owned();
    let wrong = identity.authenticate(Some(&basic("ada:password".into())), elsewhere());

    assert_eq!(right, Ok(Principal::user("ada")));
    assert_eq!(identity.authenticate(Some(&unpadded), elsewhere()), Ok(Principal::user("ada")));
    assert_eq!(wrong, Err(Unauthenticated::Wrong));
}

#[tokio::test]
async fn many_wrong_keys_are_told_to_wait_and_a_right_one_still_works() {
    let identity = identity().await;
    let created = identity.create_key(&Principal::local_owner(), NewKey::user("ada", Role::Admin)).await.unwrap();

    for _ in 0..20 {
        assert_eq!(identity.authenticate(Some("Bearer x"), elsewhere()), Err(Unauthenticated::Wrong));
    }

    let told = identity.authenticate(Some("Bearer x"), elsewhere());
    assert!(matches!(told, Err(Unauthenticated::TooManyAttempts { retry_after_seconds: 1..=60 })), "{told:?}");
    assert_eq!(identity.authenticate(Some(&bearer(&created)), elsewhere()), Ok(Principal::user("ada")));
}

#[tokio::test]
async fn an_expired_key_no_longer_works() {
    let identity = identity().await;
    let end = Timestamp::now() + Duration::from_secs(3);
    let new = NewKey { expires_at: Some(end), ..NewKey::service("short", Role::Caller) };
    let created = identity.create_key(&Principal::local_owner(), new).await.unwrap();
    let works = identity.authenticate(Some(&bearer(&created)), elsewhere()).is_ok();
    assert!(works || Timestamp::now() >= end);

    assert!(until(|| Timestamp::now() >= end).await);

    assert_eq!(identity.authenticate(Some(&bearer(&created)), elsewhere()), Err(Unauthenticated::Wrong));
    assert!(!identity.has_keys());
}

#[tokio::test]
async fn a_key_is_refused_in_words() {
    let identity = identity().await;
    let owner = Principal::local_owner();
    identity.create_key(&owner, NewKey::user("ada", Role::Admin)).await.unwrap();

    let refused = [
        NewKey::service("", Role::Viewer),
        NewKey::service("a b", Role::Viewer),
        NewKey::service("a\0b", Role::Viewer),
        NewKey::service("x".repeat(65), Role::Viewer),
        NewKey::user("local", Role::Viewer),
        NewKey { kind: PrincipalKind::System, ..NewKey::service("flow", Role::Owner) },
        NewKey { roles: vec![], ..NewKey::service("none", Role::Owner) },
        NewKey { expires_at: Some(Timestamp::UNIX_EPOCH), ..NewKey::service("old", Role::Owner) },
        NewKey::service("ada", Role::Viewer),
    ];
    for new in refused {
        let error = identity.create_key(&owner, new.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Key { .. }), "{new:?}: {error}");
    }
    assert_eq!(identity.list_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_secret_is_nowhere_but_in_the_answer() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let identity = Identity::open(catalog.clone()).await.unwrap();
    let created = identity.create_key(&Principal::local_owner(), NewKey::user("ada", Role::Admin)).await.unwrap();
    let secret = created.secret.reveal().rsplit('_').next().unwrap().to_owned();

    let stored = format!("{:?}", identity.list_keys().await.unwrap());
    let audit = format!("{:?}", catalog.audit(AuditQuery::default()).await.unwrap());

    assert!(audit.contains("key.create") && stored.contains(&created.record.key_id));
    for text in [stored, audit, format!("{created:?}"), format!("{identity:?}")] {
        assert!(!text.contains(&secret), "{text}");
    }
    let other = identity.create_key(&Principal::local_owner(), NewKey::user("eve", Role::Admin)).await.unwrap();
    assert_ne!(other.secret, created.secret);
}

#[tokio::test]
async fn a_key_of_another_process_is_known_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
    let server = Identity::open(Catalog::open(&url).await.unwrap()).await.unwrap();
    let fresh = server.keep_fresh();
    let command = Identity::open(Catalog::open(&url).await.unwrap()).await.unwrap();

    let created = command.create_key(&Principal::local_owner(), NewKey::user("ada", Role::Admin)).await.unwrap();
    let known = until(|| server.authenticate(Some(&bearer(&created)), elsewhere()).is_ok()).await;
    command.revoke_key(&Principal::local_owner(), "ada").await.unwrap();
    let forgotten = until(|| server.authenticate(Some(&bearer(&created)), elsewhere()).is_err()).await;

    fresh.abort();
    assert!(known && forgotten);
}

async fn until(holds: impl Fn() -> bool) -> bool {
    // a minute: far more than it takes, whatever else the machine does
    for _ in 0..1_200 {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
