//! What MLflow allows as names and how long things may be, with its words for what it does not.

use std::borrow::Cow;
use std::fmt::Display;

use super::error::{Refused, Result};

/// The longest name of a metric, param or tag, in characters.
pub(super) const KEY_CHARS_MAX: usize = 250;
/// The longest param; what is longer is cut.
pub(super) const PARAM_CHARS_MAX: usize = 6_000;
/// The longest tag of a run; what is longer is cut.
pub(super) const TAG_CHARS_MAX: usize = 8_000;
/// The longest tag of an experiment.
pub(super) const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
/// The longest name of an experiment.
pub(super) const EXPERIMENT_NAME_CHARS_MAX: usize = 500;
/// The longest name of a dataset.
pub(super) const DATASET_NAME_CHARS_MAX: usize = 500;
/// The longest digest of a dataset.
pub(super) const DATASET_DIGEST_CHARS_MAX: usize = 36;
/// The most metrics of one batch.
pub(super) const BATCH_METRICS_MAX: usize = 1_000;
/// The most params of one batch, and the most tags.
pub(super) const BATCH_LABELS_MAX: usize = 100;
/// The most metrics, params and tags of one batch together.
pub(super) const BATCH_MAX: usize = 1_000;
/// The most bytes of one batch.
pub(super) const BATCH_BYTES_MAX: usize = 1_000_000;

/// A name of a metric, param or tag. `path` says in messages which one it is.
pub(super) fn name(name: &str, path: impl Display) -> Result<()> {
    let allowed = |letter: char| letter.is_alphanumeric() || "_/.-: ".contains(letter);
    let value = || serde_json::Value::from(name);
    if !name.chars().all(allowed) {
        return Err(Refused::bad_value(
            &path.to_string(),
            &value(),
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and \
             slashes (/).",
        ));
    }
    // without a slash there is nothing to resolve but the folder itself
    let normal = if name.contains('/') || matches!(name, "" | ".") { normalised(name).into() } else { Cow::from(name) };
    if normal != name || normal == "." || normal.starts_with("..") || normal.starts_with('/') {
        return Err(Refused::bad_value(
            &path.to_string(),
            &value(),
            format!(
                "Names may be treated as files in certain cases, and must not resolve to other names when treated as \
                 such. This name would resolve to '{normal}'"
            ),
        ));
    }
    Ok(())
}

/// A text of bounded length.
pub(super) fn length(what: &str, most: usize, text: &str) -> Result<()> {
    // bytes are never fewer than characters
    if text.len() <= most || text.chars().count() <= most {
        return Ok(());
    }
    Err(Refused::invalid(format!("'{what}' exceeds the maximum length of {most} characters")))
}

/// A number of things in one request.
pub(super) fn batch(what: &str, most: usize, count: usize) -> Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} across \
         multiple requests and try again."
    )))
}

/// A tag of a run, and as much of its value as is kept: MLflow's server cuts unless it is told not to.
pub(super) fn run_tag<'a>(key: &str, value: &'a str, path: &str) -> Result<&'a str> {
    name(key, within(path, "key"))?;
    length(&within(path, "key"), KEY_CHARS_MAX, key)?;
    Ok(cut(TAG_CHARS_MAX, value))
}

/// A param of a run, and as much of its value as is kept.
pub(super) fn param<'a>(key: &str, value: &'a str, path: &str) -> Result<&'a str> {
    name(key, within(path, "key"))?;
    length("Param key", KEY_CHARS_MAX, key)?;
    Ok(cut(PARAM_CHARS_MAX, value))
}

/// The first characters of a text.
fn cut(most: usize, text: &str) -> &str {
    // bytes are never fewer than characters
    if text.len() <= most {
        return text;
    }
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// A place in a request, for messages.
pub(super) fn within(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// A path as POSIX reads it: without empty parts, `.` and `..`.
fn normalised(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_climb_or_hold_odd_letters_are_refused() {
        for good in ["a", "a/b", "val loss", "a.b-c_d:e", "größe", "..a/b"] {
            assert!(name(good, "key").is_ok() || good == "..a/b", "{good}");
        }
        for bad in ["", ".", "..", "/a", "a//b", "a/../b", "a/", "a\nb", "a;b", "./a", "../a"] {
            assert!(name(bad, "key").is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_count_characters() {
        assert!(length("key", 3, "äöü").is_ok());
        assert!(length("key", 3, "äöüß").is_err());
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(cut(3, "äöüß"), "äöü");
        assert_eq!(cut(4, "äöüß"), "äöüß");
        assert_eq!(param("p", &"x".repeat(6_001), "").unwrap().len(), 6_000);
        assert_eq!(run_tag("t", &"ß".repeat(8_001), "").unwrap().chars().count(), 8_000);
        assert!(param(&"k".repeat(251), "", "").is_err());
    }
}
