//! Where features come from.

use std::sync::Arc;

use mainspring_features::{FeatureStore, MissReason, OnlineReader, Value};

use crate::Error;
use crate::plan::Plan;

/// Looks up the features of one plan. The seam between answering and the online store, so that answering is tested with
/// stores that fail and stores that hang.
pub trait FeatureLookup: Send + Sync {
    /// Reads the features of each row at its moment.
    ///
    /// `fields` has shape `[at.len(), fields]` by [`Plan::fields`](crate::Plan::fields), moments are microseconds since
    /// 1970; the answer has shape `[at.len(), features]` by [`Plan::features`](crate::Plan::features).
    ///
    /// # Errors
    /// In words, when the store does not answer.
    fn look_up(&self, fields: &[Value], at: &[i64]) -> Result<Found, String>;

    /// Whether it may wait for another machine. It is then never called on the threads that accept requests.
    fn may_wait(&self) -> bool {
        false
    }
}

/// What a lookup found.
#[derive(Debug, Default)]
pub struct Found {
    /// Shape `[rows, features]`.
    pub features: Vec<Value>,
    /// How many times an entity had no row in a view. Its features are then null, as they are in training.
    pub misses: u64,
    /// Why a whole view had nothing to give, when one had.
    pub unavailable: Option<String>,
}

/// The feature store's online side.
pub(crate) struct StoredFeatures {
    reader: OnlineReader,
    /// For each field that the reader wants, its position among the plan's.
    fields: Vec<usize>,
    width: usize,
}

impl StoredFeatures {
    /// Compiles the lookup of a plan's features; `None` when it has none.
    pub(crate) async fn compile(store: &FeatureStore, plan: &Plan) -> Result<Option<Arc<dyn FeatureLookup>>, Error> {
        if plan.features.is_empty() {
            return Ok(None);
        }
        let reader = store.online_reader(&plan.features).await.map_err(|error| Error::Invalid(error.to_string()))?;
        let place = |name: &str| {
            plan.field(name)
                .ok_or_else(|| Error::Internal(format!("features need `{name}`, which is no request field")))
        };
        let fields = reader.request_fields().iter().map(|field| place(&field.name)).collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(Self { reader, fields, width: plan.fields.len() })))
    }
}

impl FeatureLookup for StoredFeatures {
    fn look_up(&self, fields: &[Value], at: &[i64]) -> Result<Found, String> {
        let rows = fields.chunks_exact(self.width.max(1));
        let wanted = rows.flat_map(|row| self.fields.iter().map(|field| row[*field].clone())).collect();
        let found =
            self.reader.read_parsed(&self.reader.typed(wanted, at.len()), at).map_err(|error| error.to_string())?;
        let unavailable = found.missed.iter().find_map(|missed| match missed.reason {
            MissReason::NotMaterialized => Some(format!("feature view `{}` is not materialised online", missed.view)),
            // what is left of the tail may give another value than training saw: no answer to rely on
            MissReason::TooEarly => Some(format!(
                "rows of feature view `{}` that count may be gone online: the request asks for a moment long ago, or a \
                 window was made longer and the view is not materialised since",
                missed.view
            )),
            MissReason::NoKey | MissReason::UnknownEntity => None,
        });
        Ok(Found { misses: found.missed.len() as u64, features: found.values, unavailable })
    }
}
