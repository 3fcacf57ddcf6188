//! Which logged models run here: the files of one in, a model of our kernel out, or the reason why not.

use mainspring_kernel::{ARTIFACT_BYTES_MAX, ModelArtifact, import};

use crate::registry::blocking;
use crate::{Error, FilePath, FileStore, Manifest, Result};

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

/// The flavours whose files are read; what each is called, and how a model is logged that runs here.
const FLAVOURS: [(&str, &str); 2] = [
    ("lightgbm", "`mlflow.lightgbm.log_model` writes them unless it is told to pickle"),
    ("xgboost", "`mlflow.xgboost.log_model` writes them"),
];

/// What runs here, for refusals.
const FORMATS: &str = "LightGBM text and skops, XGBoost JSON and UBJSON run here";

/// Turns a logged model into one of our kernel, if it is of a format that runs here. Never opens a pickle.
///
/// # Errors
/// When the store fails; a model that cannot be turned is no error.
pub async fn convert(files: &LoggedFiles, manifest: &Manifest) -> Result<Servable> {
    let stored = |reason: String| Ok(Servable::Stored { reason });
    let known = FLAVOURS.iter().find_map(|(name, how)| Some((*name, *how, manifest.flavors.get(*name)?)));
    let Some((flavour, how, details)) = known else {
        let flavours: Vec<String> = manifest.flavors.keys().map(|name| format!("`{name}`")).collect();
        return stored(format!("{FORMATS}, and it is of the flavours {}", flavours.join(", ")));
    };
    let Some(name) = details.get("data").and_then(serde_json::Value::as_str) else {
        return stored(format!("its `{flavour}` flavour names no `data` file"));
    };
    let bytes = match files.read(name, ARTIFACT_BYTES_MAX as u64).await {
        Ok(bytes) => bytes,
        Err(error @ (Error::NoFile(_) | Error::FilePath(_) | Error::TooLarge { .. })) => {
            return stored(format!("its model file cannot be read: {error}"));
        }
        Err(error) => return Err(error),
    };
    if import::Format::of(&bytes).is_none() {
        return stored(format!("{FORMATS}, and `{name}` is none of them, so it is not opened; {how}"));
    }
    match blocking(move || Ok(import::read(&bytes))).await? {
        Ok(imported) => Ok(Servable::Runs(Box::new(imported.artifact))),
        Err(error) => stored(error.to_string()),
    }
}
