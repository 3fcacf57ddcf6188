//! Searching what the registry holds: models, versions, logged models. They are as many as people make, so each search looks
//! through all of them.

use std::cmp::Ordering;
use std::collections::HashSet;

use mainspring_registry::{ModelVersion, NumberTest, Pattern, RegisteredModel, TextTest};

use super::error::{Refused, Result};
use super::filter::{Clause, Comparison, Relation, parse, parse_order};
use super::token;

/// MLflow keeps prompts as models with this label; searches leave them out unless asked for.
pub(super) const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

/// A page of a search.
pub(super) struct Page<T> {
    /// What was found.
    pub(super) found: Vec<T>,
    /// The token of the next page.
    pub(super) next: Option<String>,
}

/// A value of something that is searched.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// It has none.
    Absent,
}

impl Found {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds and counts, exact below 2^53")]
    pub(super) fn whole(number: i64) -> Self {
        Self::Number(number as f64)
    }

    /// Absent values and those that are no numbers come last, whichever way.
    pub(super) fn order(&self, other: &Self, ascending: bool) -> Ordering {
        let by_value = match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) if !a.is_nan() && !b.is_nan() => a.total_cmp(b),
            _ => return self.rank().cmp(&other.rank()),
        };
        if ascending { by_value } else { by_value.reverse() }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(number) if number.is_nan() => 1,
            Self::Absent => 2,
            Self::Number(_) | Self::Text(_) => 0,
        }
    }
}

/// What can be asked of a thing.
pub(super) trait Searched {
    /// The names of its attributes, for messages.
    const ATTRIBUTES: &'static [&'static str];
    /// Those among them of which lists may be asked.
    const LISTS: &'static [&'static str];
    /// An attribute, if there is one of that name.
    fn attribute(&self, key: &str) -> Option<Found>;
    /// A label, or a parameter where there are some.
    fn label(&self, entity: &str, key: &str) -> Option<&str>;
}

impl Searched for RegisteredModel {
    const ATTRIBUTES: &'static [&'static str] = &["name"];
    const LISTS: &'static [&'static str] = &["name"];

    fn attribute(&self, key: &str) -> Option<Found> {
        (key == "name").then(|| Found::text(&self.name))
    }

    fn label(&self, entity: &str, key: &str) -> Option<&str> {
        matches!(entity, "tag" | "tags").then(|| self.tags.get(key).map(String::as_str)).flatten()
    }
}

impl Searched for ModelVersion {
    const ATTRIBUTES: &'static [&'static str] = &["name", "version_number", "run_id", "source_path"];
    const LISTS: &'static [&'static str] = &["name", "run_id"];

    fn attribute(&self, key: &str) -> Option<Found> {
        Some(match key {
            "name" => Found::text(&self.model),
            "version_number" => Found::whole(i64::try_from(self.version).unwrap_or(i64::MAX)),
            "run_id" => Found::text(self.run.clone().unwrap_or_default()),
            "source_path" => Found::text(self.source()),
            _ => return None,
        })
    }

    fn label(&self, entity: &str, key: &str) -> Option<&str> {
        matches!(entity, "tag" | "tags").then(|| self.tags.get(key).map(String::as_str)).flatten()
    }
}

/// A clause that was checked against what it speaks of.
enum Test {
    Number(String, NumberTest),
    Text(String, TextTest),
    Label(String, String, TextTest),
}

impl Test {
    fn holds<T: Searched>(&self, thing: &T) -> bool {
        match self {
            Self::Number(key, test) => match thing.attribute(key) {
                Some(Found::Number(number)) => test.holds(number),
                _ => false,
            },
            Self::Text(key, test) => match thing.attribute(key) {
                Some(Found::Text(text)) => test.holds(Some(&text)),
                _ => false,
            },
            Self::Label(entity, key, test) => match thing.label(entity, key) {
                // models have no such label, and still are no prompts
                None if key == IS_PROMPT => test.holds(Some("false")),
                found => test.holds(found),
            },
        }
    }
}

