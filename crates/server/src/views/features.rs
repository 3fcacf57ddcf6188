//! Feature views and how fresh they are.

use jiff::Timestamp;
use mainspring_catalog::ListQuery;
use mainspring_features::{Freshness, Materialization};
use mainspring_spec::ViewKind;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Error, Look, Page, Result};

/// The most computations that are shown.
const COMPUTATIONS_SHOWN: usize = 30;

/// A feature view.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FeatureView {
    /// The view.
    pub view: String,
    /// What it computes, in a sentence.
    pub description: String,
    /// How it is computed.
    pub kind: ViewKind,
    /// The entity it describes.
    pub entity: Option<String>,
    /// How many features it has.
    pub features: usize,
    /// Whether it is kept for requests.
    pub online: bool,
    /// How fresh it is; request views are always fresh.
    pub freshness: Option<Freshness>,
    /// Models that take features of it.
    pub used_by: Vec<String>,
}

/// The declared views, by name.
///
/// # Errors
/// When catalog or lake fail.
pub async fn feature_views(look: &Look, page: &Page) -> Result<Vec<FeatureView>> {
    let mut shown = vec![];
    for name in page.of(look.project.feature_views.keys()) {
        shown.push(seen(look, name).await?);
    }
    Ok(shown)
}

/// A feature service.
#[derive(Debug, Clone, Serialize)]
pub struct FeatureServiceSeen {
    /// The service.
    pub service: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// Its features, each as `view.feature`.
    pub features: Vec<String>,
    /// The views they are of, each once.
    pub views: Vec<String>,
}

/// The declared services, by name.
///
/// # Errors
/// When a service means nothing, which a project that was loaded rules out.
pub fn feature_services(look: &Look) -> Result<Vec<FeatureServiceSeen>> {
    let mut shown = vec![];
    for (name, declared) in &look.project.feature_services {
        let missing = |_| Error::missing("feature service", name);
        let features = look.project.service_features(name).map_err(missing)?;
        let mut views: Vec<String> = features.iter().map(|(view, _)| view.clone()).collect();
        views.dedup();
        shown.push(FeatureServiceSeen {
            service: name.clone(),
            description: declared.description.clone(),
            features: features.into_iter().map(|(view, feature)| format!("{view}.{feature}")).collect(),
            views,
        });
    }
    Ok(shown)
}

async fn seen(look: &Look, name: &str) -> Result<FeatureView> {
    let declared = look.project.feature_views.get(name).ok_or_else(|| Error::missing("feature view", name))?;
    let freshness = match declared.kind() {
        ViewKind::Request => None,
        ViewKind::Sql | ViewKind::Windowed => Some(look.features.freshness(name).await?),
    };
    let models = look.project.models.keys().filter(|model| {
        let resolved = look.project.resolve_model(model);
        resolved.is_ok_and(|resolved| look.project.views_used(&resolved).iter().any(|used| used == name))
    });
    Ok(FeatureView {
        view: name.into(),
        description: declared.description.clone(),
        kind: declared.kind(),
        entity: declared.entity.clone(),
        features: declared.feature_names().len(),
        online: declared.is_served_online(),
        freshness,
        used_by: models.cloned().collect(),
    })
}

/// A feature.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FeatureField {
    /// Its name.
    pub name: String,
    /// Its type, once its tables are there.
    pub data_type: Option<String>,
    /// What it says, or how it is computed.
    pub description: String,
}

/// Everything about a view.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FeatureDetail {
    /// The view.
    #[serde(flatten)]
    pub view: FeatureView,
    /// The key of its entity.
    pub keys: Vec<String>,
    /// Its query, or the table or view whose rows it folds.
    pub definition: String,
    /// Event time, time of knowledge, and how long a value holds.
    pub event_time: Option<String>,
    /// The column that says when a fact became known.
    pub known_at: Option<String>,
    /// How long a value holds.
    pub ttl: Option<String>,
    /// Its features.
    pub fields: Vec<FeatureField>,
    /// Its computations, the newest first.
    pub computations: Vec<Materialization>,
    /// When its newest computation was.
    pub computed_at: Option<Timestamp>,
}

/// A view with its features and computations.
///
/// # Errors
/// When there is no such view.
pub async fn feature_view(look: &Look, name: &str) -> Result<FeatureDetail> {
    let view = seen(look, name).await?;
    let declared = look.project.feature_views.get(name).ok_or_else(|| Error::missing("feature view", name))?;
    // types are known once the tables below are there
    let typed = look.features.features(name).await.unwrap_or_default();
    let describe = |feature: &str| {
        let expression = declared.expressions.iter().find(|expression| expression.name == feature);
        let aggregate = declared.aggregates.iter().find_map(|aggregate| {
            let window = aggregate.windows.iter().find(|window| aggregate.feature_name(**window) == feature)?;
            let of = aggregate.of.as_deref().map(|of| format!(" of {of}")).unwrap_or_default();
            Some(format!("{}{of} over {window}", format!("{:?}", aggregate.function).to_lowercase()))
        });
        let told = declared.features.get(feature).filter(|told| !told.is_empty()).cloned();
        told.or(aggregate).or(expression.map(|expression| expression.sql.clone())).unwrap_or_default()
    };
    let fields = declared.feature_names().into_iter().map(|feature| FeatureField {
        data_type: typed.iter().find(|field| field.name == feature).map(|field| field.data_type.to_string()),
        description: describe(&feature),
        name: feature,
    });
    let definition = match (&declared.sql, &declared.from) {
        (Some(sql), _) => sql.trim().to_owned(),
        (None, Some(from)) => {
            let filter = declared.filter.as_deref().map(|filter| format!("\nwhere {}", filter.trim()));
            format!("from {from}{}", filter.unwrap_or_default())
        }
        (None, None) => {
            let lines = declared.expressions.iter().map(|line| format!("{} = {}", line.name, line.sql.trim()));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    let computations = look
        .catalog
        .list::<Materialization>(ListQuery::of(name).newest_first().limit(COMPUTATIONS_SHOWN))
        .await?
        .into_iter()
        .map(|stored| stored.document)
        .collect::<Vec<_>>();
    Ok(FeatureDetail {
        keys: look.project.entity_keys(declared).iter().map(|key| key.name.clone()).collect(),
        definition,
        event_time: declared.event_time.clone(),
        known_at: declared.known_at.clone(),
        ttl: declared.ttl.map(|ttl| ttl.to_string()),
        fields: fields.collect(),
        computed_at: computations.first().map(|last| last.at),
        computations,
        view,
    })
}
