//! Names resolved once, and the read itself.

use std::sync::Arc;

use mainspring_spec::{DataType, Field, InputRef, ViewKind};

use super::answer::{Found, ReadAnswer, Status, ViewFound};
use super::entity::EntityValue;
use crate::error::{Error, Result};
use crate::fold::{Fold, fresh, latest};
use crate::online::{MissReason, OnlineReader, OnlineViews, ViewTails};
use crate::schema::find_view;
use crate::store::FeatureStore;
use crate::value::Value;

/// The most entities of one read: their answer is made in memory.
pub const ENTITIES_MAX: usize = 10_000;

/// A feature of a plan.
#[derive(Debug, Clone)]
pub struct ReadOutput {
    /// Its view's name.
    pub view_name: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it is text that holds JSON.
    pub is_json: bool,
    /// The view's place in the plan. Features of one view were found together: they have the same rows.
    pub view: usize,
    pub(super) place: usize,
}

/// A list of features, resolved.
pub struct ReadPlan {
    fields: Vec<Field>,
    outputs: Vec<ReadOutput>,
    views: Vec<ViewRead>,
    online: Arc<OnlineViews>,
    compiled: u64,
}

enum ViewRead {
    /// A view whose tails are looked up: which of the fields are its key.
    Stored { tails: Arc<ViewTails>, fold: Arc<Fold>, keys: Vec<usize> },
    /// Expressions over the request: which of the fields they read.
    Computed { reader: Box<OnlineReader>, fields: Vec<usize> },
}

impl FeatureStore {
    /// Resolves a list of features, each by its view and name.
    ///
    /// # Errors
    /// When a name means nothing, or a view is not kept online.
    pub async fn read_plan(&self, features: &[(String, String)]) -> Result<ReadPlan> {
        let compiled = self.online.compiled();
        let input =
            |(view, feature): &(String, String)| InputRef::Feature { view: view.clone(), feature: feature.clone() };
        let mut stored = vec![];
        let mut computed = vec![];
        for feature in features {
            let is_computed = find_view(&self.project, &feature.0)?.kind() == ViewKind::Request;
            if is_computed { computed.push(input(feature)) } else { stored.push(input(feature)) }
        }
        let plan = self.plan(&stored).await?;
        let mut fields = plan.fields.clone();
        let mut views = vec![];
        for used in &plan.views {
            if !used.online {
                return Err(Error::NotOnline { view: used.schema.view.clone() });
            }
            let tails = self.online.view(&used.schema)?;
            views.push(ViewRead::Stored { tails, fold: used.fold.clone(), keys: used.keys.clone() });
        }
        if !computed.is_empty() {
            let reader = self.online_reader(&computed).await?;
            let mut places = vec![];
            for field in reader.request_fields() {
                places.push(place_of(&mut fields, field)?);
            }
            views.push(ViewRead::Computed { reader: Box::new(reader), fields: places });
        }
        let mut outputs = vec![];
        for (view, name) in features {
            let declared = find_view(&self.project, view)?;
            let (at, place, data_type) = match plan.views.iter().position(|used| used.schema.view == *view) {
                Some(at) => {
                    let used = &plan.views[at];
                    let within = used.features.iter().position(|field| field.name == *name);
                    let within = within.ok_or_else(|| {
                        used.schema
                            .feature_type(name)
                            .err()
                            .unwrap_or_else(|| Error::Project(format!("feature `{view}.{name}` is not in its plan")))
                    })?;
                    let place = match used.fold.as_ref() {
                        Fold::Latest(fold) => fold.columns[within],
                        Fold::Windows(_) => within,
                    };
                    (at, place, used.features[within].data_type)
                }
                None => {
                    let wanted = input(&(view.clone(), name.clone()));
                    let place = computed.iter().position(|known| *known == wanted).unwrap_or_default();
                    let data_type = match views.last() {
                        Some(ViewRead::Computed { reader, .. }) => reader.outputs()[place].data_type,
                        _ => return Err(Error::Project(format!("feature `{view}.{name}` is not in its plan"))),
                    };
                    (views.len() - 1, place, data_type)
                }
            };
            let is_json = declared.json.iter().any(|feature| feature == name);
            let view_name = view.as_str().into();
            outputs.push(ReadOutput { view_name, name: name.clone(), data_type, is_json, view: at, place });
        }
        Ok(ReadPlan { fields, outputs, views, online: self.online.clone(), compiled })
    }
}

/// The place of a field among those that a request brings.
fn place_of(fields: &mut Vec<Field>, field: &Field) -> Result<usize> {
    match fields.iter().position(|known| known.name == field.name) {
        Some(place) if fields[place].data_type == field.data_type => Ok(place),
        Some(place) => Err(Error::Project(format!(
            "`{}` is declared as {} in one place and as {} in another; make them the same",
            field.name, fields[place].data_type, field.data_type
        ))),
        None => {
            fields.push(field.clone());
            Ok(fields.len() - 1)
        }
    }
}