fn compile<T: Searched>(clause: Clause, numeric: &[&str]) -> Result<Test> {
    let Clause { entity, key, comparison } = clause;
    match entity.as_deref() {
        Some(entity @ ("tag" | "tags")) => {
            if matches!(
                comparison,
                Comparison::In(_) | Comparison::NotIn(_) | Comparison::IsNull | Comparison::IsNotNull
            ) {
                return Err(Refused::invalid(format!("Invalid comparator for tag: {}", comparison.sign())));
            }
            Ok(Test::Label(entity.into(), key, text_test(comparison, "tag")?))
        }
        None | Some("attribute" | "attributes") => {
            if !T::ATTRIBUTES.contains(&key.as_str()) {
                return Err(Refused::invalid(format!(
                    "Invalid attribute name: {key}. Valid are {}",
                    T::ATTRIBUTES.join(", ")
                )));
            }
            if numeric.contains(&key.as_str()) {
                return Ok(Test::Number(key.clone(), number_test(comparison, &key)?));
            }
            if matches!(comparison, Comparison::In(_) | Comparison::NotIn(_)) && !T::LISTS.contains(&key.as_str()) {
                return Err(Refused::invalid(format!("Invalid comparator for attribute: {}", comparison.sign())));
            }
            Ok(Test::Text(key, text_test(comparison, "attribute")?))
        }
        Some(other) => Err(Refused::invalid(format!(
            "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
        ))),
    }
}

/// A comparison with a number.
pub(super) fn number_test(comparison: Comparison, key: &str) -> Result<NumberTest> {
    let (relation, number) = match comparison {
        Comparison::Number(relation, number) => (relation, number),
        Comparison::Text(relation, text) => match text.parse::<i64>() {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds and counts, exact below 2^53")]
            Ok(number) => (relation, number as f64),
            Err(_) => {
                return Err(Refused::invalid(format!("Invalid value for numeric attribute '{key}': '{text}'")));
            }
        },
        other => return Err(Refused::invalid(format!("Invalid comparator for attribute {key}: {}", other.sign()))),
    };
    Ok(match relation {
        Relation::Equal => NumberTest::Equal(number),
        Relation::NotEqual => NumberTest::NotEqual(number),
        Relation::Above => NumberTest::Above(number),
        Relation::AtLeast => NumberTest::AtLeast(number),
        Relation::Below => NumberTest::Below(number),
        Relation::AtMost => NumberTest::AtMost(number),
    })
}

/// A comparison with a text.
pub(super) fn text_test(comparison: Comparison, what: &str) -> Result<TextTest> {
    Ok(match comparison {
        Comparison::Text(Relation::Equal, text) => TextTest::Equal(text),
        Comparison::Text(Relation::NotEqual, text) => TextTest::NotEqual(text),
        Comparison::Like(pattern) => TextTest::Like(Pattern::like(&pattern)?),
        Comparison::Ilike(pattern) => TextTest::Like(Pattern::ilike(&pattern)?),
        Comparison::In(texts) => TextTest::In(HashSet::from_iter(texts)),
        Comparison::NotIn(texts) => TextTest::NotIn(HashSet::from_iter(texts)),
        Comparison::Number(..) => {
            return Err(Refused::invalid(format!("Expected a quoted string value for the {what} (e.g. 'my-value').")));
        }
        other => return Err(Refused::invalid(format!("Invalid comparator for {what}: {}", other.sign()))),
    })
}

fn asks_for_prompts(clauses: &[Clause]) -> bool {
    clauses.iter().any(|clause| {
        clause.key == IS_PROMPT
            && match &clause.comparison {
                Comparison::Text(Relation::Equal, text) => text.eq_ignore_ascii_case("true"),
                Comparison::Text(Relation::NotEqual, text) => text.eq_ignore_ascii_case("false"),
                _ => false,
            }
    })
}

