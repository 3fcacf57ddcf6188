//! From a Feast repository to a project folder: entities, sources, feature views, push sources and feature services.
//!
//! Read are `feature_store.yaml` and the registry file it names (a protobuf message, [`registry`]); written is a folder that
//! validates, applies and runs ([`convert`]). Values are not copied: they are read from the sources again. What Feast has and
//! a declaration cannot say is told, object by object.

mod config;
mod convert;
mod pages;
mod registry;

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
