//! What a stored view looks like: its table's columns, its features with their types, and its fold.

use mainspring_catalog::Document;
pub use mainspring_spec::EVENT_TIME;
use mainspring_spec::{DataType, FeatureView, Field, Project, ViewKind};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fold::aggregate_type;
use crate::fold::{Fold, LatestFold, WindowFold};

/// The column that orders rows of equal times, and tells equal rows apart.
pub const ROW_ID: &str = "row_id";
/// The column of windowed views that says when an event became known.
pub const KNOWN_AT: &str = "known_at";

/// The compiled shape of a SQL or windowed view. Recorded in the catalog when the view is computed, so that an endpoint
/// can be loaded without asking the query engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSchema {
    /// The view's name.
    pub view: String,
    /// A digest of everything in the declaration that rows depend on.
    pub fingerprint: String,
    /// The entity's key columns.
    pub keys: Vec<Field>,
    /// The column of event times; without, rows hold always.
    pub event_time: Option<String>,
    /// The column of the times at which facts became known; without, facts are known when they happen.
    pub known_at: Option<String>,
    /// The other columns of the view's table.
    pub payload: Vec<Field>,
    /// The features.
    pub features: Vec<Field>,
}

impl Document for ViewSchema {
    const KIND: &'static str = "feature_view_schema";

    fn id(&self) -> String {
        self.view.clone()
    }
}

impl ViewSchema {
    /// The type of a feature.
    ///
    /// # Errors
    /// When the view has no such feature.
    pub fn feature_type(&self, feature: &str) -> Result<DataType> {
        self.features.iter().find(|field| field.name == feature).map(|field| field.data_type).ok_or_else(|| {
            Error::UnknownFeature {
                view: self.view.clone(),
                feature: feature.to_owned(),
                features: names(self.features.iter().map(|field| field.name.as_str())),
            }
        })
    }

    /// The types of the payload columns.
    pub fn payload_types(&self) -> impl Iterator<Item = DataType> {
        self.payload.iter().map(|field| field.data_type)
    }

    /// The fold that computes some of the features, in that order.
    ///
    /// # Errors
    /// When the view has no such feature.
    pub fn fold(&self, view: &FeatureView, features: &[String]) -> Result<Fold> {
        match view.kind() {
            ViewKind::Request => Err(Error::NothingStored { view: view.name.clone(), operation: "a fold" }),
            ViewKind::Sql => {
                let columns = features.iter().map(|feature| self.payload_column(feature)).collect::<Result<_>>()?;
                Ok(Fold::Latest(LatestFold { columns, ttl: view.ttl.map(|ttl| ttl.as_micros()) }))
            }
            ViewKind::Windowed => {
                let mut fold = WindowFold::default();
                for feature in features {
                    let aggregates = view.aggregates.iter().flat_map(|a| a.windows.iter().map(move |w| (a, *w)));
                    let (aggregate, window) = aggregates
                        .into_iter()
                        .find(|(aggregate, window)| aggregate.feature_name(*window) == *feature)
                        .ok_or_else(|| self.unknown(feature))?;
                    let column = match &aggregate.of {
                        Some(of) => Some(self.payload_column(view.operand_column(of))?),
                        None => None,
                    };
                    fold.push(window.as_micros(), aggregate.function, column);
                }
                Ok(Fold::Windows(fold))
            }
        }
    }

    fn payload_column(&self, name: &str) -> Result<usize> {
        self.payload.iter().position(|field| field.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, feature: &str) -> Error {
        Error::UnknownFeature {
            view: self.view.clone(),
            feature: feature.to_owned(),
            features: names(self.features.iter().map(|field| field.name.as_str())),
        }
    }
}

/// The features of a view whose payload has these types.
pub(crate) fn feature_fields(view: &FeatureView, payload: &[Field]) -> Result<Vec<Field>> {
    let type_of = |name: &str| payload.iter().find(|field| field.name == name).map(|field| field.data_type);
    match view.kind() {
        ViewKind::Sql => view
            .features
            .keys()
            .map(|name| match type_of(name) {
                Some(data_type) => Ok(Field { name: name.clone(), data_type }),
                None => Err(Error::MissingColumn {
                    view: view.name.clone(),
                    column: name.clone(),
                    role: "listed under `features:` and neither a key nor a time".into(),
                }),
            })
            .collect(),
        ViewKind::Windowed => {
            let mut fields = vec![];
            for aggregate in &view.aggregates {
                let of = aggregate.of.as_deref().and_then(|of| type_of(view.operand_column(of)));
                let data_type = aggregate_type(aggregate.function, of).ok_or_else(|| Error::Aggregate {
                    view: view.name.clone(),
                    aggregate: aggregate.name.clone(),
                    reason: match of {
                        Some(of) => {
                            format!("there is no {:?} of {of} values; cast `of` to a number", aggregate.function)
                        }
                        None => format!("{:?} needs `of:`, an expression to aggregate", aggregate.function),
                    },
                })?;
                let windows = aggregate.windows.iter();
                fields.extend(windows.map(|&window| Field { name: aggregate.feature_name(window), data_type }));
            }
            Ok(fields)
        }
        ViewKind::Request => Ok(vec![]),
    }
}

/// A view by name.
pub(crate) fn find_view<'a>(project: &'a Project, view: &str) -> Result<&'a FeatureView> {
    project.feature_views.get(view).ok_or_else(|| Error::UnknownView {
        view: view.to_owned(),
        declared: names(project.feature_views.keys().map(String::as_str)),
    })
}

/// A list of names for a message.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let joined = names.collect::<Vec<_>>().join(", ");
    if joined.is_empty() { "none".into() } else { joined }
}

/// A digest of everything in a view's declaration, and in what it takes from its entity and source, that its rows depend on.
pub(crate) fn fingerprint(project: &Project, view: &FeatureView) -> String {
    use sha2::{Digest, Sha256};
    let source = view.from.as_ref().and_then(|from| project.sources.get(from));
    let upstream = view.from.as_ref().and_then(|from| project.feature_views.get(from));
    let operands: Vec<_> = view.aggregates.iter().filter_map(|aggregate| aggregate.of.as_deref()).collect();
    let mut parts = serde_json::json!([
        2, // The layout of the table. Raised when rows are made otherwise from the same declaration.
        project.entity_keys(view),
        view.sql,
        view.from,
        view.filter,
        operands,
        operands.iter().map(|of| view.operand_column(of)).collect::<Vec<_>>(),
        view.event_time,
        view.known_at,
        source.map(|source| (&source.event_time, &source.known_at, &source.key)),
        upstream.map(|view| (&view.event_time, &view.known_at)),
    ]);
    // Only where it is declared: so views without it keep the digest that they had before there was such a key.
    if let (Some(written_at), Some(parts)) = (&view.written_at, parts.as_array_mut()) {
        parts.push(serde_json::json!({ "written_at": written_at }));
    }
    hex::encode(Sha256::digest(parts.to_string().as_bytes()))
}
