//! Names as clients of Feast write them. Ours are of lower case letters, digits and `_`; the import mends others, and the
//! clients go on to ask for what they know.
//!
//! What a view and its features were called stands in the source into which clients write the view: the import puts
//! `feature_view:NAME` among its `push` names ([`FeastView`]), and its columns are called as the frames that clients send.
//! Two names that would be mended to one can so be told apart.
//!
//! A view is served in one version, the newest. Clients may name it all the same, as `view@v3` or `view@latest`; any other
//! version is not there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mainspring_spec::{FeastView, ServiceFeature, Source, mended_name};

use super::error::Refused;
use crate::app::Layers;

/// What stands in the key of views that describe no entity in all rows, and so in each read; clients need not send it.
pub(super) const NO_ENTITY_VALUE: &str = "";
/// The most digits of a version that a refusal shows.
const DIGITS_SHOWN: usize = 20;

/// A feature that is asked for: by our names, and by those that the client knows.
pub(super) struct Wanted {
    pub(super) view: String,
    pub(super) feature: String,
    pub(super) known_view: String,
    pub(super) known_feature: String,
    /// The version of the view, as Feast counts.
    pub(super) version: u32,
    /// Whether the client names that version; its features then have it in their full names.
    pub(super) is_version_named: bool,
    /// Keys that the client calls otherwise, with what it calls them.
    pub(super) join_key_map: BTreeMap<String, String>,
}

/// Our name of the view that a client asks for; the asked name where there is none.
pub(super) fn view<'a>(layers: &Layers, asked: &'a str) -> Cow<'a, str> {
    let views = &layers.project.feature_views;
    if views.contains_key(asked) {
        return Cow::Borrowed(asked);
    }
    let mended = mended_name(asked);
    let known = written(layers, &mended).and_then(FeastView::of);
    if views.contains_key(&mended) && known.is_none_or(|known| known.name == asked) {
        return Cow::Owned(mended);
    }
    Cow::Borrowed(asked)
}

/// Our name of the service that a client asks for; the asked name where there is none.
pub(super) fn service<'a>(layers: &Layers, asked: &'a str) -> Cow<'a, str> {
    let services = &layers.project.feature_services;
    let mended = mended_name(asked);
    if !services.contains_key(asked) && services.contains_key(&mended) {
        return Cow::Owned(mended);
    }
    Cow::Borrowed(asked)
}

/// A view as a client writes it before a feature, parted into its name and the digits of the version that it names
/// (`_parse_feature_or_view_ref` of Feast 0.67): no version, an empty one and `latest` are the same, and what is not written
/// as a version belongs to the name.
fn parted(asked: &str) -> (&str, Option<&str>) {
    let Some((view, version)) = asked.split_once('@') else { return (asked, None) };
    if version.is_empty() || version.eq_ignore_ascii_case("latest") {
        return (view, None);
    }
    match version.strip_prefix(['v', 'V']) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => (view, Some(digits)),
        _ => (asked, None),
    }
}

/// The feature that a client names by view and feature.
///
/// # Errors
/// When the view is there and is served in another version than the client names.
pub(super) fn asked(layers: &Layers, asked_view: &str, known_feature: &str) -> Result<Wanted, Refused> {
    let (known_view, digits) = parted(asked_view);
    let view = view(layers, known_view).into_owned();
    let version = as_feast_knows(&view, written(layers, &view)).map_or(0, |known| known.version);
    let is_there = layers.project.feature_views.contains_key(&view);
    if let Some(digits) = digits.filter(|digits| is_there && digits.parse::<u32>().ok() != Some(version)) {
        let digits: String = digits.chars().take(DIGITS_SHOWN).collect();
        let message = format!(
            "Version v{digits} of feature view {known_view} does not exist: served is v{version}, the newest; ask for \
             `{known_view}` or `{known_view}@latest`"
        );
        return Err(Refused::not_found("FeatureViewVersionNotFound", message));
    }
    let features = layers.project.view_features(&view);
    let mended = mended_name(known_feature);
    let is_mended = !features.iter().any(|feature| feature == known_feature)
        && features.contains(&mended)
        && written(layers, &view).is_none_or(|source| source.columns.iter().any(|column| column.name == known_feature));
    let feature = if is_mended { mended } else { known_feature.to_owned() };
    Ok(Wanted {
        view,
        feature,
        known_view: known_view.to_owned(),
        known_feature: known_feature.to_owned(),
        version,
        is_version_named: digits.is_some(),
        join_key_map: BTreeMap::new(),
    })
}

/// A feature of a service, which names it in our way: what clients call it. A name that only the service gives to a view is
/// the clients' own.
pub(super) fn of_service(layers: &Layers, read: ServiceFeature) -> Wanted {
    let source = written(layers, &read.view);
    let known = as_feast_knows(&read.view, source);
    let known_view = match known {
        Some(known) if read.known_view == read.view => known.name.to_owned(),
        _ => read.known_view,
    };
    let known_feature = source.and_then(|source| feature_name(source, &read.feature));
    Wanted {
        known_view,
        known_feature: known_feature.unwrap_or(&read.feature).to_owned(),
        version: known.map_or(0, |known| known.version),
        is_version_named: false,
        view: read.view,
        feature: read.feature,
        join_key_map: read.join_key_map,
    }
}

/// The source into which clients write a view, if there is one.
fn written<'a>(layers: &'a Layers, view: &str) -> Option<&'a Source> {
    layers.features.write_target(view).ok().map(|(_, source)| source)
}

/// What the source that a view is written by says of it; it may be that of another view, which reads it too.
fn as_feast_knows<'a>(view: &str, source: Option<&'a Source>) -> Option<FeastView<'a>> {
    source.and_then(FeastView::of).filter(|known| known.name == view || mended_name(known.name) == view)
}

/// What clients call a feature whose values a source takes.
fn feature_name<'a>(source: &'a Source, feature: &str) -> Option<&'a str> {
    let columns = || source.columns.iter().map(|column| column.name.as_str());
    let same = columns().find(|column| *column == feature);
    same.or_else(|| columns().find(|column| mended_name(column) == feature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_is_known_under_its_own_name_and_under_the_mended_one() {
        let source = |view: &str| -> Source {
            let push = ["rows_pushed".to_owned(), FeastView { name: view, version: 3 }.push_name()];
            serde_json::from_value(serde_json::json!({ "source": "rows", "push": push, "columns": [] })).unwrap()
        };
        let version = |view: &str, source: &Source| as_feast_knows(view, Some(source)).map(|known| known.version);

        assert_eq!(version("night__rides", &source("night__rides")), Some(3));
        assert_eq!(version("pair_stats", &source("Pair-Stats")), Some(3));
        assert_eq!(version("others", &source("night__rides")), None);
    }

    #[test]
    fn version_is_read_as_feast_reads_it() {
        for (asked, view, digits) in [
            ("stats", "stats", None),
            ("stats@", "stats", None),
            ("stats@latest", "stats", None),
            ("stats@LATEST", "stats", None),
            ("stats@v2", "stats", Some("2")),
            ("stats@V10", "stats", Some("10")),
            ("stats@2", "stats@2", None),
            ("stats@v", "stats@v", None),
            ("stats@vx", "stats@vx", None),
            ("stats@v2@v3", "stats@v2@v3", None),
        ] {
            assert_eq!(parted(asked), (view, digits), "{asked}");
        }
    }
}
