//! Models of LightGBM and XGBoost, read as data into a [`ModelArtifact`].
//!
//! The readers take bytes from anyone: what they allocate is bounded by what they were given, every loop ends, and what
//! they do not understand is an [`Error`] that says so. No file is opened and nothing in a model is executed.
//!
//! A model that was read answers what its own library answers: thresholds are compared as the library compares them, leaves
//! are added up in its order and in its kind of number, missing values and categories go where it sends them.

mod layout;
mod lightgbm;
mod xgboost;

use crate::{ARTIFACT_BYTES_MAX, Error, ModelArtifact};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `lightgbm.Booster.save_model` writes.
    LightGbmText,
    /// What `skops.io.dump` writes of an estimator of LightGBM, as MLflow logs it.
    LightGbmSkops,
    /// What `xgboost.Booster.save_model("model.json")` writes.
    XgBoostJson,
    /// What `xgboost.Booster.save_model("model.ubj")` writes.
    XgBoostUbjson,
}

impl Format {
    /// The name people know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LightGbmText => "LightGBM text",
            Self::LightGbmSkops => "LightGBM skops",
            Self::XgBoostJson => "XGBoost JSON",
            Self::XgBoostUbjson => "XGBoost UBJSON",
        }
    }

    /// The format that bytes say they have, if it is one of these.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b't', b'r', b'e', b'e', b'\n' | b'\r', ..] => Some(Self::LightGbmText),
            [b'P', b'K', 3, 4, ..] => Some(Self::LightGbmSkops),
            // an object whose first key has a length, or that has a type or a count
            [b'{', b'L' | b'l' | b'I' | b'i' | b'U' | b'$' | b'#', ..] => Some(Self::XgBoostUbjson),
            _ if bytes.trim_ascii_start().starts_with(b"{") => Some(Self::XgBoostJson),
            _ => None,
        }
    }
}

/// A model that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The model.
    pub artifact: ModelArtifact,
    /// What it was read from.
    pub format: Format,
    /// What it was trained for, in its library's words.
    pub objective: String,
}

/// Reads a model of another library.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Import`] with what is in the way.
pub fn read(bytes: &[u8]) -> Result<Imported, Error> {
    if bytes.len() > ARTIFACT_BYTES_MAX {
        return Err(Error::TooLarge { found: bytes.len(), most: ARTIFACT_BYTES_MAX });
    }
    let Some(format) = Format::of(bytes) else {
        return Err(Error::Import {
            format: "unknown",
            reason: "it is neither LightGBM text or skops nor XGBoost JSON or UBJSON; save the model with `save_model`"
                .into(),
        });
    };
    let read = match format {
        Format::LightGbmText => lightgbm::read(bytes),
        Format::LightGbmSkops => lightgbm::from_skops(bytes),
        Format::XgBoostJson => xgboost::from_json(bytes),
        Format::XgBoostUbjson => xgboost::from_ubjson(bytes),
    };
    let (artifact, objective) = read.map_err(|reason| Error::Import { format: format.as_str(), reason })?;
    artifact.validate()?;
    Ok(Imported { artifact, format, objective })
}

/// The numbers of classes as their names, for formats that do not keep them.
fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

#[cfg(test)]
mod tests;
