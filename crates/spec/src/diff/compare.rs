//! The keys in which two JSON values differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A key whose value differs; null stands for a key that is not there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) path: Vec<String>,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// All differences, in the order of their paths. Lists whose elements have names are compared by name, whatever their
/// order; other lists as a whole.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = vec![];
    collect(&mut vec![], before, after, &mut found);
    found
}

fn collect(path: &mut Vec<String>, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let parts = match (before, after) {
        (Value::Object(before), Value::Object(after)) => Some((before.clone(), after.clone())),
        (Value::Array(before), Value::Array(after)) => named(before).zip(named(after)),
        _ => None,
    };
    // The keys of an entity are one thing, in their order.
    let whole = path.last().is_some_and(|key| key == "keys");
    let Some((before_parts, after_parts)) = parts.filter(|_| !whole) else {
        found.push(Difference { path: path.clone(), before: before.clone(), after: after.clone() });
        return;
    };
    let keys: BTreeSet<&String> = before_parts.keys().chain(after_parts.keys()).collect();
    let known = found.len();
    for key in keys {
        path.push(key.clone());
        let side = |parts: &Map<String, Value>| parts.get(key).cloned().unwrap_or_default();
        collect(path, &side(&before_parts), &side(&after_parts), found);
        path.pop();
    }
    if found.len() == known && before.is_array() {
        // Only the order differs, and where order means something it is this.
        found.push(Difference { path: path.clone(), before: before.clone(), after: after.clone() });
    }
}

/// A list of objects with different names, by name.
fn named(items: &[Value]) -> Option<Map<String, Value>> {
    let entries = items.iter().map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone())));
    let entries: Map<String, Value> = entries.collect::<Option<_>>()?;
    (entries.len() == items.len()).then_some(entries)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(before: Value, after: Value) -> Vec<String> {
        differences(&before, &after).into_iter().map(|difference| difference.path.join(".")).collect()
    }

    #[test]
    fn named_lists_are_compared_by_name() {
        let before = json!({"columns": [{"name": "a", "type": "int64"}, {"name": "b", "type": "int64"}]});
        let after = json!({"columns": [{"name": "b", "type": "string"}, {"name": "c", "type": "int64"}]});

        assert_eq!(paths(before, after), ["columns.a", "columns.b.type", "columns.c"]);
    }

    #[test]
    fn other_lists_are_compared_whole() {
        assert_eq!(paths(json!({"windows": ["1h", "3h"]}), json!({"windows": ["1h"]})), ["windows"]);
    }

    #[test]
    fn an_order_that_changes_is_a_difference_of_the_list() {
        let before = json!({"derive": [{"name": "a"}, {"name": "b"}]});
        let after = json!({"derive": [{"name": "b"}, {"name": "a"}]});

        assert_eq!(paths(before, after), ["derive"]);
    }

    #[test]
    fn equal_values_have_no_difference() {
        assert_eq!(paths(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]})), [""; 0]);
    }
}
