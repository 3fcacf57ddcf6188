//! The native request: `{"as_of": "2013-07-01T12:00:00Z", "rows": [{"origin": "JFK", ...}]}`.
//!
//! Read in one pass over the bytes into typed values in the order of the plan's fields, without a tree of JSON in between.
//! Callers send the same fields in the same order again and again, so each field is first compared with the one that came
//! at its place in the row before.

use std::borrow::Cow;

use mainspring_features::Value;
use mainspring_spec::DataType;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::plan::{Plan, suggestion};
use crate::{Error, Given, Question};

/// Parses a request of at most `rows_max` rows. `endpoint` names it in errors.
///
/// # Errors
/// Names the row and field at fault, and what is expected there.
pub fn parse(body: &[u8], plan: &Plan, endpoint: &str, rows_max: u32) -> Result<Question, Error> {
    let mut reader = Reader { plan, rows_max, rows: 0, too_many: false, values: Vec::new(), as_of: None };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let outcome = reader.read(&mut deserializer).and_then(|()| deserializer.end());
    if reader.too_many {
        return Err(Error::TooManyRows { endpoint: endpoint.to_owned(), most: rows_max });
    }
    outcome.map_err(|error| Error::Invalid(format!("the request cannot be read: {error}")))?;
    Ok(Question { rows: reader.rows, as_of: reader.as_of, given: Given::Fields(reader.values) })
}

struct Reader<'p> {
    plan: &'p Plan,
    rows_max: u32,
    rows: usize,
    too_many: bool,
    values: Vec<Value>,
    as_of: Option<i64>,
}

impl Reader<'_> {
    fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(Body(self))
    }
}

struct Body<'a, 'p>(&'a mut Reader<'p>);

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with `rows`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_rows = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "rows" if has_rows => return Err(de::Error::duplicate_field("rows")),
                "rows" => {
                    has_rows = true;
                    map.next_value_seed(Rows(self.0))?;
                }
                "as_of" => {
                    let text: Option<Cow<'de, str>> = map.next_value()?;
                    self.0.as_of = text.map(|text| as_of(&text).map_err(de::Error::custom)).transpose()?;
                }
                other => {
                    let help = suggestion(other, ["rows", "as_of"].into_iter());
                    return Err(de::Error::custom(format!("there is no key `{other}` in a request{help}")));
                }
            }
        }
        if has_rows { Ok(()) } else { Err(de::Error::missing_field("rows")) }
    }
}

/// Reads an `as_of`.
pub(crate) fn as_of(text: &str) -> Result<i64, String> {
    mainspring_features::timestamp(text)
        .ok_or_else(|| format!("`as_of` is `{text}`, which is no time; write it as 2013-07-01T12:00:00Z"))
}

struct Rows<'a, 'p>(&'a mut Reader<'p>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let reader = self.0;
        while seq.next_element_seed(Row(reader))?.is_some() {
            reader.rows += 1;
        }
        Ok(())
    }
}

struct Row<'a, 'p>(&'a mut Reader<'p>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {} as an object of fields", self.0.rows)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Reader { plan, rows_max, rows, too_many, values, .. } = self.0;
        if *rows >= *rows_max as usize {
            *too_many = true;
            return Err(de::Error::custom("too many rows"));
        }
        let first = values.len();
        values.resize_with(first + plan.fields.len(), Value::default);
        let mut seen = Seen::new(plan.fields.len());
        let mut expected = 0;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let at = match plan.fields.get(expected) {
                Some(field) if field.name == key.as_ref() => Some(expected),
                _ => plan.field(&key).or_else(|| plan.field(plan.meant(&key)?)),
            };
            let Some(at) = at else {
                return Err(de::Error::custom(format!("row {rows}: {}", plan.unknown("field", &key))));
            };
            if !seen.insert(at) {
                return Err(de::Error::custom(format!("row {rows}: the field `{key}` comes twice")));
            }
            let field = &plan.fields[at];
            values[first + at] =
                map.next_value_seed(Scalar { row: *rows, name: &field.name, kind: field.data_type })?;
            expected = at + 1;
        }
        if !seen.all() {
            let missing = plan.fields.iter().enumerate().find(|(at, field)| field.required && !seen.contains(*at));
            if let Some((_, field)) = missing {
                return Err(de::Error::custom(format!(
                    "row {rows}: the field `{}` is missing; send null when it is not known",
                    field.name
                )));
            }
        }
        Ok(())
    }
}