fn is_prompt<T: Searched>(thing: &T) -> bool {
    thing.label("tags", IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Finds models.
pub(super) fn search_models(
    mut all: Vec<RegisteredModel>,
    filter: &str,
    order: &[&str],
    token: Option<&str>,
    most: usize,
) -> Result<Page<RegisteredModel>> {
    let keys = order_keys(order, |key| match key {
        "name" => Ok("name"),
        "timestamp" | "last_updated_timestamp" => Ok("last_updated_timestamp"),
        "creation_timestamp" => Ok("creation_timestamp"),
        other => Err(bad_order(other, "name, last_updated_timestamp, creation_timestamp")),
    })?;
    keep(&mut all, filter, &[])?;
    let value = |model: &RegisteredModel, key: &str| match key {
        "last_updated_timestamp" => model.updated_at.map_or(Found::Absent, |at| Found::whole(at.as_millisecond())),
        "creation_timestamp" => model.created_at.map_or(Found::Absent, |at| Found::whole(at.as_millisecond())),
        _ => Found::text(&model.name),
    };
    all.sort_by(|a, b| by_keys(&keys, |key| (value(a, key), value(b, key))).then_with(|| a.name.cmp(&b.name)));
    cut(all, (filter, order), token, most)
}

/// Finds versions.
pub(super) fn search_versions(
    mut all: Vec<ModelVersion>,
    filter: &str,
    order: &[&str],
    token: Option<&str>,
    most: usize,
) -> Result<Page<ModelVersion>> {
    const KEYS: [&str; 4] = ["name", "version_number", "creation_timestamp", "last_updated_timestamp"];
    let mut keys = order_keys(order, |key| {
        KEYS.into_iter().find(|known| *known == key).ok_or_else(|| bad_order(key, &KEYS.join(", ")))
    })?;
    if keys.is_empty() {
        keys.push(("last_updated_timestamp", false));
    }
    keep(&mut all, filter, &["version_number"])?;
    let value = |version: &ModelVersion, key: &str| match key {
        "name" => Found::text(&version.model),
        "creation_timestamp" => Found::whole(version.created_at.as_millisecond()),
        "last_updated_timestamp" => Found::whole(version.updated_at.unwrap_or(version.created_at).as_millisecond()),
        _ => Found::whole(i64::try_from(version.version).unwrap_or(i64::MAX)),
    };
    all.sort_by(|a, b| {
        by_keys(&keys, |key| (value(a, key), value(b, key)))
            .then_with(|| a.model.cmp(&b.model))
            .then_with(|| b.version.cmp(&a.version))
    });
    cut(all, (filter, order), token, most)
}

fn keep<T: Searched>(all: &mut Vec<T>, filter: &str, numeric: &[&str]) -> Result<()> {
    let clauses = parse(filter)?;
    let prompts = asks_for_prompts(&clauses);
    let tests = clauses.into_iter().map(|clause| compile::<T>(clause, numeric)).collect::<Result<Vec<_>>>()?;
    all.retain(|thing| prompts == is_prompt(thing) && tests.iter().all(|test| test.holds(thing)));
    Ok(())
}

fn order_keys(order: &[&str], known: impl Fn(&str) -> Result<&'static str>) -> Result<Vec<(&'static str, bool)>> {
    let mut keys: Vec<(&'static str, bool)> = vec![];
    for text in order {
        let by = parse_order(text)?;
        if by.entity.as_deref().is_some_and(|entity| !matches!(entity, "attribute" | "attributes")) {
            return Err(Refused::invalid(format!("Invalid order_by entity: {}", by.entity.unwrap_or_default())));
        }
        let key = known(&by.key)?;
        if keys.iter().any(|(before, _)| *before == key) {
            return Err(Refused::invalid(format!("`order_by` contains duplicate fields: {order:?}")));
        }
        keys.push((key, by.ascending));
    }
    Ok(keys)
}

fn bad_order(key: &str, valid: &str) -> Refused {
    Refused::invalid(format!("Invalid order by key '{key}' specified. Valid keys are {valid}"))
}

fn by_keys(keys: &[(&'static str, bool)], values: impl Fn(&str) -> (Found, Found)) -> Ordering {
    keys.iter().fold(Ordering::Equal, |before, (key, ascending)| {
        before.then_with(|| {
            let (a, b) = values(key);
            a.order(&b, *ascending)
        })
    })
}

/// The page that a token says, or the first.
pub(super) fn cut<T>(
    mut all: Vec<T>,
    question: impl std::hash::Hash,
    token: Option<&str>,
    most: usize,
) -> Result<Page<T>> {
    let start: usize = match token.filter(|token| !token.is_empty()) {
        Some(token) => token::read(token, &question)?,
        None => 0,
    };
    let mut found = all.split_off(start.min(all.len()));
    let next = (found.len() > most).then(|| token::write(start + most, &question)).transpose()?;
    found.truncate(most);
    Ok(Page { found, next })
}
