//! The state of the project folder's repository.

use std::path::Path;
use std::process::Command;

use mainspring_registry::CodeCommit;

/// The commit that is checked out in a folder; none where there is no repository or no `git`.
pub(crate) fn code_commit(folder: &Path) -> Option<CodeCommit> {
    let id = git(folder, &["rev-parse", "--verify", "HEAD"])?;
    // Only what lies in the folder counts: it may be part of a larger repository.
    let changes = git(folder, &["status", "--porcelain", "--untracked-files=no", "--", "."])?;
    Some(CodeCommit { id: id.trim().to_owned(), dirty: !changes.trim().is_empty() })
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_repository_has_no_commit() {
        let folder = tempfile::tempdir().unwrap();

        assert_eq!(code_commit(folder.path()), None);
    }

    #[test]
    fn a_change_that_is_not_committed_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
            git(folder.path(), &[&identity, arguments].concat()).unwrap()
        };
        run(&["init", "-q"]);
        std::fs::write(folder.path().join("a.yaml"), "a: 1").unwrap();
        run(&["add", "."]);
        run(&["commit", "-q", "-m", "a"]);

        let clean = code_commit(folder.path()).unwrap();
        std::fs::write(folder.path().join("a.yaml"), "a: 2").unwrap();
        let dirty = code_commit(folder.path()).unwrap();

        assert_eq!(clean.id.len(), 40);
        assert_eq!((clean.dirty, dirty.dirty), (false, true));
        assert_eq!(clean.id, dirty.id);
    }
}