impl ReadPlan {
    /// What a request brings for each entity: keys, and what expressions read.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The features, in the order asked for.
    #[must_use]
    pub fn outputs(&self) -> &[ReadOutput] {
        &self.outputs
    }

    /// Whether no view was compiled anew since. A plan that is not current may point to tails that nobody writes any more.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.online.compiled() == self.compiled
    }

    /// Finds the features of entities as of a moment in microseconds. `columns` has a column for each of
    /// [`Self::fields`], of `rows` values.
    ///
    /// # Errors
    /// When a value is not of its field's type, or the store fails.
    pub fn read(&self, columns: &[&[EntityValue<'_>]], rows: usize, at: i64) -> Result<ReadAnswer<'_>> {
        debug_assert_eq!(columns.len(), self.fields.len(), "there is a column for each field");
        let mut views = Vec::with_capacity(self.views.len());
        for view in &self.views {
            views.push(match view {
                ViewRead::Stored { tails, fold, keys } => self.find(tails, fold, keys, columns, rows, at)?,
                ViewRead::Computed { reader, fields } => self.compute(reader, fields, columns, rows, at)?,
            });
        }
        Ok(ReadAnswer { outputs: &self.outputs, views, rows })
    }

    fn find(
        &self,
        tails: &ViewTails,
        fold: &Fold,
        keys: &[usize],
        columns: &[&[EntityValue<'_>]],
        rows: usize,
        at: i64,
    ) -> Result<ViewFound> {
        let mut found = vec![Found::NOTHING; rows];
        let mut values = vec![];
        let state = tails.state();
        let (mut entity, mut scratch) = (Vec::with_capacity(64), Vec::with_capacity(96));
        for (row, found) in found.iter_mut().enumerate() {
            entity.clear();
            let mut is_known = true;
            for &key in keys {
                is_known &= columns[key][row].encode(&self.fields[key], row, &mut entity)?;
            }
            let tail = match &state {
                Some(state) if is_known => Some(tails.tail(state, &entity, &mut scratch)?),
                _ => None,
            };
            match fold {
                Fold::Latest(fold) => {
                    let last = tail.as_ref().and_then(|tail| latest(tail, at, None));
                    if let (Some(tail), Some(last)) = (tail, last) {
                        let happened = tail.event_time(last);
                        let is_fresh = fresh(happened, at, fold.ttl);
                        found.status = if is_fresh { Status::Present } else { Status::OutsideMaxAge };
                        // Rows without times hold always; they have no moment.
                        found.event_time = if happened == i64::MIN { 0 } else { happened };
                        (found.tail, found.row) = (Some(tail), last);
                    }
                }
                Fold::Windows(windows) => match tail {
                    // Of an unknown entity there are no events: they count nought, as in training.
                    Some(tail) => {
                        let first = values.len();
                        fold.at(&tail, at, &mut values);
                        if let Some(state) = state.as_ref().filter(|state| at < state.exact_since(fold)) {
                            windows.clear_before(state.kept_after(), at, &mut values[first..]);
                        }
                        let last = latest(&tail, at, None);
                        found.status = if tail.is_empty() { Status::NotFound } else { Status::Present };
                        found.event_time = last.map_or(0, |last| tail.event_time(last));
                    }
                    None => values.resize(values.len() + windows.outputs(), Value::Null),
                },
            }
        }
        Ok(match fold {
            Fold::Latest(_) => ViewFound::Latest(found),
            Fold::Windows(windows) => ViewFound::Windows(found, values, windows.outputs()),
        })
    }

    fn compute(
        &self,
        reader: &OnlineReader,
        fields: &[usize],
        columns: &[&[EntityValue<'_>]],
        rows: usize,
        at: i64,
    ) -> Result<ViewFound> {
        let mut values = Vec::with_capacity(rows * fields.len());
        #[expect(clippy::needless_range_loop, reason = "columns are by field: the row is the inner index")]
        for row in 0..rows {
            for &field in fields {
                let (value, field) = (&columns[field][row], &self.fields[field]);
                values.push(value.to_value(field.data_type).ok_or_else(|| value.refused(field, row))?);
            }
        }
        let mut answer = reader.read_parsed(&reader.typed(values, rows), &vec![at; rows])?;
        let width = answer.fields.len();
        // What an expression makes of a window that is not whole is no answer.
        for missed in answer.missed.iter().filter(|missed| missed.reason == MissReason::TooEarly) {
            answer.values[missed.row * width..(missed.row + 1) * width].fill(Value::Null);
        }
        Ok(ViewFound::Computed(answer.values, width))
    }
}
