//! The file `MLmodel`, with which MLflow describes a model's folder.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Its name in the folder.
pub const MANIFEST: &str = "MLmodel";
/// The largest that is read; it holds names, and schemas of inputs.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// What a model's folder holds, as far as it concerns us.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Manifest {
    /// The ways in which the model can be loaded, with what each needs: `lightgbm` with the name of its `data` file.
    #[serde(default)]
    pub flavors: BTreeMap<String, Value>,
    /// Inputs and outputs, each as JSON in a text.
    #[serde(default)]
    pub signature: Option<Value>,
}

impl Manifest {
    /// Reads the YAML text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| format!("its {MANIFEST} file is not UTF-8"))?;
        serde_saphyr::from_str(text).map_err(|error| format!("its {MANIFEST} file is not as MLflow writes it: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_are_read_and_the_rest_is_passed_over() {
        let text =
            b"artifact_path: model\nflavors:\n  lightgbm:\n    data: model.lgb\n  python_function:\n    env: {a: 1}\n";

        let manifest = Manifest::parse(text).unwrap();

        assert_eq!(manifest.flavors.keys().collect::<Vec<_>>(), ["lightgbm", "python_function"]);
        assert_eq!(manifest.flavors["lightgbm"]["data"], "model.lgb");
        for bad in [b"flavors: [1".as_slice(), b"\xff\xfe", b"flavors: 3", b"- a"] {
            assert!(Manifest::parse(bad).is_err(), "{bad:?}");
        }
    }
}
