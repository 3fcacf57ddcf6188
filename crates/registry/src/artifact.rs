//! Files named by the hash of what is in them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mainspring_kernel::{ARTIFACT_BYTES_MAX, ModelArtifact};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The most bytes of a file that is stored as it is.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// A stored file, as the catalog remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactRef {
    /// What the run calls it.
    pub name: String,
    /// The SHA-256 of its bytes, in lower case hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// A folder of files, each under the SHA-256 of its bytes: `ab/ab12…`.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    folder: PathBuf,
}

impl ArtifactStore {
    /// The store in a folder, which is made when it is first written to.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Stores a model; the same model is stored once. On return it is durable.
    ///
    /// # Errors
    /// When the model is not valid, is too large, or the disk fails.
    pub fn put_model(&self, name: &str, model: &ModelArtifact) -> Result<ArtifactRef> {
        let bytes =
            model.to_bytes().map_err(|error| Error::NotAModel { name: name.into(), reason: error.to_string() })?;
        self.put_file(name, &bytes)
    }

    /// Stores bytes that claim to be a model, after reading them with the kernel's bounded reader.
    ///
    /// # Errors
    /// [`Error::NotAModel`] for everything else: pickles, ONNX, archives.
    pub fn put_model_bytes(&self, name: &str, bytes: &[u8]) -> Result<ArtifactRef> {
        parse_model(name, bytes)?;
        self.put_file(name, bytes)
    }

    /// Stores bytes as they are, whatever they are; nothing here ever opens them.
    ///
    /// # Errors
    /// When they are too many or the disk fails.
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> Result<ArtifactRef> {
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            return Err(Error::TooLarge { name: name.into(), bytes: size, most: FILE_BYTES_MAX });
        }
        let sha256 = hash(bytes);
        let path = self.path(&sha256)?;
        let stored = ArtifactRef { name: name.into(), sha256, bytes: size };
        if path.metadata().is_ok_and(|meta| meta.len() == size) {
            return Ok(stored);
        }
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(io("making", parent))?;
        let mut file =
            tempfile::Builder::new().prefix(".writing-").tempfile_in(parent).map_err(io("writing in", parent))?;
        file.write_all(bytes).map_err(io("writing", &path))?;
        file.as_file().sync_all().map_err(io("syncing", &path))?;
        file.persist(&path).map_err(|error| io("writing", &path)(error.error))?;
        for folder in [parent, &self.folder] {
            sync_folder(folder)?;
        }
        Ok(stored)
    }

    /// Reads a file back, and checks that it is what was stored.
    ///
    /// # Errors
    /// When it is missing or its bytes changed.
    pub fn get(&self, sha256: &str) -> Result<Vec<u8>> {
        let path = self.path(sha256)?;
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::ArtifactMissing { sha256: sha256.into(), folder: self.folder.display().to_string() }
            }
            _ => io("reading", &path)(error),
        })?;
        let found = hash(&bytes);
        if found != sha256 {
            return Err(Error::ArtifactAltered { expected: sha256.into(), found });
        }
        Ok(bytes)
    }

    /// Reads a model back.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the file is not a model.
    pub fn get_model(&self, artifact: &ArtifactRef) -> Result<ModelArtifact> {
        parse_model(&artifact.name, &self.get(&artifact.sha256)?)
    }

    /// Removes files that are not among `keep` and have not been touched for `age`, and says how many. Files half written
    /// by a process that died are among them.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not be removed.
    pub fn sweep(&self, keep: &HashSet<String>, age: Duration) -> Result<usize> {
        let mut removed = 0;
        for folder in read_folder(&self.folder)? {
            for file in read_folder(&folder)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let ours = name.starts_with(".writing-") || is_hash(&name);
                if ours && !keep.contains(&name) && is_older(&file, age) {
                    std::fs::remove_file(&file).map_err(io("removing", &file))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn path(&self, sha256: &str) -> Result<PathBuf> {
        // The only texts that become paths are hashes, so no name from outside can leave the folder.
        if !is_hash(sha256) {
            return Err(Error::NotAHash(sha256.into()));
        }
        Ok(self.folder.join(&sha256[..2]).join(sha256))
    }
}

fn parse_model(name: &str, bytes: &[u8]) -> Result<ModelArtifact> {
    let refuse = |reason: String| Error::NotAModel { name: name.into(), reason };
    if bytes.len() > ARTIFACT_BYTES_MAX {
        return Err(refuse(format!("{} bytes are more than a model may have", bytes.len())));
    }
    // Protocol 2 and later of a Python pickle begin with 0x80; torch and Keras files are zip archives.
    match bytes {
        [0x80, 0..=5, ..] => return Err(refuse("it is a Python pickle, which is code".into())),
        [b'P', b'K', 3, 4, ..] => return Err(refuse("it is a zip archive".into())),
        _ => {}
    }
    ModelArtifact::from_bytes(bytes).map_err(|error| refuse(error.to_string()))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_older(path: &Path, age: Duration) -> bool {
    let touched = path.metadata().and_then(|meta| meta.modified());
    touched.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|elapsed| elapsed >= age))
}

fn read_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(io("reading", folder))).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(vec![]),
        Err(error) => Err(io("reading", folder)(error)),
    }
}

