//! Files that a writer left unfinished on this machine's disk.
//!
//! Until a file is whole, the object store keeps it under its name with `#` and a number behind it. Such names are in no
//! listing of the store, so that a vacuum does not see what a killed writer leaves. In a bucket nothing shows of a file that
//! is not whole; the parts of one are removed by the bucket's own rule for uploads that were not completed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use walkdir::WalkDir;

/// Removes the unfinished files below a folder that nobody has written to for a while; the number of them.
///
/// # Errors
///
/// That of the disk.
pub(crate) async fn remove(folder: PathBuf, keep: SignedDuration) -> std::io::Result<u64> {
    let keep = Duration::try_from(keep).unwrap_or_default();
    let removed = tokio::task::spawn_blocking(move || {
        let mut removed = 0;
        for entry in WalkDir::new(folder) {
            let entry = match entry.map_err(std::io::Error::from) {
                Ok(entry) => entry,
                // its writer, or somebody else's maintenance, was faster
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if entry.file_type().is_file() && is_unfinished(entry.path()) {
                removed += u64::from(remove_old(entry.path(), keep)?);
            }
        }
        Ok(removed)
    });
    removed.await.map_err(std::io::Error::other)?
}

fn remove_old(file: &Path, keep: Duration) -> std::io::Result<bool> {
    let removed = std::fs::metadata(file).and_then(|found| {
        let is_old = found.modified()?.elapsed().unwrap_or_default() >= keep;
        if is_old { std::fs::remove_file(file).map(|()| true) } else { Ok(false) }
    });
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        removed => removed,
    }
}

fn is_unfinished(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unfinished_files_end_in_a_number_behind_the_first_hash() {
        let unfinished = |name| is_unfinished(Path::new(name));

        assert!(unfinished("events/a.parquet#1") && unfinished("_delta_log/7.json#12"));
        assert!(!unfinished("a.parquet") && !unfinished("a#") && !unfinished("a#1st") && !unfinished("a#b#1"));
        assert!(!unfinished("day#1/a.parquet"));
    }
}
