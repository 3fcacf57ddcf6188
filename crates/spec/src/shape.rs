//! Compares a tree with the JSON Schema of its kind, and finds every key and value that does not fit, not just the first.
//!
//! The schema that editors get and the rules that files are read by are the same, so they cannot disagree.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Diagnostic, SourceText, closest, quote, suggest};
use crate::graph::ObjectKind;
use crate::schema;
use crate::tree::{Node, Place, Value};

/// The schemas of all kinds, made once for a load.
pub(crate) struct Shapes {
    schemas: BTreeMap<ObjectKind, Json>,
}

impl Shapes {
    pub(crate) fn new() -> Self {
        let schemas = schema::KINDS_WITH_SCHEMA.into_iter().filter_map(|kind| Some((kind, schema::schema(kind)?)));
        Self { schemas: schemas.collect() }
    }

    /// Every mistake of shape in a document of a kind.
    pub(crate) fn compare(&self, kind: ObjectKind, source: &SourceText, node: &Node) -> Vec<Diagnostic> {
        let Some(root) = self.schemas.get(&kind) else { return vec![] };
        let mut comparison = Comparison { root, source, found: vec![], owner: kind.words().to_owned() };
        comparison.node(root, node);
        comparison.found
    }
}

struct Comparison<'a> {
    root: &'a Json,
    source: &'a SourceText,
    found: Vec<Diagnostic>,
    /// What the value under comparison belongs to, for messages.
    owner: String,
}

impl<'a> Comparison<'a> {
    fn mistake(&mut self, place: Place, rule: &'static str, message: String, help: Option<String>) {
        self.found.push(Diagnostic::at(self.source, place, rule, message).help_if(help));
    }

