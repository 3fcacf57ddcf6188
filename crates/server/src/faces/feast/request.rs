//! The body of a read: straight from bytes to columns of typed values.
//!
//! What is right is read in one pass without a tree of JSON. What is wrong is looked at a second time, to say where.

use std::borrow::Cow;
use std::fmt;

use mainspring_features::{ENTITIES_MAX, EntityValue};
use mainspring_spec::DataType;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::{Detail, Refused};

/// The most columns of entities: join keys, and what expressions read of the request.
const COLUMNS_MAX: usize = 1_000;
/// The most features of a read.
const FEATURES_MAX: usize = 5_000;

/// A read, as it came.
#[derive(Debug, Deserialize)]
pub(super) struct AskedFeatures<'a> {
    #[serde(borrow)]
    pub(super) entities: Entities<'a>,
    #[serde(borrow, default)]
    pub(super) features: Names<'a>,
    #[serde(borrow, default)]
    pub(super) feature_service: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) full_feature_names: bool,
    #[serde(default)]
    pub(super) include_feature_view_version_metadata: bool,
}

impl AskedFeatures<'_> {
    /// How many entities there are. Without a column there is one row: that of views which describe no entity.
    pub(super) fn rows(&self) -> usize {
        self.entities.0.first().map_or(1, |(_, values)| values.len())
    }
}

/// Columns of values by name, in the order of the body.
#[derive(Debug)]
pub(super) struct Entities<'a>(pub(super) Vec<(Cow<'a, str>, Vec<EntityValue<'a>>)>);

/// Names of features. `null` is none.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(pub(super) Vec<Cow<'a, str>>);

/// Reads a body.
pub(super) fn read_features(body: &[u8]) -> Result<AskedFeatures<'_>, Refused> {
    let asked: AskedFeatures<'_> = serde_json::from_slice(body).map_err(|error| explain(body, &error))?;
    let rows = asked.rows();
    for (name, values) in &asked.entities.0 {
        if values.len() != rows {
            let (first, _) = &asked.entities.0[0];
            let message =
                format!("`{first}` has {rows} values and `{name}` has {}; give as many of each", values.len());
            return Err(Refused::invalid("column_length", &["entities", name], message));
        }
    }
    Ok(asked)
}

/// The values of a column for a field of a type: for a whole number a text of digits is the number, and for a text a whole
/// number is its digits, as with Feast's server.
pub(super) fn typed<'v, 'a>(values: &'v [EntityValue<'a>], data_type: DataType) -> Cow<'v, [EntityValue<'a>]> {
    let mended = |value: &EntityValue<'_>| match (value, data_type) {
        (EntityValue::Text(text), DataType::Int64) => text.parse().ok().map(EntityValue::Int),
        (EntityValue::Int(number), DataType::String) => Some(EntityValue::Text(number.to_string().into())),
        _ => None,
    };
    if !values.iter().any(|value| mended(value).is_some()) {
        return Cow::Borrowed(values);
    }
    Cow::Owned(values.iter().map(|value| mended(value).unwrap_or_else(|| value.clone())).collect())
}

/// Says what is wrong with a body that could not be read.
fn explain(body: &[u8], error: &serde_json::Error) -> Refused {
    if !error.is_data() {
        return not_json(error);
    }
    let Ok(Value::Object(tree)) = serde_json::from_slice::<Value>(body) else {
        return Refused::invalid("model_attributes_type", &[], "the body must be a JSON object with `entities`");
    };
    let mut details = vec![];
    let wrong = |rule, at: &[&str], message: &str, found: &Value| Detail::new(rule, at, message, shortened(found));
    match tree.get("entities") {
        None => {
            details.push(wrong("missing", &["entities"], "Field required: lists of values by join key", &Value::Null))
        }
        Some(Value::Object(columns)) => {
            for (name, column) in columns {
                match column {
                    Value::Array(values) if values.len() > ENTITIES_MAX => {
                        let message =
                            format!("there are {} entities; at most {ENTITIES_MAX} are read at once", values.len());
                        details.push(wrong("too_long", &["entities", name], &message, &Value::Null));
                    }
                    Value::Array(values) => {
                        let nested = values.iter().position(|value| value.is_array() || value.is_object());
                        if let Some(row) = nested {
                            let message = "a value that names an entity is a number, a text, a boolean or null";
                            let mut detail = wrong("value_type", &["entities", name], message, &values[row]);
                            detail.loc.push(row.into());
                            details.push(detail);
                        }
                    }
                    other => {
                        details.push(wrong("list_type", &["entities", name], "Input should be a valid list", other))
                    }
                }
            }
        }
        Some(other) => details.push(wrong("dict_type", &["entities"], "Input should be a valid dictionary", other)),
    }
    match tree.get("features") {
        None | Some(Value::Null) => {}
        Some(Value::Array(names)) => {
            if let Some(other) = names.iter().find(|name| !name.is_string()) {
                details.push(wrong("string_type", &["features"], "Input should be a list of `view:feature`", other));
            }
        }
        Some(other) => details.push(wrong("list_type", &["features"], "Input should be a valid list", other)),
    }
    if let Some(other) = tree.get("feature_service").filter(|name| !name.is_string() && !name.is_null()) {
        details.push(wrong("string_type", &["feature_service"], "Input should be a valid string", other));
    }
    for flag in ["full_feature_names", "include_feature_view_version_metadata"] {
        if let Some(other) = tree.get(flag).filter(|value| !value.is_boolean()) {
            details.push(wrong("bool_type", &[flag], "Input should be a valid boolean", other));
        }
    }
    if details.is_empty() {
        details.push(Detail::new("value_error", &[], error.to_string(), Value::Null));
    }
    Refused::Invalid(details)
}

