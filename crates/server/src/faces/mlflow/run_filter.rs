//! What a filter and an order mean for runs.

use mainspring_registry::{
    DatasetField, NumberField, NumberTest, OrderKey, Pattern, RunClause, RunOrder, StageView, TextField, TextTest,
};
use serde_json::Value;

use super::error::{Refused, Result};
use super::filter::{self, Clause, Comparison, Relation};

/// The most keys of an order.
const ORDER_MAX: usize = 20;

/// Conditions on runs.
pub(super) fn clauses(text: &str) -> Result<Vec<RunClause>> {
    filter::parse(text)?.into_iter().map(clause).collect()
}

fn clause(clause: Clause) -> Result<RunClause> {
    let Clause { entity, key, comparison } = clause;
    Ok(match entity_of(entity.as_deref())? {
        Entity::Metric => RunClause::Metric(key, number_test(comparison, "metric")?),
        Entity::Param => RunClause::Param(key, label_test(comparison, "parameter")?),
        Entity::Tag => RunClause::Tag(key, label_test(comparison, "tag")?),
        Entity::Dataset => {
            let field = match key.as_str() {
                "name" => DatasetField::Name,
                "digest" => DatasetField::Digest,
                "context" => DatasetField::Context,
                _ => {
                    return Err(Refused::invalid(format!(
                        "Invalid dataset key '{key}' specified. Valid keys are 'context', 'digest', 'name'"
                    )));
                }
            };
            no_null(&comparison, "dataset", &key)?;
            RunClause::Dataset(field, text_test(comparison, "dataset")?)
        }
        Entity::Attribute => match attribute(&key)? {
            Attribute::Text(field) => {
                no_null(&comparison, "attribute", &key)?;
                if field != TextField::Id && matches!(comparison, Comparison::In(_) | Comparison::NotIn(_)) {
                    let words = "Only ['run_id'] attributes support comparison with a list of quoted string values.";
                    return Err(Refused::invalid(words));
                }
                RunClause::Text(field, text_test(comparison, "attribute")?)
            }
            Attribute::Number(field) => {
                RunClause::Number(field, number_test(comparison, &format!("numeric attribute: {key}"))?)
            }
        },
    })
}

/// An order of runs.
pub(super) fn order(order_by: &[&str]) -> Result<Vec<RunOrder>> {
    if order_by.len() > ORDER_MAX {
        return Err(Refused::invalid(format!("order_by has more than {ORDER_MAX} keys.")));
    }
    let mut order: Vec<RunOrder> = Vec::with_capacity(order_by.len());
    for text in order_by {
        let read = filter::parse_order(text)?;
        let key = match entity_of(read.entity.as_deref())? {
            Entity::Metric => OrderKey::Metric(read.key),
            Entity::Param => OrderKey::Param(read.key),
            Entity::Tag => OrderKey::Tag(read.key),
            Entity::Dataset => return Err(Refused::invalid("Invalid order_by entity 'dataset': runs read many.")),
            Entity::Attribute => match attribute(&read.key)? {
                Attribute::Text(field) => OrderKey::Text(field),
                Attribute::Number(field) => OrderKey::Number(field),
            },
        };
        if order.iter().any(|before| before.key == key) {
            return Err(Refused::invalid(format!("`order_by` contains duplicate fields: {order_by:?}")));
        }
        order.push(RunOrder { key, ascending: read.ascending });
    }
    Ok(order)
}

/// Which stages are seen: MLflow's `ViewType`, as its name or its number.
pub(super) fn view(value: Option<&Value>, name: &str) -> Result<Option<StageView>> {
    let Some(value) = value else { return Ok(None) };
    let word = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    match word.as_str() {
        "ACTIVE_ONLY" | "1" => Ok(Some(StageView::Active)),
        "DELETED_ONLY" | "2" => Ok(Some(StageView::Deleted)),
        "ALL" | "3" => Ok(Some(StageView::All)),
        _ => Err(Refused::bad_value(name, value, "it must be ACTIVE_ONLY, DELETED_ONLY or ALL.")),
    }
}

/// A condition on a text. `what` says in messages of what.
pub(super) fn text_test(comparison: Comparison, what: &str) -> Result<TextTest> {
    Ok(match comparison {
        Comparison::Text(Relation::Equal, text) => TextTest::Equal(text),
        Comparison::Text(Relation::NotEqual, text) => TextTest::NotEqual(text),
        Comparison::Like(pattern) => TextTest::Like(Pattern::like(&pattern)?),
        Comparison::Ilike(pattern) => TextTest::Like(Pattern::ilike(&pattern)?),
        Comparison::In(texts) => TextTest::In(texts.into_iter().collect()),
        Comparison::NotIn(texts) => TextTest::NotIn(texts.into_iter().collect()),
        Comparison::IsNull => TextTest::IsNull,
        Comparison::IsNotNull => TextTest::IsNotNull,
        Comparison::Number(_, number) => {
            return Err(Refused::invalid(format!(
                "Expected a quoted string value for {what} (e.g. 'my-value'). Got value {number}"
            )));
        }
        Comparison::Text(relation, _) => {
            return Err(Refused::invalid(format!(
                "Invalid comparator '{}' not one of '=', '!=', 'LIKE', 'ILIKE' for {what}",
                relation.sign()
            )));
        }
    })
}

