//! What a client may name as the place that a version is made from.

use crate::{Error, FilePath, Result};

/// A place that a version can be made from. Nothing else is one: no path or URL of elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A logged model, `models:/m-0123`.
    LoggedModel(String),
    /// A version of a registered model, `models:/delay/3` or `models:/delay@champion`.
    Version {
        /// The model.
        model: String,
        /// Its number, or what names it.
        version: Named,
    },
    /// A folder of a run's artifacts, `runs:/0123/model`.
    Run {
        /// The run.
        run: String,
        /// The folder below the run's artifacts.
        below: FilePath,
    },
    /// A folder of the file store, `mlflow-artifacts:/1/0123/artifacts/model`.
    Files(FilePath),
}

/// How a version is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its number.
    Number(u64),
    /// By an alias.
    Alias(String),
}

impl Source {
    /// Reads what a client wrote.
    ///
    /// # Errors
    /// [`Error::Source`] when it is none of these: another scheme, another host, or a path that climbs out.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::Source { named: text.chars().take(200).collect(), reason: reason.into() };
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(refuse(
                "A path of a file system is no source; log the model to this server and name it by its URI.",
            ));
        };
        if text.contains(['?', '#']) {
            return Err(refuse("A source has no query and no fragment."));
        }
        let rest = match (scheme, rest.strip_prefix("//"), rest.strip_prefix('/')) {
            ("models" | "runs" | "mlflow-artifacts", None, Some(rest)) => rest,
            ("models" | "runs" | "mlflow-artifacts", Some(authority), _) if authority.starts_with('/') => {
                authority.trim_start_matches('/')
            }
            ("models" | "runs" | "mlflow-artifacts", _, _) => {
                return Err(refuse("A source names no other server: write the path after one slash."));
            }
            _ => {
                return Err(refuse(
                    "Only what was logged to this server can be registered: models:/, runs:/ or mlflow-artifacts:/.",
                ));
            }
        };
        let path = FilePath::parse(rest).map_err(|error| refuse(&error.to_string()))?;
        match (scheme, path.parts()) {
            ("models", [one]) => match one.split_once('@') {
                Some((model, alias)) if !model.is_empty() && !alias.is_empty() => {
                    Ok(Self::Version { model: model.into(), version: Named::Alias(alias.into()) })
                }
                None if one.starts_with("m-") => Ok(Self::LoggedModel(one.clone())),
                _ => Err(refuse("Write models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID.")),
            },
            ("models", [model, version]) => match version.parse() {
                Ok(number) => Ok(Self::Version { model: model.clone(), version: Named::Number(number) }),
                Err(_) => Err(refuse("Write models:/NAME/VERSION with the version's number.")),
            },
            ("runs", [run, ..]) => {
                let below =
                    FilePath::parse(&path.parts()[1..].join("/")).map_err(|error| refuse(&error.to_string()))?;
                Ok(Self::Run { run: run.clone(), below })
            }
            ("mlflow-artifacts", [_, ..]) => Ok(Self::Files(path)),
            _ => Err(refuse("It names nothing.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_understood() {
        let files = |text: &str| Source::Files(FilePath::parse(text).unwrap());
        for (text, source) in [
            ("models:/m-0123abc", Source::LoggedModel("m-0123abc".into())),
            ("models:/delay/3", Source::Version { model: "delay".into(), version: Named::Number(3) }),
            (
                "models:/delay@champion",
                Source::Version { model: "delay".into(), version: Named::Alias("champion".into()) },
            ),
            ("runs:/0123/model", Source::Run { run: "0123".into(), below: FilePath::parse("model").unwrap() }),
            ("mlflow-artifacts:/1/0123/artifacts/model", files("1/0123/artifacts/model")),
            ("mlflow-artifacts:///1/models/m-1/artifacts", files("1/models/m-1/artifacts")),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source, "{text}");
        }
    }

    #[test]
    fn what_points_elsewhere_is_refused() {
        for text in [
            "",
            "model",
            "/etc/passwd",
            "./model",
            "file:///etc",
            "file:/etc",
            "http://host/model",
            "https://h/m",
            "s3://bucket/model",
            "dbfs:/m",
            "models:/",
            "models:/delay",
            "models:/delay/latest/x",
            "models:/a/b",
            "models://other/m-1",
            "runs://host/0123/model",
            "mlflow-artifacts://host:5000/1/a",
            "mlflow-artifacts:/",
            "mlflow-artifacts:/1/../2",
            "mlflow-artifacts:/1/%2e%2e/2",
            "mlflow-artifacts:/1/%252e%252e/2",
            "mlflow-artifacts:/1/a?x=1",
            "runs:/0123/../../a",
            "runs:/0123/a\\b",
            "mlflow-artifacts:/1/a%00",
        ] {
            assert!(matches!(Source::parse(text), Err(Error::Source { .. })), "{text}");
        }
    }
}
