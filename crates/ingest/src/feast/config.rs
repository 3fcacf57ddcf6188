//! `feature_store.yaml`: the project's name, and where its registry lies.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// The file's name.
const CONFIG_FILE: &str = "feature_store.yaml";
/// The largest file read; a person writes it.
const CONFIG_BYTES_MAX: usize = 1 << 20;

/// What is needed of a repository's configuration.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The project.
    pub project: String,
    /// The registry file.
    pub registry: PathBuf,
    /// The kind of its online store, whose values stay where they are.
    pub online_store: String,
    /// The kind of its offline store.
    pub offline_store: String,
}

#[derive(Debug, Deserialize)]
struct Written {
    project: String,
    registry: Value,
    #[serde(default)]
    online_store: Value,
    #[serde(default)]
    offline_store: Value,
}

/// Reads a repository's configuration.
pub(super) fn read(repo: &Path) -> Result<Config, String> {
    let path = repo.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("{} cannot be read: {error}; name the folder of a Feast repository", path.display())
    })?;
    if text.len() > CONFIG_BYTES_MAX {
        return Err(format!("{CONFIG_FILE} is larger than {CONFIG_BYTES_MAX} bytes"));
    }
    let written: Written =
        serde_saphyr::from_str(&text).map_err(|error| format!("{CONFIG_FILE} cannot be understood: {error}"))?;
    let registry = registry(&written.registry)?;
    let kind = |store: &Value, default: &str| match store {
        Value::String(kind) => kind.clone(),
        Value::Object(store) => store.get("type").and_then(Value::as_str).unwrap_or(default).to_owned(),
        _ => default.to_owned(),
    };
    Ok(Config {
        registry: repo.join(registry),
        online_store: kind(&written.online_store, "sqlite"),
        offline_store: kind(&written.offline_store, "file"),
        project: written.project,
    })
}

/// The registry's path, when it is a file of this machine.
fn registry(written: &Value) -> Result<String, String> {
    let (kind, path) = match written {
        Value::String(path) => ("file", path.as_str()),
        Value::Object(keys) => {
            let text = |key: &str| keys.get(key).and_then(Value::as_str);
            (text("registry_type").unwrap_or("file"), text("path").unwrap_or_default())
        }
        _ => return Err(format!("{CONFIG_FILE} names no `registry`")),
    };
    if kind != "file" {
        return Err(format!(
            "its registry is of type `{kind}`, and only a registry file can be read; write `registry: data/registry.db` \
             in a copy of {CONFIG_FILE}, run `feast apply` there, and import that"
        ));
    }
    if let Some(local) = path.strip_prefix("file://") {
        return Ok(local.to_owned());
    }
    if path.contains("://") {
        return Err(format!("its registry lies at {path}; copy it to this machine and name the copy in {CONFIG_FILE}"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG_FILE), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn registry_is_found_in_both_ways_of_writing() {
        let short = of("project: rides\nregistry: data/registry.db\nonline_store:\n    type: redis\n").unwrap();
        let long = of("project: rides\nregistry:\n    path: data/registry.db\n").unwrap();

        assert!(short.registry.ends_with("data/registry.db") && long.registry.ends_with("data/registry.db"));
        assert_eq!((short.online_store.as_str(), long.online_store.as_str()), ("redis", "sqlite"));
    }

    #[test]
    fn registry_that_is_no_file_is_refused_with_a_way_out() {
        let sql = of("project: rides\nregistry:\n    registry_type: sql\n    path: postgresql://x\n").unwrap_err();
        let far = of("project: rides\nregistry: s3://bucket/registry.db\n").unwrap_err();

        assert!(sql.contains("`sql`") && sql.contains("feast apply"), "{sql}");
        assert!(far.contains("s3://bucket/registry.db"), "{far}");
        assert!(of("project: [").is_err());
    }
}
