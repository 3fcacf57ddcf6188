//! Which logged models run here: the files of one in, a model of our kernel out, or the reason why not.

use mainspring_kernel::ModelArtifact;

use crate::{FilePath, FileStore, Manifest, Result};

/// The folder of a logged model.
#[derive(Debug, Clone)]
pub struct LoggedFiles {
    store: FileStore,
    folder: FilePath,
}

impl LoggedFiles {
    /// The model in a folder of the store.
    #[must_use]
    pub fn new(store: FileStore, folder: FilePath) -> Self {
        Self { store, folder }
    }

    /// Reads a file of the folder, which must not be larger than `most` bytes.
    ///
    /// # Errors
    /// When the name is no path, there is no such file, it is larger, or the store fails.
    pub async fn read(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        self.store.read_whole(&self.folder.join(&FilePath::parse(name)?), most).await
    }
}

/// What becomes of a logged model.
#[derive(Debug)]
pub enum Servable {
    /// It runs here.
    Runs(Box<ModelArtifact>),
    /// It is kept for its clients, and does not run here.
    Stored {
        /// Why not.
        reason: String,
    },
}

/// Turns a logged model into one of our kernel, if it is of a format that runs here. Never opens a pickle.
///
/// # Errors
/// When the store fails; a model that cannot be turned is no error.
pub async fn convert(_files: &LoggedFiles, manifest: &Manifest) -> Result<Servable> {
    let flavours: Vec<&str> = manifest.flavors.keys().map(String::as_str).collect();
    Ok(Servable::Stored { reason: format!("not one of the formats that run here: {}", flavours.join(", ")) })
}
