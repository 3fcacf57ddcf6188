//! Makes sure that what was written to a local disk survives a loss of power: remote stores do that by themselves.

use std::fs::File;
use std::path::{Path, PathBuf};

/// Writes files through to the disk, then the folders that name them.
///
/// # Errors
///
/// That of the disk; what was written may then not be there after a loss of power.
pub(crate) async fn sync(files: Vec<PathBuf>) -> std::io::Result<()> {
    let synced = tokio::task::spawn_blocking(move || {
        let mut folders: Vec<&Path> = vec![];
        for file in &files {
            File::open(file)?.sync_all()?;
            // the folder's own name stands in its parent, which matters when both were just made
            for folder in file.ancestors().skip(1).take(2) {
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
        }
        folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
    });
    synced.await.map_err(std::io::Error::other)?
}
