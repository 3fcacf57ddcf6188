//! `mainspring.yaml`.

use super::context::{Context, Path};
use super::names::name_problem;
use crate::diagnostic::quote;
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{LineageTarget, Target};

/// What roles are called; the access layer gives them their meaning.
const ROLES: [&str; 5] = ["caller", "viewer", "editor", "admin", "owner"];

pub(super) fn check(context: &mut Context<'_>) {
    let file = &context.project.file;
    let object = ObjectRef::new(ObjectKind::Project, &file.project);
    for (name, target) in &file.targets {
        if let Some(problem) = name_problem(name) {
            let message = format!("{} cannot be the name of a target: {problem}", quote(name));
            context.report(
                &object,
                &["targets".into(), name.as_str().into()],
                "bad_name",
                message,
                "write for example `prod`",
            );
        }
        check_target(context, &object, name, target);
    }
}

fn check_target(context: &mut Context<'_>, object: &ObjectRef, name: &str, target: &Target) {
    let urls = [
        ("catalog", &target.catalog, &["sqlite:"][..], "write `sqlite:PATH`"),
        ("lake", &target.lake, &["file://", "s3://"], "write a path, or `s3://BUCKET/FOLDER`"),
        ("files", &target.files, &["file://", "s3://"], "write a path, or `s3://BUCKET/FOLDER`"),
        ("online", &target.online, &["fjall:"], "write `fjall:PATH`"),
    ];
    for (key, url, schemes, help) in urls {
        let Some(url) = url else { continue };
        let path: Path<'_> = &["targets".into(), name.into(), key.into()];
        let has_scheme = url.contains("://") || !["lake", "files"].contains(&key);
        if has_scheme && !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            let message = format!("{} is not a place this version can keep the {key} in", quote(url));
            context.report(object, path, "unknown_url", message, help);
        }
    }
    if let Some(memory) = &target.memory
        && parse_bytes(memory).is_none()
    {
        let message = format!("{} is not an amount of memory", quote(memory));
        let path: Path<'_> = &["targets".into(), name.into(), "memory".into()];
        context.report(object, path, "wrong_value", message, "write for example `512MiB` or `4GiB`");
    }
    for whose in target.query.rows_of.keys() {
        let is_principal =
            whose.split_once(':').is_some_and(|(kind, name)| ["user", "service"].contains(&kind) && !name.is_empty());
        if !is_principal && !ROLES.contains(&whose.as_str()) {
            let message = format!("{} is neither a role nor a principal", quote(whose));
            let path: Path<'_> =
                &["targets".into(), name.into(), "query".into(), "rows_of".into(), whose.as_str().into()];
            let help = "write caller, viewer, editor, admin or owner, or `user:NAME` or `service:NAME`";
            context.report(object, path, "wrong_value", message, help);
        }
    }
    for (key, address) in [("listen", &target.listen), ("grpc", &target.grpc)] {
        if let Some(address) = address
            && !may_be_listened_on(address)
        {
            let message = format!("{} is not an address to listen on", quote(address));
            let path: Path<'_> = &["targets".into(), name.into(), key.into()];
            context.report(object, path, "wrong_value", message, "write an IP address and a port: `127.0.0.1:7878`");
        }
    }
    if let Some(lineage) = &target.lineage {
        check_lineage(context, object, name, lineage);
    }
}

/// Whether a text is an address and a port, or a name such as `localhost` and a port; what the name means shows on the machine.
fn may_be_listened_on(text: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    text.parse::<std::net::SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(name, port)| is_name(name) && port.parse::<u16>().is_ok())
}

fn check_lineage(context: &mut Context<'_>, object: &ObjectRef, name: &str, lineage: &LineageTarget) {
    let path: Path<'_> = &["targets".into(), name.into(), "lineage".into()];
    match (&lineage.url, &lineage.file) {
        (Some(_), Some(_)) | (None, None) => {
            let message = "`lineage` says either `url` or `file`";
            context.report(object, path, "wrong_value", message, "write `lineage: {url: http://HOST/api/v1/lineage}`");
        }
        (Some(url), None) if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) => {
            let message = format!("{} is no address that events can be posted to", quote(url));
            let path: Path<'_> = &["targets".into(), name.into(), "lineage".into(), "url".into()];
            context.report(object, path, "unknown_url", message, "write an `http://` or `https://` URL");
        }
        _ => {}
    }
}

/// The number of bytes that a text such as `512MiB`, `4GiB`, `2 GB` or `1048576` means.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = match text.get(digits..)?.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::{may_be_listened_on, parse_bytes};

    #[test]
    fn addresses_are_numbers_or_names_with_a_port() {
        for good in ["127.0.0.1:7878", "[::1]:80", "localhost:7878", "ml.example.org:443"] {
            assert!(may_be_listened_on(good), "{good}");
        }
        for bad in ["here", "localhost", ":80", "localhost:70000", "http://localhost:80", "a b:80", ""] {
            assert!(!may_be_listened_on(bad), "{bad}");
        }
    }

    #[test]
    fn amounts_of_memory_are_read_with_their_units() {
        assert_eq!(parse_bytes("512MiB"), Some(512 << 20));
        assert_eq!(parse_bytes("2 GB"), Some(2_000_000_000));
        assert_eq!(parse_bytes("1048576"), Some(1 << 20));
        for bad in ["", "MiB", "-1", "1.5GiB", "0", "99999999999TiB", "12 parsecs"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
