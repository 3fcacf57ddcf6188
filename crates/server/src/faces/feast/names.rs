//! Names as clients of Feast write them. Ours are of lower case letters, digits and `_`; the import mends others, and the
//! clients go on to ask for what they know.
//!
//! What a view and its features were called stands in the source into which clients write the view: the import puts
//! `feature_view:NAME` among its `push` names, and its columns are called as the frames that clients send. Two names that
//! would be mended to one can so be told apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mainspring_spec::{ServiceFeature, Source, mended_name};

use crate::app::Layers;

/// What stands before a view's own name among the names of its pushes.
const VIEW: &str = "feature_view:";

/// The key of views that describe no entity: the import gives them one, as Feast does.
pub(super) const NO_ENTITY: &str = "__dummy_id";
/// What stands in that key in all rows, and so in each read; clients need not send it.
pub(super) const NO_ENTITY_VALUE: &str = "";

/// A feature that is asked for: by our names, and by those that the client knows.
pub(super) struct Wanted {
    pub(super) view: String,
    pub(super) feature: String,
    pub(super) known_view: String,
    pub(super) known_feature: String,
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
    let known = written(layers, &mended).and_then(view_name);
    if views.contains_key(&mended) && known.is_none_or(|known| known == asked) {
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

/// The feature that a client names by view and feature.
pub(super) fn asked(layers: &Layers, known_view: &str, known_feature: &str) -> Wanted {
    let view = view(layers, known_view).into_owned();
    let features = layers.project.view_features(&view);
    let mended = mended_name(known_feature);
    let is_mended = !features.iter().any(|feature| feature == known_feature)
        && features.contains(&mended)
        && written(layers, &view).is_none_or(|source| source.columns.iter().any(|column| column.name == known_feature));
    let feature = if is_mended { mended } else { known_feature.to_owned() };
    Wanted {
        view,
        feature,
        known_view: known_view.to_owned(),
        known_feature: known_feature.to_owned(),
        join_key_map: BTreeMap::new(),
    }
}

/// A feature of a service, which names it in our way: what clients call it. A name that only the service gives to a view is
/// the clients' own.
pub(super) fn of_service(layers: &Layers, read: ServiceFeature) -> Wanted {
    let source = written(layers, &read.view);
    let feasts_view = source.and_then(view_name).filter(|known| mended_name(known) == read.view);
    let known_view = match feasts_view {
        Some(known) if read.known_view == read.view => known.to_owned(),
        _ => read.known_view,
    };
    let known_feature = source.and_then(|source| feature_name(source, &read.feature));
    Wanted {
        known_view,
        known_feature: known_feature.unwrap_or(&read.feature).to_owned(),
        view: read.view,
        feature: read.feature,
        join_key_map: read.join_key_map,
    }
}

/// The source into which clients write a view, if there is one.
fn written<'a>(layers: &'a Layers, view: &str) -> Option<&'a Source> {
    layers.features.write_target(view).ok().map(|(_, source)| source)
}

/// What clients call the view that a source is written for.
fn view_name(source: &Source) -> Option<&str> {
    source.push.iter().find_map(|name| name.strip_prefix(VIEW))
}

/// What clients call a feature whose values a source takes.
fn feature_name<'a>(source: &'a Source, feature: &str) -> Option<&'a str> {
    let columns = || source.columns.iter().map(|column| column.name.as_str());
    let same = columns().find(|column| *column == feature);
    same.or_else(|| columns().find(|column| mended_name(column) == feature))
}
