//! From a Feast repository to a project folder: entities, sources, feature views, push sources and feature services.
//!
//! Read are `feature_store.yaml` and the registry file it names (a protobuf message, [`registry`]); written is a folder that
//! validates, applies and runs ([`convert`]). Values are not copied: they are read from the sources again. What Feast has and
//! a declaration cannot say is told, object by object.

mod config;
mod convert;
mod pages;
mod registry;
mod services;

use std::path::{Path, PathBuf};

use mainspring_spec::mended_name;
use prost::Message;

use crate::{Error, Result};

/// The largest registry read; one of ten thousand views is a tenth of it.
const REGISTRY_BYTES_MAX: u64 = 256 << 20;

/// A project folder that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The files written.
    pub files: Vec<PathBuf>,
    /// How many entities, sources, views and services there are.
    pub entities: usize,
    /// See `entities`.
    pub sources: usize,
    /// See `entities`.
    pub views: usize,
    /// See `entities`.
    pub services: usize,
    /// What is otherwise here, or could not be carried over: each names its object and what to do.
    pub notes: Vec<String>,
}

/// Turns a Feast repository into a project folder. Nothing that exists is overwritten.
///
/// # Errors
/// [`Error::Feast`] when the repository cannot be read, or its registry is not a file; [`Error::Write`] when the folder holds
/// a project already.
pub fn import(repo: &Path, folder: &Path) -> Result<Imported> {
    let wrong = |reason: String| Error::Feast { repo: repo.display().to_string(), reason };
    let config = config::read(repo).map_err(wrong)?;
    let path = &config.registry;
    let size = std::fs::metadata(path).map(|found| found.len());
    let size = size.map_err(|error| {
        wrong(format!("the registry {} cannot be read: {error}; run `feast apply` there first", path.display()))
    })?;
    if size > REGISTRY_BYTES_MAX {
        return Err(wrong(format!("the registry has {size} bytes; at most {REGISTRY_BYTES_MAX} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("the registry cannot be read: {error}")))?;
    let registry = registry::Registry::decode(bytes.as_slice()).map_err(|error| {
        wrong(format!("{} is no registry of Feast's ({error}); run `feast apply` to write it anew", path.display()))
    })?;
    let repo = std::path::absolute(repo).unwrap_or_else(|_| repo.to_path_buf());
    let converted = convert::convert(&config, &registry, &repo);
    let name = mended_name(&config.project);
    let pages = pages::pages(&name, &config.project, &converted);
    let files = mainspring_spec::init_with(folder, &name, &pages)
        .map_err(|error| Error::Write { path: folder.display().to_string(), reason: error.to_string() })?;
    Ok(Imported {
        files,
        entities: converted.entities.len(),
        sources: converted.sources.len(),
        views: converted.views.len(),
        services: converted.services.len(),
        notes: converted.notes,
    })
}

#[cfg(test)]
mod tests {
    use mainspring_spec::NO_ENTITY_KEY;

    use super::registry::{
        DataSource, Duration, Entity, EntitySpec, FeatureService, FeatureServiceSpec, FeatureView, FeatureViewMeta,
        FeatureViewSpec, Field, FileOptions, Named, NamedSpec, Nothing, Projection, Registry, source_kind,
    };
    use super::*;

    fn field(name: &str, value_type: i32) -> Field {
        Field { name: name.into(), value_type, description: String::new() }
    }

    fn view(name: &str, entities: &[&str], features: Vec<Field>, batch: DataSource) -> FeatureViewSpec {
        FeatureViewSpec {
            name: name.into(),
            project: "rides".into(),
            entities: entities.iter().map(ToString::to_string).collect(),
            features,
            batch_source: Some(batch),
            online: true,
            ..FeatureViewSpec::default()
        }
    }

    fn file() -> DataSource {
        DataSource {
            kind: source_kind::FILE,
            name: "stats file".into(),
            timestamp_field: "ts".into(),
            created_timestamp_column: "made".into(),
            field_mapping: [("Rate".to_owned(), "rate".to_owned())].into(),
            file_options: Some(FileOptions { uri: "stats.parquet".into(), ..FileOptions::default() }),
            ..DataSource::default()
        }
    }

    fn registry() -> Registry {
        let entity = |name: &str, key: &str, value_type| Entity {
            spec: Some(EntitySpec {
                name: name.into(),
                join_key: key.into(),
                value_type,
                project: "rides".into(),
                description: String::new(),
            }),
        };
        let push = DataSource { kind: source_kind::PUSH, name: "Stats-Push".into(), ..DataSource::default() };
        let plain = FeatureViewSpec {
            ttl: Some(Duration { seconds: 3_600, nanos: 0 }),
            stream_source: Some(push),
            ..view(
                "stats",
                &["driver"],
                vec![field("rate", 5), field("words", 12), field("picture", 1), field("pictures", 11)],
                file(),
            )
        };
        let pair = view("Pair-Stats", &["driver", "rider"], vec![field("rides", 4)], file());
        let table = DataSource { kind: 2, name: "warehouse".into(), ..DataSource::default() };
        let elsewhere = view("far", &["driver"], vec![field("miles", 5)], table);
        let computed = FeatureViewSpec {
            feature_transformation: Some(Nothing {}),
            ..view("computed", &["driver"], vec![], file())
        };
        let whole = view("whole", &["__dummy"], vec![field("x", 5)], file());
        let places = view("places", &["place"], vec![field("heat", 5)], file());
        let other =
            FeatureViewSpec { project: "another".into(), ..view("other", &["driver"], vec![field("x", 5)], file()) };
        let projection = |view: &str, features: &[&str]| Projection {
            feature_view_name: view.into(),
            feature_columns: features.iter().map(|name| field(name, 5)).collect(),
            ..Projection::default()
        };
        let called = |name: &str, keys: &[(&str, &str)]| Projection {
            feature_view_name_alias: name.into(),
            join_key_map: keys.iter().map(|(key, called)| ((*key).to_owned(), (*called).to_owned())).collect(),
            ..projection("places", &["heat"])
        };
        let heats = FeatureServiceSpec {
            name: "heats".into(),
            project: "rides".into(),
            features: vec![
                called("Origin", &[("place_id", "origin_id")]),
                called("at.target", &[("place_id", "target_id"), ("district", "x")]),
                Projection { version_tag: Some(3), ..called("", &[("place_id", "here")]) },
                called("Origin", &[]),
                projection("whole", &["x"]),
            ],
            description: String::new(),
        };
        let service = FeatureServiceSpec {
            name: "board".into(),
            project: "rides".into(),
            features: vec![
                Projection { version_tag: Some(2), ..projection("stats", &["rate", "picture"]) },
                projection("worth", &["worth"]),
            ],
            description: "For: the board".into(),
        };
        let views = [plain, pair, elsewhere, computed, whole, places, other];
        let versioned = |spec: FeatureViewSpec| FeatureView {
            meta: Some(FeatureViewMeta { current_version_number: if spec.name == "places" { 3 } else { 0 } }),
            spec: Some(spec),
        };
        Registry {
            entities: vec![
                entity("driver", "driver_id", 4),
                entity("rider", "rider_id", 2),
                entity("place", "place_id", 4),
            ],
            feature_views: views.into_iter().map(versioned).collect(),
            feature_services: [service, heats].map(|spec| FeatureService { spec: Some(spec) }).into(),
            on_demand_feature_views: vec![Named {
                spec: Some(NamedSpec { name: "worth".into(), project: "rides".into() }),
            }],
            ..Registry::default()
        }
    }

    /// What became of a repository, and the project; both lie in the folder.
    fn imported(folder: &Path, registry: &Registry) -> (Imported, mainspring_spec::Project) {
        let (repo, project) = (folder.join("repo"), folder.join("project"));
        std::fs::create_dir_all(&repo).unwrap();
        std::fs::write(repo.join("feature_store.yaml"), "project: rides\nregistry: registry.db\n").unwrap();
        std::fs::write(repo.join("registry.db"), registry.encode_to_vec()).unwrap();
        let made = import(&repo, &project).unwrap();
        let loaded = mainspring_spec::load(&project).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        (made, loaded)
    }

    #[test]
    fn sources_have_names_of_their_own_whatever_feast_calls_them() {
        let folder = tempfile::tempdir().unwrap();
        let file_at = |name: &str, uri: &str| DataSource {
            name: name.into(),
            file_options: Some(FileOptions { uri: uri.into(), ..FileOptions::default() }),
            ..file()
        };
        // Without a name a source is called by its path; of these the beginning is all that a name has room for.
        let long = "/data/of/a/team/that/keeps/its/feature/repositories/deep/in/folders";
        let (rides, riders) = (format!("{long}/rides.parquet"), format!("{long}/riders.parquet"));
        let rate = || vec![field("rate", 5)];
        let views = [
            view("stats", &["driver"], rate(), file_at("stats", "stats.parquet")),
            view("more_stats", &["driver"], rate(), file_at("stats", "stats.parquet")),
            view("rides", &["driver"], rate(), file_at(&rides, &rides)),
            view("riders", &["driver"], rate(), file_at(&riders, &riders)),
            view("night__rides", &["driver"], rate(), file_at("night_rides_pushed", "night.parquet")),
        ];
        let service = FeatureServiceSpec {
            name: "nights".into(),
            project: "rides".into(),
            features: vec![Projection {
                feature_view_name: "night__rides".into(),
                feature_columns: rate(),
                ..Projection::default()
            }],
            ..FeatureServiceSpec::default()
        };
        let registry = Registry {
            feature_views: views.into_iter().map(|spec| FeatureView { spec: Some(spec), meta: None }).collect(),
            feature_services: vec![FeatureService { spec: Some(service) }],
            ..registry()
        };

        let (made, loaded) = imported(folder.path(), &registry);

        let read = |view: &str| {
            let sql = loaded.feature_views[view].sql.clone().unwrap();
            let tables = mainspring_spec::table_names(&sql).unwrap();
            let path = tables.iter().map(|name| &loaded.sources[name].path).find(|path| !path.is_empty()).unwrap();
            path.rsplit('/').next().unwrap().to_owned()
        };
        assert_eq!(read("stats"), "stats.parquet");
        assert_eq!(read("more_stats"), "stats.parquet");
        assert_eq!(read("rides"), "rides.parquet");
        assert_eq!(read("riders"), "riders.parquet");
        assert_eq!(read("night__rides"), "night.parquet");
        assert_eq!(made.sources, 4, "two views share one file");
        assert_eq!(loaded.service_features("nights").unwrap(), [("night__rides".to_owned(), "rate".to_owned())]);
        let notes = made.notes.join("\n");
        assert!(notes.contains("source `stats` is called `stats_2` here"), "{notes}");
    }

    #[test]
    fn imported_project_is_sound_and_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();

        let (made, loaded) = imported(folder.path(), &registry());

        assert_eq!(loaded.feature_views.keys().collect::<Vec<_>>(), ["far", "pair_stats", "places", "stats", "whole"]);
        assert_eq!(loaded.service_features("board").unwrap(), [("stats".to_owned(), "rate".to_owned())]);
        assert_eq!(loaded.pushed_sources("Stats-Push")[0].name, "stats_pushed");
        assert_eq!(
            loaded.sources["pair_stats_pushed"].push,
            ["pair_stats_pushed", "feature_view:Pair-Stats"],
            "the server finds it by its name in Feast"
        );
        assert_eq!(loaded.sources["places_pushed"].push, ["places_pushed", "feature_view:places@v3"]);
        assert_eq!(loaded.sources["stats_pushed"].push, ["Stats-Push"], "the first version says nothing");
        let stats = &loaded.feature_views["stats"];
        assert_eq!((stats.ttl.unwrap().to_string().as_str(), stats.json.as_slice()), ("1h", &["words".to_owned()][..]));
        assert!(stats.sql.as_deref().unwrap().contains("\"Rate\" as rate"), "{:?}", stats.sql);
        assert_eq!(loaded.entity_keys(&loaded.feature_views["pair_stats"]).len(), 2);
        let whole = &loaded.feature_views["whole"];
        assert_eq!(loaded.entity_keys(whole)[0].name, NO_ENTITY_KEY);
        assert_eq!(whole.sql.as_deref().unwrap().matches("'' as \"__dummy_id\"").count(), 2, "{:?}", whole.sql);
        assert!(loaded.sources["whole_pushed"].columns.iter().all(|column| column.name != NO_ENTITY_KEY));
        let reads = loaded.service_reads("heats").unwrap();
        let names: Vec<String> = reads.iter().map(|read| format!("{}.{}", read.known_view, read.feature)).collect();
        assert_eq!(names, ["Origin.heat", "at_target.heat", "places.heat", "whole.x"]);
        let keys: Vec<Option<&String>> = reads.iter().map(|read| read.join_key_map.get("place_id")).collect();
        let called = ["origin_id", "target_id", "here"].map(ToOwned::to_owned);
        assert_eq!(keys, [Some(&called[0]), Some(&called[1]), Some(&called[2]), None]);
        let notes = made.notes.join("\n");
        for lost in [
            "`Pair-Stats` is called `pair_stats`",
            "`stats:picture` is not carried over",
            "`stats:pictures` is not carried over",
            "come from a BigQuery table (`warehouse`)",
            "`computed` is not carried over",
            "`whole` has no entity",
            "`heats` calls `places` `at.target`; here that is `at_target`",
            "`heats` calls the key `district` of `places` `x`; that is not carried over",
            "`heats` reads two views as `Origin`",
            "`heats` reads `places` at version v3; the pin is not carried over, as a view is served in one version here, \
             which is that one",
            "`board` reads `stats` at version v2; the pin is not carried over, as a view is served in one version here, \
             which is v0; declare v2",
            "`worth` is not carried over: its values are computed in Python",
            "`board` lacks `stats:picture`",
            "`board` lacks the features of `worth`",
            "sqlite online store are not copied",
        ] {
            assert!(notes.contains(lost), "{lost:?} is not in\n{notes}");
        }
        assert!(!notes.contains("`other`"), "another project of the registry is none of ours\n{notes}");
        let again = import(&folder.path().join("repo"), &folder.path().join("project"));
        assert!(matches!(again, Err(Error::Write { .. })), "nothing is overwritten");
    }
}