    /// The schema that a `$ref` stands for.
    fn resolved(&self, schema: &'a Json) -> &'a Json {
        let reference = schema.get("$ref").and_then(Json::as_str);
        let target = reference.and_then(|r| r.strip_prefix('#')).and_then(|pointer| self.root.pointer(pointer));
        target.unwrap_or(schema)
    }

    fn node(&mut self, schema: &'a Json, node: &Node) {
        let schema = self.resolved(schema);
        let alternatives: Vec<&'a Json> = ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten()
            .map(|alternative| self.resolved(alternative))
            .filter(|alternative| !is_only_required(alternative))
            .collect();
        if alternatives.is_empty() {
            self.plain(schema, node);
        } else {
            self.alternatives(&alternatives, node);
        }
    }

    fn alternatives(&mut self, alternatives: &[&'a Json], node: &Node) {
        let may_be_null = alternatives.iter().any(|one| one.get("type").is_some_and(|t| t == "null"));
        if may_be_null && matches!(node.value, Value::Null) {
            return;
        }
        let rest: Vec<&'a Json> =
            alternatives.iter().copied().filter(|one| one.get("type").is_none_or(|t| t != "null")).collect();
        let words: Vec<&'a str> = rest.iter().flat_map(|one| constants(one)).collect();
        if let [only] = rest.as_slice() {
            return self.node(only, node);
        }
        if words.len() >= rest.len() {
            return self.word(&words, node);
        }
        let variants: Option<Vec<(&'a str, &'a Json)>> = rest.iter().map(|one| variant(one)).collect();
        if let Some(variants) = variants {
            return self.variant(&variants, node);
        }
        let fits = |one: &&&'a Json| {
            let mut trial =
                Comparison { root: self.root, source: self.source, found: vec![], owner: self.owner.clone() };
            trial.node(one, node);
            trial.found.is_empty()
        };
        if rest.iter().find(fits).is_none() {
            let kinds: Vec<String> = rest.iter().filter_map(|one| one.get("type")).flat_map(type_words).collect();
            let message = format!("{} stands where {} is expected", node.value.kind(), kinds.join(" or "));
            self.mistake(node.place, "wrong_type", message, None);
        }
    }

    /// A value that is one of a few words.
    fn word(&mut self, words: &[&str], node: &Node) {
        match node.text() {
            Some(text) if words.contains(&text) => {}
            Some(text) => {
                let message = format!("{} is not a value of {}", quote(text), self.owner);
                self.mistake(
                    node.place,
                    "unknown_value",
                    message,
                    suggest_type(text).or(suggest(text, words.iter().copied())),
                );
            }
            None => {
                let message = format!("{} stands where a word is expected", node.value.kind());
                self.mistake(node.place, "wrong_type", message, suggest("", words.iter().copied()));
            }
        }
    }

    /// A value that is a mapping of exactly one of several keys.
    fn variant(&mut self, variants: &[(&'a str, &'a Json)], node: &Node) {
        let keys = variants.iter().map(|(key, _)| *key);
        match &node.value {
            Value::Map(entries) if entries.len() == 1 => {
                for (key, value) in entries {
                    match variants.iter().find(|(name, _)| *name == key.text) {
                        Some((_, schema)) => self.node(schema, value),
                        None => {
                            let message = format!("{} is not a value of {}", quote(&key.text), self.owner);
                            self.mistake(key.place, "unknown_value", message, suggest(&key.text, keys.clone()));
                        }
                    }
                }
            }
            Value::Text(text) if keys.clone().any(|key| key == text) => {
                let message = format!("{} needs its parameters", quote(text));
                self.mistake(node.place, "wrong_type", message, Some(format!("write `{text}: {{}}` for the defaults")));
            }
            other => {
                let message = format!("{} stands where a mapping with exactly one key is expected", other.kind());
                self.mistake(node.place, "wrong_type", message, suggest("", keys));
            }
        }
    }

    fn plain(&mut self, schema: &'a Json, node: &Node) {
        let words = constants(schema);
        if !words.is_empty() {
            return self.word(&words, node);
        }
        let Some(types) = schema.get("type") else { return };
        let allowed: Vec<&str> = match types {
            Json::String(one) => vec![one.as_str()],
            Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
            _ => vec![],
        };
        if !allowed.iter().any(|name| is_of_type(&node.value, name)) {
            return self.wrong_type(&allowed, node);
        }
        match &node.value {
            Value::Map(entries) => self.mapping(schema, entries, node.place),
            Value::List(items) => {
                if let Some(schema) = schema.get("items") {
                    items.iter().for_each(|item| self.node(schema, item));
                }
            }
            Value::Int(value) => self.bounds(schema, *value, node.place),
            _ => {}
        }
    }

    fn wrong_type(&mut self, allowed: &[&str], node: &Node) {
        let wanted: Vec<&str> = allowed.iter().filter(|name| **name != "null").map(|name| type_word(name)).collect();
        let shown = self.source.text.get(node.place.offset..node.place.offset.saturating_add(node.place.length));
        let shown = shown.unwrap_or_default().lines().next().unwrap_or_default().trim().replace('\'', "");
        let help = match (&node.value, allowed.contains(&"string")) {
            (Value::Int(_) | Value::Float(_) | Value::Bool(_), true) => Some(format!("put it in quotes: '{shown}'")),
            (Value::Null, _) => Some("write a value after the colon, or leave the key out".to_owned()),
            (Value::Text(_), _) if allowed.contains(&"array") => Some(format!("write a list: [{shown}]")),
            (Value::Text(text), _) if text.parse::<f64>().is_ok() => Some(format!("leave out the quotes: {text}")),
            _ => None,
        };
        let message = format!("{} stands where {} is expected", node.value.kind(), wanted.join(" or "));
        self.mistake(node.place, "wrong_type", message, help);
    }

    fn bounds(&mut self, schema: &Json, value: i64, place: Place) {
        let least = schema.get("minimum").and_then(Json::as_f64);
        if least.is_some_and(|least| (value as f64) < least) {
            let help = Some(format!("write {} or more", least.unwrap_or_default()));
            self.mistake(place, "out_of_range", format!("{value} is too small"), help);
        }
        let most = if schema.get("format").is_some_and(|format| format == "uint32") {
            Some(f64::from(u32::MAX))
        } else {
            None
        };
        if most.is_some_and(|most| value as f64 > most) {
            self.mistake(
                place,
                "out_of_range",
                format!("{value} is too large"),
                Some(format!("write {} or less", u32::MAX)),
            );
        }
    }

    fn mapping(&mut self, schema: &'a Json, entries: &[(crate::tree::Key, Node)], place: Place) {
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        let properties: &Map<String, Json> = schema.get("properties").and_then(Json::as_object).unwrap_or(&NONE);
        let open = schema.get("additionalProperties").filter(|more| more.is_object());
        for (key, value) in entries {
            if let Some(schema) = properties.get(&key.text).or(open) {
                let outer = std::mem::replace(&mut self.owner, format!("`{}`", key.text));
                self.node(schema, value);
                self.owner = outer;
                continue;
            }
            let message = format!("{} has no key {}", self.owner, quote(&key.text));
            let missing =
                properties.keys().map(String::as_str).filter(|known| !entries.iter().any(|(k, _)| k.text == **known));
            let help = match closest(&key.text, missing.clone()) {
                Some(close) => Some(format!("write `{close}`")),
                None => suggest(&key.text, missing),
            };
            self.mistake(key.place, "unknown_key", message, help);
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for key in required.filter(|key| !entries.iter().any(|(k, _)| k.text == *key)) {
            // A misspelt key explains itself already.
            if entries.iter().any(|(k, _)| !properties.contains_key(&k.text) && closest(&k.text, [key]).is_some()) {
                continue;
            }
            let place = entries.first().map_or(place, |(first, _)| first.place);
            let about =
                properties.get(key).and_then(|p| p.get("description")).and_then(Json::as_str).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default().trim_end_matches('.');
            let about = if about.is_empty() { String::new() } else { format!("  # {about}") };
            self.mistake(
                place,
                "missing_key",
                format!("{} lacks the key `{key}`", self.owner),
                Some(format!("add `{key}:`{about}")),
            );
        }
    }
}

/// Whether a schema only says which keys must be there (see [`schema::exactly_one_of`]).
fn is_only_required(schema: &Json) -> bool {
    schema.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("required"))
}

/// The words a schema allows, when it allows only words.
fn constants(schema: &Json) -> Vec<&str> {
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        return vec![word];
    }
    schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}

