//! How datasets are called outside, and which nodes of the lineage graph they are.
//!
//! A table is called by where it lies, as every other tool that reads or writes it there calls it; so what they say of
//! it meets what we say. <https://openlineage.io/docs/spec/naming>

use std::path::{Path, PathBuf};

use mainspring_lake::{Lake, TableName};
use mainspring_spec::Project;

/// The names of a project's datasets.
#[derive(Debug, Clone)]
pub struct Names {
    /// What names of the project itself are relative to.
    pub namespace: String,
    folder: PathBuf,
    lake: String,
}

/// What a name means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// One of our tables.
    Table(TableName),
    /// A version of a model of ours.
    Model(String),
    /// A file, as ingest names it.
    File(String),
    /// Something else.
    Elsewhere,
}

impl Names {
    /// The names of a project over a lake.
    pub fn of(project: &Project, lake: &Lake) -> Self {
        let lake = match lake.folder() {
            Some(folder) => absolute(folder),
            None => lake.url().trim_end_matches('/').to_owned(),
        };
        let namespace = format!("mainspring://{}", project.file.project);
        Self { namespace, folder: absolute(&project.folder).into(), lake }
    }

    /// A table.
    pub fn table(&self, table: &TableName) -> (String, String) {
        split(&format!("{}/{}/{}", self.lake, table.schema(), table.name()))
    }

    /// A file, as ingest names it.
    pub fn file(&self, uri: &str) -> (String, String) {
        if uri.contains("://") { split(uri) } else { split(&absolute(&self.folder.join(uri))) }
    }

    /// Something that only this project knows.
    pub fn own(&self, kind: &str, name: &str) -> (String, String) {
        (self.namespace.clone(), format!("{kind}/{name}"))
    }

    /// What a dataset of somebody's event is to us.
    pub fn meaning(&self, namespace: &str, name: &str) -> Meaning {
        if namespace == self.namespace {
            return match name.split_once('/') {
                Some(("models", model)) => Meaning::Model(model.to_owned()),
                _ => name.parse().map_or(Meaning::Elsewhere, Meaning::Table),
            };
        }
        let is_file = namespace == "file" || namespace.starts_with("file://");
        let place = if is_file { name.to_owned() } else { format!("{namespace}/{}", name.trim_start_matches('/')) };
        if let Some(inside) = place.strip_prefix(&self.lake).and_then(|rest| rest.strip_prefix('/')) {
            let table = inside.split_once('/').filter(|(_, table)| !table.contains('/'));
            return table
                .and_then(|(schema, table)| TableName::new(schema, table).ok())
                .map_or(Meaning::Elsewhere, Meaning::Table);
        }
        match Path::new(&place).strip_prefix(&self.folder) {
            Ok(inside) if is_file => Meaning::File(inside.to_string_lossy().into_owned()),
            _ if is_file => Meaning::File(place),
            _ => Meaning::Elsewhere,
        }
    }
}

fn absolute(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut walked = PathBuf::new();
    for part in whole.components() {
        match part {
            std::path::Component::ParentDir => {
                walked.pop();
            }
            std::path::Component::CurDir => {}
            part => walked.push(part),
        }
    }
    walked.to_string_lossy().into_owned()
}

/// A place as namespace and name: `file` and a path, or `scheme://host` and what lies there.
fn split(place: &str) -> (String, String) {
    let Some((scheme, rest)) = place.split_once("://") else { return ("file".into(), place.into()) };
    if scheme == "file" {
        return ("file".into(), format!("/{}", rest.trim_start_matches('/')));
    }
    let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
    (format!("{scheme}://{host}"), name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lake: &str) -> Names {
        Names { namespace: "mainspring://shop".into(), folder: "/srv/shop".into(), lake: lake.into() }
    }

    #[test]
    fn what_a_table_is_called_means_the_table() {
        let table = TableName::new("sources", "orders").unwrap();
        for lake in ["/srv/shop/.mainspring/lake", "s3://lakes/shop"] {
            let names = names(lake);
            let (namespace, name) = names.table(&table);
            assert_eq!(names.meaning(&namespace, &name), Meaning::Table(table.clone()), "{namespace} {name}");
        }
        assert_eq!(names("/l").table(&table), ("file".into(), "/l/sources/orders".into()));
        assert_eq!(names("s3://l").table(&table), ("s3://l".into(), "sources/orders".into()));
    }

    #[test]
    fn files_are_called_from_the_root_and_known_from_the_folder() {
        let names = names("/lake");
        assert_eq!(names.file("data/orders.csv"), ("file".into(), "/srv/shop/data/orders.csv".into()));
        assert_eq!(names.meaning("file", "/srv/shop/data/orders.csv"), Meaning::File("data/orders.csv".into()));
        assert_eq!(names.meaning("file", "/elsewhere/x.csv"), Meaning::File("/elsewhere/x.csv".into()));
        assert_eq!(names.file("/elsewhere/x.csv"), ("file".into(), "/elsewhere/x.csv".into()));
    }

    #[test]
    fn what_lies_deeper_than_a_table_is_none() {
        let names = names("/lake");
        assert_eq!(names.meaning("file", "/lake/sources/orders/part-0.parquet"), Meaning::Elsewhere);
        assert_eq!(names.meaning("postgres://db:5432", "shop.public.orders"), Meaning::Elsewhere);
        assert_eq!(names.meaning("mainspring://shop", "models/fare"), Meaning::Model("fare".into()));
    }
}
