//! A YAML document as a tree whose every key and value knows where it stands.
//!
//! Reading into a tree first, and into types second, is what lets one run report many mistakes, each with its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// The deepest nesting of a file. The deepest thing a user can mean is 6 deep; the rest is an attack or an accident.
pub(crate) const DEPTH_MAX: usize = 32;
/// The most values in one file, aliases expanded.
pub(crate) const NODES_MAX: usize = 200_000;
/// The most documents in one file.
pub(crate) const DOCUMENTS_MAX: usize = 1_000;
/// The most events replayed through aliases, in all.
const ALIAS_EVENTS_MAX: usize = 50_000;

/// Where something stands in a file: byte offset and length, and the line and column (from 1) that an editor shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) offset: usize,
    pub(crate) length: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let span = location.span();
        Self {
            offset: number(span.byte_offset().unwrap_or(0)),
            length: number(span.byte_len().unwrap_or(0)),
            line: number(location.line()),
            column: number(location.column()),
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A key of a mapping with its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// What a YAML node holds, after the types of plain scalars have been told.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// The value's kind in a user's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A step from a node to one of its children.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// The value of a key.
    Key(&'a str),
    /// An element of a list.
    At(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::At(index)
    }
}

impl Node {
    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The node at the end of a path, or the last one on the way that exists.
    pub(crate) fn follow(&self, path: &[Step<'_>]) -> &Self {
        let mut node = self;
        for step in path {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Map(_)) => node.get(key),
                (Step::At(index), Value::List(items)) => items.get(*index),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How deep the tree is nested.
    fn depth(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 1,
        }
    }
}

/// Reads all documents of a text. Documents of nothing but comments are passed over.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Box<serde_saphyr::Error>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIAS_EVENTS_MAX,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        null_as_string: true,
        with_snippet: false,
    };
    let nodes: Vec<Node> = serde_saphyr::from_str_multiple_with_options(text, options).map_err(Box::new)?;
    debug_assert!(nodes.iter().all(|node| node.depth() <= 2 * DEPTH_MAX), "the parser's budget bounds the depth");
    Ok(nodes)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, place: spanned.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| E::custom(format!("{value} does not fit into 64 bits")))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if entries.len() >= NODES_MAX {
                return Err(A::Error::custom("too many keys in one mapping"));
            }
            let key = Key { text: key.value, place: key.referenced.into() };
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text).unwrap().remove(0)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text = "source: flights\nchecks:\n  - range: {column: hour, min: -1}\n";

        let node = one(text);

        let column = node.follow(&["checks".into(), 0.into(), "range".into(), "column".into()]);
        assert_eq!(column.text(), Some("hour"));
        assert_eq!((column.place.line, column.place.column), (3, 21));
        assert_eq!(&text[column.place.offset..column.place.offset + column.place.length], "hour");
    }

    #[test]
    fn a_path_that_ends_early_gives_the_last_place_that_exists() {
        let node = one("a: {b: 1}");

        let place = node.follow(&["a".into(), "c".into(), 3.into()]).place;

        assert_eq!((place.line, place.column), (1, 4));
    }

    #[test]
    fn null_is_a_key_like_any_other() {
        let node = one("null: [NA, ~]");

        assert!(
            matches!(&node.get("null").unwrap().value, Value::List(items) if matches!(items[1].value, Value::Null))
        );
    }

    #[test]
    fn several_documents_are_read_and_empty_ones_passed_over() {
        assert_eq!(parse("a: 1\n---\n# nothing\n---\nb: 2\n").unwrap().len(), 2);
        assert_eq!(parse("").unwrap().len(), 0);
    }

    #[test]
    fn an_alias_bomb_and_a_deep_nest_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let previous = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }

        assert!(parse(&bomb).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse(&"- ".repeat(5_000)).is_err());
    }
}