/// A renamed file is only durable once its folder is.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("syncing", folder))
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ArtifactStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::new(folder.path().join("artifacts"));
        (folder, store)
    }

    #[test]
    fn the_same_bytes_are_one_file() {
        let (_folder, store) = store();

        let first = store.put_file("a", b"some bytes").unwrap();
        let second = store.put_file("b", b"some bytes").unwrap();

        assert_eq!(first.sha256, second.sha256);
        assert_eq!(store.get(&first.sha256).unwrap(), b"some bytes");
    }

    #[test]
    fn an_altered_file_is_named() {
        let (_folder, store) = store();
        let stored = store.put_file("a", b"some bytes").unwrap();
        std::fs::write(store.path(&stored.sha256).unwrap(), b"same bytes").unwrap();

        assert!(matches!(store.get(&stored.sha256), Err(Error::ArtifactAltered { .. })));
    }

    #[test]
    fn a_torn_file_is_written_anew() {
        let (_folder, store) = store();
        let stored = store.put_file("a", b"some bytes").unwrap();
        std::fs::write(store.path(&stored.sha256).unwrap(), b"some").unwrap();

        store.put_file("a", b"some bytes").unwrap();

        assert_eq!(store.get(&stored.sha256).unwrap(), b"some bytes");
    }

    #[test]
    fn names_that_are_not_hashes_reach_no_path() {
        let (_folder, store) = store();

        for name in ["../../etc/passwd", "", "AB", &"A".repeat(64), &format!("../{}", "a".repeat(61))] {
            assert!(matches!(store.get(name), Err(Error::NotAHash(_))), "{name}");
        }
    }

    #[test]
    fn pickles_and_archives_are_no_models() {
        let (_folder, store) = store();

        for bytes in [b"\x80\x04\x95abc".as_slice(), b"PK\x03\x04abc", b"", b"{}", b"cos\nsystem\n(S'ls'\ntR."] {
            assert!(matches!(store.put_model_bytes("m", bytes), Err(Error::NotAModel { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn a_sweep_removes_what_nothing_names() {
        let (_folder, store) = store();
        let kept = store.put_file("a", b"kept").unwrap();
        let orphan = store.put_file("b", b"orphan").unwrap();
        let keep = HashSet::from([kept.sha256.clone()]);

        let spared = store.sweep(&keep, Duration::from_secs(3600)).unwrap();
        let removed = store.sweep(&keep, Duration::ZERO).unwrap();

        assert_eq!((spared, removed), (0, 1));
        assert!(store.get(&kept.sha256).is_ok());
        assert!(matches!(store.get(&orphan.sha256), Err(Error::ArtifactMissing { .. })));
    }
}
