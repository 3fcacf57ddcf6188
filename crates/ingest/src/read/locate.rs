//! From a path, glob or object-store URL to the files there, in the order of their names.

use std::path::{Component, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use mainspring_objects::Bucket;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::{Error, Result};

/// The most files one source may have; beyond it the ingest is refused, as every run lists them all.
const FILES_MAX: usize = 1_000_000;

/// A file of a source.
#[derive(Debug, Clone)]
pub struct FileRef {
    /// How it is named in reports and records: relative to the project folder where it lies in it.
    pub uri: String,
    /// Where it is.
    pub store: Arc<dyn ObjectStore>,
    /// Its place there.
    pub location: Path,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in microseconds since 1970.
    pub modified_at: i64,
}

/// Finds the files that a source's `path` names, sorted by name.
///
/// Relative paths start at `folder`. A path without `*`, `?`, `[` or `{` names one file, which must exist; a path that
/// ends in `/` all files below it.
///
/// # Errors
/// [`Error::Location`] when the path cannot be understood, the storage is not built in, or a file that is named outright is missing.
pub async fn locate(path: &str, folder: &std::path::Path) -> Result<Vec<FileRef>> {
    let wrong = |reason: String| Error::Location { path: path.to_owned(), reason };
    let (store, pattern, root) = if let Some((scheme, _)) = path.split_once("://") {
        remote(path, scheme).map_err(wrong)?
    } else {
        let absolute = normalise(&std::path::absolute(folder.join(path)).map_err(|e| wrong(e.to_string()))?);
        let text = absolute.to_str().ok_or_else(|| wrong("the path is not UTF-8".into()))?;
        let trailing = if path.ends_with('/') { "/" } else { "" };
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
        (store, format!("{}{trailing}", text.trim_start_matches('/')), String::from("/"))
    };
    let name = |location: &Path| {
        let full = format!("{root}{location}");
        let home = normalise(&std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf()));
        match std::path::Path::new(&full).strip_prefix(&home) {
            Ok(inside) if root == "/" => inside.to_string_lossy().into_owned(),
            _ => full,
        }
    };
    let file = |meta: ObjectMeta| FileRef {
        uri: name(&meta.location),
        store: Arc::clone(&store),
        size: meta.size,
        modified_at: meta.last_modified.timestamp_micros(),
        location: meta.location,
    };

    let Some(special) = pattern.find(['*', '?', '[', '{']).or_else(|| pattern.ends_with('/').then_some(pattern.len()))
    else {
        let location = Path::parse(&pattern).map_err(|e| wrong(e.to_string()))?;
        let meta = store.head(&location).await.map_err(|e| match e {
            object_store::Error::NotFound { .. } => {
                wrong("there is no such file; the path starts at the project folder".into())
            }
            other => wrong(other.to_string()),
        })?;
        return Ok(vec![file(meta)]);
    };
    let prefix = pattern.get(..special).and_then(|head| head.rfind('/')).and_then(|at| pattern.get(..at)).unwrap_or("");
    let prefix = Path::parse(prefix).map_err(|e| wrong(e.to_string()))?;
    let glob = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern.clone() };
    let glob = globset::GlobBuilder::new(&glob).literal_separator(true).build().map_err(|e| wrong(e.to_string()))?;
    let glob = glob.compile_matcher();

    let mut found = Vec::new();
    let mut listing = store.list(Some(&prefix));
    while let Some(meta) = listing.try_next().await.map_err(|e| wrong(e.to_string()))? {
        if glob.is_match(meta.location.as_ref()) {
            found.push(file(meta));
        }
        if found.len() > FILES_MAX {
            return Err(wrong(format!("it names more than {FILES_MAX} files; part the source")));
        }
    }
    found.sort_by(|a, b| a.uri.cmp(&b.uri));
    Ok(found)
}

type Place = (Arc<dyn ObjectStore>, String, String);

fn remote(path: &str, scheme: &str) -> std::result::Result<Place, String> {
    let (host, rest) = path.get(scheme.len() + 3..).and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let origin = format!("{scheme}://{host}/");
    let url = url::Url::parse(&origin).map_err(|error| error.to_string())?;
    match scheme {
        _ if Bucket::is_named_by(&url) => {
            let bucket = Bucket::open(&url).map_err(|error| error.to_string())?;
            Ok((bucket.store(), rest.to_owned(), origin))
        }
        "file" if host.is_empty() => Ok((Arc::new(LocalFileSystem::new()), rest.to_owned(), String::from("/"))),
        "file" => Err(format!("`{host}` is another machine; write file:/// with three slashes, or a path")),
        _ => Err(format!("the scheme `{scheme}` is not built in; write a path, or s3://BUCKET/PATH")),
    }
}

/// Takes `.` and `..` out without asking the file system, so that links stay as written.
fn normalise(path: &std::path::Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