/// The key and the schema of its value, when a schema is a mapping of exactly one key.
fn variant(schema: &Json) -> Option<(&str, &Json)> {
    let required = schema.get("required")?.as_array()?;
    let [key] = required.as_slice() else { return None };
    let key = key.as_str()?;
    let properties = schema.get("properties")?.as_object()?;
    if properties.len() != 1 {
        return None;
    }
    Some((key, properties.get(key)?))
}

/// Types of other systems, and what they are called here.
fn suggest_type(word: &str) -> Option<String> {
    let ours = match word.to_lowercase().as_str() {
        "int" | "integer" | "bigint" | "long" | "int32" | "i64" | "number" => "int64",
        "float" | "double" | "real" | "decimal" | "numeric" | "f64" | "float32" => "float64",
        "str" | "text" | "varchar" | "utf8" | "char" | "object" => "string",
        "datetime" | "timestamptz" | "time" => "timestamp",
        "boolean" => "bool",
        "date32" | "day" => "date",
        _ => return None,
    };
    Some(format!("write `{ours}`"))
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Int(_) => matches!(name, "integer" | "number"),
        Value::Float(_) => name == "number",
        Value::Text(_) => name == "string",
        Value::List(_) => name == "array",
        Value::Map(_) => name == "object",
    }
}

fn type_word(name: &str) -> &str {
    match name {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

fn type_words(types: &Json) -> Vec<String> {
    let names = match types {
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    names.into_iter().map(|name| type_word(name).to_owned()).collect()
}
