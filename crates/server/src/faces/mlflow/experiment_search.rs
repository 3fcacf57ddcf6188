//! Searching experiments.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use mainspring_registry::{ExperimentRow, NumberTest, StageView, TextTest};
use serde_json::{Value, json};

use super::access::Asked;
use super::error::{Refused, Result};
use super::extract::Fields;
use super::filter::{self, Clause, Comparison};
use super::run_filter::{number_test, text_test, view};
use super::{token, wire};
use crate::app::App;
use crate::http::Caller;

/// Experiments on a page when the client does not say.
const DEFAULT_RESULTS: usize = 1_000;
/// The most experiments on a page.
const RESULTS_MAX: usize = 50_000;
/// The most keys of an order.
const ORDER_MAX: usize = 10;

/// `experiments/search`
pub(super) async fn search(
    (State(app), Extension(caller)): (State<App>, Extension<Caller>),
    fields: Fields,
) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    asked.may_look().await?;
    let filter = fields.text("filter")?.unwrap_or_default();
    let tests = filter::parse(filter)?.into_iter().map(Test::of).collect::<Result<Vec<_>>>()?;
    let order_by = fields.texts("order_by")?;
    if order_by.len() > ORDER_MAX {
        return Err(Refused::invalid(format!("order_by has more than {ORDER_MAX} keys.")));
    }
    let mut order = order_by.iter().map(|order| Order::of(order)).collect::<Result<Vec<_>>>()?;
    if order.is_empty() {
        order.push(Order { key: Key::Created, ascending: false });
    }
    let view = view(fields.get("view_type"), "view_type")?.unwrap_or(StageView::Active);
    let limit = fields.max_results(DEFAULT_RESULTS, RESULTS_MAX)?;

    let mut found = asked.tracking.experiments().await?;
    found.retain(|row| view.sees(row.experiment.stage) && tests.iter().all(|test| test.holds(row)));
    found.sort_by(|a, b| compare(&order, a, b));
    let question = (filter, order_by, view as u8);
    if let Some(text) = fields.text("page_token")?.filter(|text| !text.is_empty()) {
        // experiments are few: the page starts behind the last one shown, wherever it stands now
        let (after, rank): (u64, usize) = token::read(text, &question)?;
        let at = found.iter().position(|row| row.number == after).map_or(rank, |at| at + 1);
        found.drain(..at.min(found.len()));
    }
    let mut answer = json!({});
    if found.len() > limit {
        found.truncate(limit);
        if let Some(last) = found.last() {
            answer["next_page_token"] = token::write((last.number, limit), &question)?.into();
        }
    }
    if !found.is_empty() {
        answer["experiments"] = found.iter().map(|row| json!(wire::Experiment::of(row))).collect();
    }
    Ok(Json(answer))
}

enum Test {
    Name(TextTest),
    Id(TextTest),
    Tag(String, TextTest),
    Created(NumberTest),
    Updated(NumberTest),
}

impl Test {
    fn of(clause: Clause) -> Result<Self> {
        let Clause { entity, key, comparison } = clause;
        match (entity.as_deref(), key.as_str()) {
            (Some("tag" | "tags"), _) => Ok(Self::Tag(key, text_test(comparison, "tag")?)),
            (None | Some("attribute" | "attributes" | "attr"), field) => match field {
                "name" => Ok(Self::Name(attribute(comparison)?)),
                "experiment_id" => Ok(Self::Id(attribute(comparison)?)),
                "creation_time" => Ok(Self::Created(number_test(comparison, "creation_time")?)),
                "last_update_time" => Ok(Self::Updated(number_test(comparison, "last_update_time")?)),
                other => Err(Refused::invalid(format!(
                    "Invalid attribute key '{other}' specified. Valid keys are 'name', 'experiment_id', \
                     'creation_time', 'last_update_time'"
                ))),
            },
            (Some(other), _) => {
                let words =
                    format!("Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')");
                Err(Refused::invalid(words))
            }
        }
    }

    fn holds(&self, row: &ExperimentRow) -> bool {
        match self {
            Self::Name(test) => test.holds(Some(&row.experiment.name)),
            Self::Id(test) => test.holds(Some(&row.number.to_string())),
            Self::Tag(key, test) => test.holds(row.experiment.tags.get(key).map(String::as_str)),
            Self::Created(test) => test.holds(float(row.created_at.as_millisecond())),
            Self::Updated(test) => test.holds(float(row.updated_at.as_millisecond())),
        }
    }
}

fn attribute(comparison: Comparison) -> Result<TextTest> {
    if matches!(comparison, Comparison::IsNull | Comparison::IsNotNull) {
        return Err(Refused::invalid("IS NULL / IS NOT NULL is only supported for tags, not for attributes"));
    }
    text_test(comparison, "attribute")
}

#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds is far below 2^53")]
fn float(at_ms: i64) -> f64 {
    at_ms as f64
}

struct Order {
    key: Key,
    ascending: bool,
}

enum Key {
    Name,
    Id,
    Created,
    Updated,
}

impl Order {
    fn of(order_by: &str) -> Result<Self> {
        let order = filter::parse_order(order_by)?;
        let key = match (order.entity.as_deref(), order.key.as_str()) {
            (None | Some("attribute" | "attributes" | "attr"), "name") => Key::Name,
            (None | Some("attribute" | "attributes" | "attr"), "experiment_id") => Key::Id,
            (None | Some("attribute" | "attributes" | "attr"), "creation_time") => Key::Created,
            (None | Some("attribute" | "attributes" | "attr"), "last_update_time") => Key::Updated,
            (_, other) => return Err(Refused::invalid(format!("Invalid order_by key '{other}' for experiments."))),
        };
        Ok(Self { key, ascending: order.ascending })
    }
}

fn compare(order: &[Order], a: &Arc<ExperimentRow>, b: &Arc<ExperimentRow>) -> Ordering {
    let compared = order.iter().map(|order| {
        let ascending = match order.key {
            Key::Name => a.experiment.name.cmp(&b.experiment.name),
            Key::Id => a.number.cmp(&b.number),
            Key::Created => a.created_at.as_millisecond().cmp(&b.created_at.as_millisecond()),
            Key::Updated => a.updated_at.as_millisecond().cmp(&b.updated_at.as_millisecond()),
        };
        if order.ascending { ascending } else { ascending.reverse() }
    });
    compared.fold(Ordering::Equal, Ordering::then).then_with(|| a.number.cmp(&b.number))
}
