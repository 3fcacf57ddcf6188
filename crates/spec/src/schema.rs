//! The JSON Schema of each kind of file, for editors and for our own reading.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::graph::ObjectKind;
use crate::model::{Endpoint, Entity, FeatureService, FeatureView, Model, Monitor, ProjectFile, Source, Workflow};

/// The kinds that are written in YAML and so have a schema.
pub const KINDS_WITH_SCHEMA: [ObjectKind; 9] = [
    ObjectKind::Project,
    ObjectKind::Source,
    ObjectKind::Entity,
    ObjectKind::FeatureView,
    ObjectKind::FeatureService,
    ObjectKind::Model,
    ObjectKind::Endpoint,
    ObjectKind::Monitor,
    ObjectKind::Workflow,
];

/// The rule keys of a check, exactly one of which is given.
pub(crate) const CHECK_RULES: [&str; 9] =
    ["not_null", "unique", "range", "in_set", "regex", "row_count", "freshness", "references", "sql"];
/// The keys that make a feature view's kind, exactly one of which is given.
pub(crate) const VIEW_DEFINITIONS: [&str; 3] = ["sql", "aggregates", "expressions"];

/// The JSON Schema (draft 2020-12) of one kind of declaration. `None` for policies, which are Cedar, not YAML.
#[must_use]
pub fn schema(kind: ObjectKind) -> Option<Value> {
    let schema = match kind {
        ObjectKind::Project => of::<ProjectFile>(),
        ObjectKind::Source => of::<Source>(),
        ObjectKind::Entity => of::<Entity>(),
        ObjectKind::FeatureView => of::<FeatureView>(),
        ObjectKind::FeatureService => of::<FeatureService>(),
        ObjectKind::Model => of::<Model>(),
        ObjectKind::Endpoint => of::<Endpoint>(),
        ObjectKind::Monitor => of::<Monitor>(),
        ObjectKind::Workflow => of::<Workflow>(),
        ObjectKind::Policy => return None,
    };
    let mut schema = schema.to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), json!(format!("Mainspring {}", kind.words())));
    }
    Some(schema)
}

/// The JSON Schema of a file of a folder (`features/` holds entities and feature views).
#[must_use]
pub fn file_schema(kinds: &[ObjectKind]) -> Option<Value> {
    match kinds {
        [kind] => schema(*kind),
        kinds => {
            let mut definitions = serde_json::Map::new();
            let mut alternatives = Vec::new();
            for kind in kinds {
                let mut one = schema(*kind)?;
                let object = one.as_object_mut()?;
                if let Some(Value::Object(inner)) = object.remove("$defs") {
                    definitions.extend(inner);
                }
                object.remove("$schema");
                definitions.insert(kind.as_str().into(), one);
                alternatives.push(json!({ "$ref": format!("#/$defs/{kind}") }));
            }
            Some(json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": format!("Mainspring {}", kinds.iter().map(|k| k.words()).collect::<Vec<_>>().join(" or ")),
                "oneOf": alternatives,
                "$defs": definitions,
            }))
        }
    }
}

fn of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

/// Says in the schema that exactly one of some keys is given, and not as null.
pub(crate) fn exactly_one_of(schema: &mut Schema, keys: &[&str]) {
    let alternatives: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    schema.insert("oneOf".into(), Value::Array(alternatives));
}

/// The transform of [`crate::Check`]'s schema.
pub(crate) fn one_rule(schema: &mut Schema) {
    exactly_one_of(schema, &CHECK_RULES);
}

/// The keys that say where a source's rows come from, exactly one of which is given.
pub(crate) const SOURCE_ORIGINS: [&str; 2] = ["path", "push"];

/// The transform of [`Source`]'s schema.
pub(crate) fn one_origin(schema: &mut Schema) {
    exactly_one_of(schema, &SOURCE_ORIGINS);
}

/// The transform of [`FeatureView`]'s schema.
pub(crate) fn one_definition(schema: &mut Schema) {
    exactly_one_of(schema, &VIEW_DEFINITIONS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_refuses_keys_it_does_not_know() {
        for kind in KINDS_WITH_SCHEMA {
            let schema = schema(kind).unwrap();

            assert_eq!(schema["additionalProperties"], false, "{kind}");
            let names = if kind == ObjectKind::Project { "project" } else { kind.as_str() };
            assert!(schema["required"].as_array().unwrap().contains(&json!(names)), "{kind}");
        }
        assert!(schema(ObjectKind::Policy).is_none());
    }

    #[test]
    fn every_key_is_described() {
        for kind in KINDS_WITH_SCHEMA {
            for (key, property) in schema(kind).unwrap()["properties"].as_object().unwrap() {
                assert!(property.get("description").is_some(), "{kind}.{key}");
            }
        }
    }

    #[test]
    fn exactly_one_definition_and_one_rule_are_asked_for() {
        let view = schema(ObjectKind::FeatureView).unwrap();
        let check = &schema(ObjectKind::Source).unwrap()["$defs"]["Check"];

        assert_eq!(view["oneOf"].as_array().unwrap().len(), VIEW_DEFINITIONS.len());
        assert_eq!(check["oneOf"].as_array().unwrap().len(), CHECK_RULES.len());
        for rule in CHECK_RULES {
            assert!(check["properties"].get(rule).is_some(), "{rule}");
        }
    }

    #[test]
    fn a_file_of_several_kinds_is_one_of_them() {
        let schema = file_schema(&[ObjectKind::Entity, ObjectKind::FeatureView]).unwrap();

        assert_eq!(schema["oneOf"].as_array().unwrap().len(), 2);
        assert!(schema["$defs"]["feature_view"].is_object() && schema["$defs"]["Aggregate"].is_object());
    }
}
