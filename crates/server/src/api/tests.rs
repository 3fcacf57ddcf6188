use std::collections::BTreeSet;

use serde_json::Value;

use super::document;

fn walk<'a>(value: &'a Value, seen: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            seen.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| walk(field, seen));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, seen)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let mut references = vec![];
    walk(document(), &mut references);

    assert!(references.len() > 50);
    for reference in references {
        assert!(document().pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn operations_have_names_of_their_own_and_every_name_in_a_path_is_described() {
    let mut names = BTreeSet::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{path}");
            let parameters = operation["parameters"].as_array().unwrap();
            let described = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(described, path.matches('{').count(), "{path}");
        }
    }
}

#[test]
fn the_document_is_what_clients_were_told() {
    insta::assert_json_snapshot!("openapi", document());
}