/// The fields of a row that have come; a word of bits for the first 64, so that most rows allocate nothing.
struct Seen {
    word: u64,
    more: Vec<bool>,
    count: usize,
    fields: usize,
}

impl Seen {
    fn new(fields: usize) -> Self {
        Self { word: 0, more: vec![false; fields.saturating_sub(64)], count: 0, fields }
    }

    /// Whether the field had not come yet.
    fn insert(&mut self, at: usize) -> bool {
        if self.contains(at) {
            return false;
        }
        match at {
            0..64 => self.word |= 1 << at,
            _ => self.more[at - 64] = true,
        }
        self.count += 1;
        true
    }

    fn contains(&self, at: usize) -> bool {
        match at {
            0..64 => self.word & (1 << at) != 0,
            _ => self.more[at - 64],
        }
    }

    fn all(&self) -> bool {
        self.count == self.fields
    }
}

struct Scalar<'a> {
    row: usize,
    name: &'a str,
    kind: DataType,
}

impl Scalar<'_> {
    fn wrong<E: de::Error>(&self, found: impl std::fmt::Display) -> E {
        let expected = expected(self.kind);
        de::Error::custom(format!("row {}: the field `{}` is {found}, not {expected}", self.row, self.name))
    }
}

/// How a value of a type is written in JSON.
pub(crate) const fn expected(kind: DataType) -> &'static str {
    match kind {
        DataType::Bool => "true or false",
        DataType::Int64 => "a whole number",
        DataType::Float64 => "a number",
        DataType::String => "text",
        DataType::Timestamp => "a time such as \"2013-07-01T12:00:00Z\"",
        DataType::Date => "a day such as \"2013-07-01\"",
    }
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(expected(self.kind))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        match self.kind {
            DataType::Bool => Ok(Value::Bool(flag)),
            _ => Err(self.wrong(flag)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers of float fields are floats")]
    fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Value, E> {
        match self.kind {
            DataType::Int64 => Ok(Value::Int(whole)),
            DataType::Float64 => Ok(Value::Float(whole as f64)),
            _ => Err(self.wrong(whole)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers of float fields are floats")]
    fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Value, E> {
        match (i64::try_from(whole), self.kind) {
            (Ok(signed), _) => self.visit_i64(signed),
            (Err(_), DataType::Float64) => Ok(Value::Float(whole as f64)),
            (Err(_), _) => Err(self.wrong(whole)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        match self.kind {
            DataType::Float64 => Ok(Value::Float(number)),
            DataType::Int64 if number.fract() == 0.0 && number.abs() < 9.0e15 => Ok(Value::Int(number as i64)),
            _ => Err(self.wrong(number)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        match self.kind {
            DataType::String => Ok(Value::Text(text.into())),
            DataType::Timestamp | DataType::Date => {
                Value::from_json(&serde_json::Value::from(text), self.kind).ok_or_else(|| self.wrong(quoted(text)))
            }
            DataType::Bool | DataType::Int64 | DataType::Float64 => Err(self.wrong(quoted(text))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.wrong("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        map.next_key::<IgnoredAny>()?;
        Err(self.wrong("an object"))
    }
}

/// The text for an error, cut where it gets long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}...\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::RequestField;

    fn plan() -> Plan {
        let field = |name: &str, data_type, required| RequestField { name: name.into(), data_type, required };
        Plan::new(
            vec![
                field("origin", DataType::String, true),
                field("distance", DataType::Float64, true),
                field("seats", DataType::Int64, true),
                field("scheduled", DataType::Timestamp, true),
                field("holiday", DataType::Bool, false),
            ],
            vec![],
            vec![],
        )
    }

    fn read(body: &str) -> Result<Question, String> {
        parse(body.as_bytes(), &plan(), "delay", 2).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_in_any_order_become_typed_values_in_the_plan_s() {
        let question = read(
            r#"{"rows": [
                {"origin": "JFK", "distance": 12, "seats": 3.0, "scheduled": "1970-01-01T00:00:01Z", "holiday": true},
                {"scheduled": null, "seats": null, "distance": 0.5, "origin": "L\u0047A"}
            ], "as_of": "1970-01-01T00:00:02Z"}"#,
        )
        .unwrap();

        assert_eq!((question.rows, question.as_of), (2, Some(2_000_000)));
        let Given::Fields(values) = question.given else { panic!("not fields") };
        let expected = [
            Value::Text("JFK".into()),
            Value::Float(12.0),
            Value::Int(3),
            Value::Timestamp(1_000_000),
            Value::Bool(true),
            Value::Text("LGA".into()),
            Value::Float(0.5),
            Value::Null,
            Value::Null,
            Value::Null,
        ];
        assert_eq!(values.len(), expected.len());
        assert!(values.iter().zip(&expected).all(|(a, b)| a.same(b)), "{values:?}");
    }

    #[test]
    fn each_mistake_is_named() {
        let row = |row: &str| format!(r#"{{"rows":[{row}]}}"#);
        for (body, words) in [
            (String::new(), "EOF"),
            ("[]".into(), "an object with `rows`"),
            ("{}".into(), "missing field `rows`"),
            (r#"{"row":[]}"#.into(), "did you mean `rows`?"),
            (r#"{"rows":[],"as_of":"yesterday"}"#.into(), "`as_of` is `yesterday`"),
            (r#"{"rows":[]} x"#.into(), "trailing"),
            (r#"{"rows":[{"origin":"JFK"#.into(), "EOF"),
            (row("7"), "row 0 as an object of fields"),
            (row("{}"), "row 0: the field `origin` is missing"),
            (row(r#"{"orgin":"JFK"}"#), "no field `orgin`; did you mean `origin`?"),
            (row(r#"{"origin":"JFK","origin":"JFK"}"#), "comes twice"),
            (row(r#"{"origin":7}"#), "`origin` is 7, not text"),
            (row(r#"{"distance":"far"}"#), "`distance` is \"far\", not a number"),
            (row(r#"{"seats":1.5}"#), "`seats` is 1.5, not a whole number"),
            (row(r#"{"seats":18446744073709551615}"#), "not a whole number"),
            (row(r#"{"scheduled":"noon"}"#), "not a time such as"),
            (row(r#"{"holiday":[true]}"#), "a list, not true or false"),
            (row(r#"{"holiday":{"a":1}}"#), "an object, not true or false"),
        ] {
            let error = read(&body).unwrap_err();
            assert!(error.contains(words), "expected `{words}` in: {error}");
        }
    }

    #[test]
    fn a_name_with_spaces_means_the_field_that_has_underscores_in_their_place() {
        let field = RequestField { name: "sepal_length_(cm)".into(), data_type: DataType::Float64, required: true };
        let plan = Plan::new(vec![field], vec![], vec![]);
        let rows = |body: &str| {
            let question = parse(body.as_bytes(), &plan, "iris", 2);
            question.map(|question| question.rows).map_err(|error| error.to_string())
        };

        assert_eq!(rows(r#"{"rows":[{"sepal length (cm)":1},{"sepal_length_(cm)":2}]}"#), Ok(2));
        let twice = rows(r#"{"rows":[{"sepal length (cm)":1,"sepal_length_(cm)":2}]}"#).unwrap_err();
        assert!(twice.contains("comes twice"), "{twice}");
        assert!(rows(r#"{"rows":[{"sepal width (cm)":1}]}"#).unwrap_err().contains("no field `sepal width (cm)`"));
    }

    #[test]
    fn rows_beyond_the_bound_are_not_read() {
        let row = r#"{"origin":"JFK","distance":1,"seats":1,"scheduled":null}"#;
        let body = format!(r#"{{"rows":[{row},{row},{row}, this is never looked at"#);

        let error = parse(body.as_bytes(), &plan(), "delay", 2).unwrap_err();

        assert!(matches!(error, Error::TooManyRows { most: 2, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body in "[{}\\[\\]\":,a-z0-9. ]{0,60}") {
            let _ = parse(body.as_bytes(), &plan(), "delay", 2);
        }
    }
}
