//! What a folder of this machine needs beyond an object store: files that survive a loss of power, and no way out of it
//! through a symbolic link that somebody put there.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::FilePath;
use super::path::{UPLOADS, stored_parts};

/// Uploads that have not been touched for so long belong to a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// The folder of a file store, after links on the way to it were followed.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder where there is none, and clears away uploads of processes that died.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let folder = Self { root: std::fs::canonicalize(path)? };
        if let Ok(uploads) = std::fs::read_dir(folder.root.join(UPLOADS)) {
            for upload in uploads.flatten() {
                let touched = upload.metadata().and_then(|meta| meta.modified());
                let age = touched.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if age.is_some_and(|age| age > ABANDONED) {
                    match std::fs::remove_file(upload.path()) {
                        // another process that opens the folder was faster
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        removed => removed?,
                    }
                }
            }
        }
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a symbolic link lies on the way to a path, or is at its end. What does not exist is no link.
    pub(super) async fn crosses_a_link(&self, path: &FilePath) -> std::io::Result<bool> {
        let (mut place, parts) = (self.root.clone(), stored_parts(path));
        off_thread(move || {
            for part in parts {
                place.push(part);
                match std::fs::symlink_metadata(&place) {
                    Ok(meta) if meta.is_symlink() => return Ok(true),
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(false)
        })
        .await
    }

    /// The names in a folder that are symbolic links.
    pub(super) async fn links_in(&self, path: &FilePath) -> std::io::Result<Vec<String>> {
        let place = self.root.join(stored_parts(path).join("/"));
        off_thread(move || {
            let entries = match std::fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Ok(vec![]);
                }
                Err(error) => return Err(error),
            };
            let mut links = vec![];
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_symlink() {
                    links.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
            Ok(links)
        })
        .await
    }

    /// Writes a file through to the disk.
    pub(super) async fn sync_file(&self, key: &object_store::path::Path) -> std::io::Result<()> {
        let file = self.root.join(key.as_ref());
        off_thread(move || File::open(file)?.sync_all()).await
    }

    /// Writes the folders through to the disk that name a file, up to the root: any of them may just have been made.
    pub(super) async fn sync_folders(&self, key: &object_store::path::Path) -> std::io::Result<()> {
        let (root, file) = (self.root.clone(), self.root.join(key.as_ref()));
        off_thread(move || {
            let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&root));
            folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
        })
        .await
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