/// A body that is no JSON, or not all of it.
pub(super) fn not_json(error: &serde_json::Error) -> Refused {
    let mut detail = Detail::new("json_invalid", &[], format!("JSON decode error: {error}"), Value::Null);
    detail.loc.push(error.column().into());
    Refused::Invalid(vec![detail])
}

/// A value as a message shows it.
pub(super) fn shortened(value: &Value) -> Value {
    const SHOWN: usize = 60;
    match value {
        Value::String(text) => text.chars().take(SHOWN).collect::<String>().into(),
        Value::Array(values) => format!("a list of {}", values.len()).into(),
        Value::Object(values) => format!("an object of {}", values.len()).into(),
        other => other.clone(),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entities<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Entities<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of values by join key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns: Vec<(Cow<'de, str>, Vec<EntityValue<'de>>)> = Vec::with_capacity(2);
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    if columns.len() == COLUMNS_MAX {
                        return Err(A::Error::custom(format!("there are more than {COLUMNS_MAX} columns of entities")));
                    }
                    let Values(values) = map.next_value()?;
                    // Of two columns of one name the last one counts, as in any JSON object.
                    columns.retain(|(known, _)| *known != name);
                    columns.push((name, values));
                }
                Ok(Entities(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Names<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Names::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::with_capacity(32);
                while let Some(Name(name)) = list.next_element()? {
                    if names.len() == FEATURES_MAX {
                        return Err(A::Error::custom(format!("there are more than {FEATURES_MAX} features")));
                    }
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(List)
    }
}

/// A text that points into the body, where it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

struct Values<'a>(Vec<EntityValue<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(16);
                while let Some(Plain(value)) = list.next_element()? {
                    if values.len() == ENTITIES_MAX {
                        // The rest is looked at, but not kept.
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Err(A::Error::custom(format!("there are more than {ENTITIES_MAX} entities")));
                    }
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A value that is neither a list nor an object.
pub(super) struct Plain<'a>(pub(super) EntityValue<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 64 bits are read as JSON's readers do")]
        impl<'de> Visitor<'de> for One {
            type Value = Plain<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, a boolean or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Int(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Plain(i64::try_from(value).map_or(EntityValue::Float(value as f64), EntityValue::Int)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Float(value)))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Plain(EntityValue::Text(Cow::Owned(text.to_owned()))))
            }
        }
        deserializer.deserialize_any(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_read_without_copying_what_needs_no_escape() {
        let body = br#"{"features": ["v:a", "v:b\u0021"], "entities": {"id": [1, -2.5, "x", true, null], "other": [1, 2, 3, 4, 18446744073709551615]}, "later": {"any": []}}"#;

        let asked = read_features(body).unwrap();

        assert_eq!(asked.rows(), 5);
        assert!(matches!(asked.features.0[0], Cow::Borrowed("v:a")) && asked.features.0[1] == "v:b!");
        let expected = [
            EntityValue::Int(1),
            EntityValue::Float(-2.5),
            EntityValue::Text("x".into()),
            EntityValue::Bool(true),
            EntityValue::Null,
        ];
        assert_eq!(asked.entities.0[0].1, expected);
        assert_eq!(asked.entities.0[1].1[4], EntityValue::Float(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn digits_are_a_number_or_a_text_as_is_asked_for() {
        let text = |text: &'static str| EntityValue::Text(text.into());
        let values = [text("7"), text("x"), EntityValue::Null, EntityValue::Int(8)];

        let numbers = [EntityValue::Int(7), text("x"), EntityValue::Null, EntityValue::Int(8)];
        assert_eq!(typed(&values, DataType::Int64).as_ref(), numbers);
        let texts = [text("7"), text("x"), EntityValue::Null, text("8")];
        assert_eq!(typed(&values, DataType::String).as_ref(), texts);
        assert!(matches!(typed(&values[1..], DataType::Int64), Cow::Borrowed(_)));
        assert!(matches!(typed(&values[..3], DataType::String), Cow::Borrowed(_)));
        assert!(matches!(typed(&values, DataType::Float64), Cow::Borrowed(_)));
    }

    #[test]
    fn of_two_columns_of_one_name_the_last_counts() {
        let asked = read_features(br#"{"entities": {"id": [1, 2], "id": [3]}}"#).unwrap();

        assert_eq!(asked.entities.0, [(Cow::Borrowed("id"), vec![EntityValue::Int(3)])]);
    }

    #[test]
    fn each_mistake_of_a_body_is_told_with_its_place() {
        let body = br#"{"entities": {"id": 3, "other": [{}]}, "features": "x", "feature_service": 1, "full_feature_names": 0}"#;

        let Err(Refused::Invalid(details)) = read_features(body) else { panic!("the body was read") };

        let places: Vec<String> = details.iter().map(|detail| serde_json::to_string(&detail.loc).unwrap()).collect();
        let expected = [
            r#"["body","entities","id"]"#,
            r#"["body","entities","other",0]"#,
            r#"["body","features"]"#,
            r#"["body","feature_service"]"#,
            r#"["body","full_feature_names"]"#,
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn any_beginning_of_a_body_is_refused_and_none_panics() {
        let body = br#"{"features": ["v:a"], "entities": {"id": [1, "\u00e9"]}}"#;

        for length in 0..body.len() {
            assert!(read_features(&body[..length]).is_err(), "{length}");
        }
    }
}