/// A condition on a number. `what` says in messages of what.
pub(super) fn number_test(comparison: Comparison, what: &str) -> Result<NumberTest> {
    match comparison {
        Comparison::Number(relation, bound) => Ok(match relation {
            Relation::Equal => NumberTest::Equal(bound),
            Relation::NotEqual => NumberTest::NotEqual(bound),
            Relation::Above => NumberTest::Above(bound),
            Relation::AtLeast => NumberTest::AtLeast(bound),
            Relation::Below => NumberTest::Below(bound),
            Relation::AtMost => NumberTest::AtMost(bound),
        }),
        Comparison::Text(_, text) => {
            let shown: String = text.chars().take(200).collect();
            Err(Refused::invalid(format!("Expected numeric value type for {what}. Found '{shown}'")))
        }
        other => Err(Refused::invalid(format!(
            "Invalid comparator '{}' not one of '=', '!=', '>', '>=', '<', '<=' for {what}",
            other.sign()
        ))),
    }
}

fn label_test(comparison: Comparison, what: &str) -> Result<TextTest> {
    if matches!(comparison, Comparison::In(_) | Comparison::NotIn(_)) {
        return Err(Refused::invalid(format!(
            "Invalid comparator '{}' not one of '=', '!=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL' for {what}",
            comparison.sign()
        )));
    }
    text_test(comparison, what)
}

fn no_null(comparison: &Comparison, what: &str, key: &str) -> Result<()> {
    if matches!(comparison, Comparison::IsNull | Comparison::IsNotNull) {
        return Err(Refused::invalid(format!(
            "IS NULL / IS NOT NULL is only supported for tags and params, not for '{what}' '{key}'"
        )));
    }
    Ok(())
}

enum Entity {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

fn entity_of(word: Option<&str>) -> Result<Entity> {
    Ok(match word {
        Some("metric" | "metrics") => Entity::Metric,
        Some("parameter" | "parameters" | "param" | "params") => Entity::Param,
        Some("tag" | "tags") => Entity::Tag,
        None | Some("attribute" | "attributes" | "attr" | "run") => Entity::Attribute,
        Some("dataset" | "datasets") => Entity::Dataset,
        Some(other) => {
            let shown: String = other.chars().take(200).collect();
            return Err(Refused::invalid(format!(
                "Invalid entity type '{shown}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
            )));
        }
    })
}

enum Attribute {
    Text(TextField),
    Number(NumberField),
}

fn attribute(key: &str) -> Result<Attribute> {
    Ok(match key {
        "run_id" => Attribute::Text(TextField::Id),
        "run_name" | "run name" | "Run name" | "Run Name" => Attribute::Text(TextField::Name),
        "status" => Attribute::Text(TextField::Status),
        "user_id" => Attribute::Text(TextField::User),
        "artifact_uri" => Attribute::Text(TextField::ArtifactUri),
        "start_time" | "created" | "Created" => Attribute::Number(NumberField::Started),
        "end_time" => Attribute::Number(NumberField::Ended),
        _ => {
            let shown: String = key.chars().take(200).collect();
            return Err(Refused::invalid(format!(
                "Invalid attribute key '{shown}' specified. Valid keys are 'artifact_uri', 'created', 'end_time', \
                 'run_id', 'run_name', 'start_time', 'status', 'user_id'"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clause_may_say_depends_on_what_it_speaks_of() {
        for good in [
            "metrics.a >= 1",
            "params.a LIKE 'x%'",
            "tags.a IS NOT NULL",
            "attributes.status = 'FINISHED'",
            "status != 'FAILED'",
            "run_id IN ('a', 'b')",
            "attr.start_time > 1664067852747",
            "`Run name` = 'x'",
            "dataset.name IN ('a')",
            "datasets.digest = 'a'",
        ] {
            assert!(clauses(good).is_ok(), "{good}");
        }
        for bad in [
            "metrics.a = 'x'",
            "metrics.a LIKE 'x'",
            "metrics.a IS NULL",
            "params.a = 1",
            "params.a > 'x'",
            "params.a IN ('x')",
            "status IN ('x')",
            "start_time = 'x'",
            "end_time LIKE '1'",
            "status IS NULL",
            "dataset.size = 'x'",
            "model.a = 'x'",
            "nothing = 'x'",
        ] {
            assert!(clauses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_names_each_key_once() {
        assert_eq!(order(&["metrics.a DESC", "start_time"]).unwrap().len(), 2);
        assert!(order(&["start_time", "created DESC"]).is_err());
        assert!(order(&["dataset.name"]).is_err());
    }
}
