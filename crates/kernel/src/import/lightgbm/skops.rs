//! Estimators of LightGBM as `skops.io.dump` writes them, and MLflow with it: a zip archive whose `schema.json` tells every
//! attribute (<https://skops.readthedocs.io>, `skops/io/_sklearn.py` of version 0.14). What is needed of it is data: the
//! text of the booster, which early stopping has cut, and the names of the classes. Nothing is constructed, and
//! no other file of the archive is opened.

use std::fmt;
use std::io::Read;

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ARTIFACT_BYTES_MAX;

/// The file of the archive that describes the object.
const SCHEMA: &str = "schema.json";

/// What is known of an estimator.
#[derive(Debug)]
pub(super) struct Estimator {
    /// Its booster as LightGBM's text.
    pub booster: String,
    /// Its classes in the order of the scores; none for a regression.
    pub classes: Vec<String>,
}

/// Reads the estimator that an archive holds.
pub(super) fn estimator(bytes: &[u8]) -> Result<Estimator, String> {
    let schema = schema(bytes)?;
    let not_read = |error: serde_json::Error| format!("its {SCHEMA} cannot be read: {error}");
    let kind: Kind = serde_json::from_str(&schema).map_err(not_read)?;
    if kind.module.split('.').next() != Some("lightgbm") {
        return Err(format!(
            "it holds a {}.{}; of skops files those of LightGBM's estimators are read",
            kind.module, kind.class
        ));
    }
    let Object { content: Dict { content: found } } =
        serde_json::from_str::<Object<Attributes>>(&schema).map_err(not_read)?;
    let Some(Object { content: Dict { content: booster } }) = found.booster else {
        return Err("it holds an estimator that was not fitted".into());
    };
    let text: String = serde_json::from_str(&booster.text.content)
        .map_err(|error| format!("the text of its booster is none: {error}"))?;
    Ok(Estimator { booster: text, classes: found.class_map.map(|map| map.content.0).unwrap_or_default() })
}

/// The text of the archive's `schema.json`, unpacked and held against its checksum.
fn schema(bytes: &[u8]) -> Result<String, String> {
    let archive = ZipArchive::from_slice(bytes).map_err(|error| format!("it is no whole archive: {error}"))?;
    let mut entries = archive.entries();
    loop {
        let entry = entries.next_entry().map_err(|error| format!("its list of files is damaged: {error}"))?;
        let Some(entry) = entry else {
            return Err(format!("it is an archive without a {SCHEMA}; of archives those that skops writes are read"));
        };
        if entry.file_path().as_ref() != SCHEMA.as_bytes() {
            continue;
        }
        let method = entry.compression_method();
        let packed =
            archive.get_entry(entry.wayfinder()).map_err(|error| format!("its {SCHEMA} is damaged: {error}"))?;
        return match method {
            CompressionMethod::Store => text(packed.verifying_reader(packed.data())),
            CompressionMethod::Deflate => text(packed.verifying_reader(DeflateDecoder::new(packed.data()))),
            _ => Err(format!("its {SCHEMA} is packed by {method:?}; what is stored or deflated is read")),
        };
    }
}

/// Reads a text that is not larger than a model may be.
fn text(unpacked: impl Read) -> Result<String, String> {
    let mut text = String::new();
    let most = ARTIFACT_BYTES_MAX as u64;
    let read = unpacked.take(most + 1).read_to_string(&mut text);
    read.map_err(|error| format!("its {SCHEMA} cannot be unpacked: {error}"))?;
    if text.len() as u64 > most {
        return Err(format!("its {SCHEMA} unpacks to more than {most} bytes"));
    }
    Ok(text)
}

/// What kind of object is told.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "__module__")]
    module: String,
    #[serde(rename = "__class__")]
    class: String,
}

/// An object: its attributes are a dictionary.
#[derive(Deserialize)]
struct Object<T> {
    content: Dict<T>,
}

#[derive(Deserialize)]
struct Dict<T> {
    content: T,
}

/// A value as a text of JSON.
#[derive(Deserialize)]
struct Text {
    content: String,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(rename = "_Booster", deserialize_with = "fitted")]
    booster: Option<Object<Booster>>,
    #[serde(rename = "_class_map", default)]
    class_map: Option<Dict<Keys>>,
}

#[derive(Deserialize)]
struct Booster {
    #[serde(rename = "_handle")]
    text: Text,
}

/// A booster; where the estimator was not fitted, there is the text of a null.
fn fitted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Object<Booster>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Fitted(Object<Booster>),
        Not(IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Fitted(booster) => Some(booster),
        Either::Not(_) => None,
    })
}

/// The keys of a dictionary in their order; none where there is no dictionary.
#[derive(Debug, Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;

        impl<'de> Visitor<'de> for OfMap {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the names of classes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = vec![];
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }

            fn visit_str<E>(self, _text_of_null: &str) -> Result<Keys, E> {
                Ok(Keys::default())
            }
        }

        deserializer.deserialize_any(OfMap)
    }
}
