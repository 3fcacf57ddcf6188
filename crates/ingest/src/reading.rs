//! What a table's rows depend on beside the files. When a source is declared so that they would be others, its files are
//! read again (see `reread`); `plan` promises so by the same rules (`diff/rules.rs` of the spec).
//!
//! Not in it is what holds only for files to come: checks, the files' format, what becomes of undeclared columns.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use mainspring_spec::{DataType, Derived, Source};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::types::declared_type;

/// How many digits of a fingerprint are kept: it tells apart the few readings that one source ever has.
const FINGERPRINT_DIGITS: usize = 16;

/// How the rows of a table are made of the files of its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The declared columns, by name.
    columns: BTreeMap<String, ReadColumn>,
    /// Columns computed from them, in order.
    derive: Vec<Derived>,
    /// Which columns name a row.
    key: Vec<String>,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ReadColumn {
    #[serde(rename = "type")]
    data_type: DataType,
    nullable: bool,
}

impl Reading {
    /// The reading that a source declares.
    pub fn of(source: &Source) -> Self {
        let columns = source.columns.iter();
        let columns = columns
            .map(|column| (column.name.clone(), ReadColumn { data_type: column.data_type, nullable: column.nullable }));
        Self { columns: columns.collect(), derive: source.derive.clone(), key: source.key.clone() }
    }

    /// The reading that made a table of which none was kept, as far as its columns tell: what they do not tell (the key,
    /// the SQL of derived columns, columns that went) is taken to be as it is declared now.
    pub fn of_table(table: &Schema, source: &Source) -> Self {
        let mut reading = Self::of(source);
        let type_in_table = |name: &str| declared_type(table.field_with_name(name).ok()?.data_type());
        reading.columns.retain(|name, column| match type_in_table(name) {
            Some(data_type) => {
                column.data_type = data_type;
                true
            }
            None => false,
        });
        reading.derive.retain_mut(|derived| match type_in_table(&derived.name) {
            Some(data_type) => {
                derived.data_type = data_type;
                true
            }
            None => false,
        });
        reading
    }

    /// Names it among the readings of one source.
    pub fn fingerprint(&self) -> String {
        let mut digest = hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()));
        digest.truncate(FINGERPRINT_DIGITS);
        digest
    }

    /// The columns that may be null: a file that landed before one of them was declared need not have it.
    pub fn nullable(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|(_, column)| column.nullable).map(|(name, _)| name.as_str())
    }

    /// Why rows made by the reading `before` are not those that this one makes, in words; `None` when they are.
    pub fn outdates(&self, before: &Self) -> Option<String> {
        for (name, column) in &self.columns {
            let Some(was) = before.columns.get(name) else {
                // rows that landed before have null in a column that may be null
                if column.nullable {
                    continue;
                }
                return Some(format!("column `{name}` is new and may not be null"));
            };
            if was.data_type != column.data_type {
                return Some(format!("column `{name}` was {} and is {} now", was.data_type, column.data_type));
            }
            if was.nullable && !column.nullable {
                return Some(format!("column `{name}` may no longer be null"));
            }
        }
        if let Some(gone) = before.columns.keys().find(|name| !self.columns.contains_key(*name)) {
            return Some(format!("column `{gone}` is no longer declared"));
        }
        if let Some(changed) = self.derive.iter().find(|derived| !before.derive.contains(derived)) {
            return Some(format!("derived column `{}` is declared otherwise than before", changed.name));
        }
        if let Some(gone) = before.derive.iter().find(|derived| !self.derive.contains(derived)) {
            return Some(format!("derived column `{}` is no longer declared", gone.name));
        }
        if self.derive != before.derive {
            return Some("the derived columns are in another order".into());
        }
        let sorted = |key: &[String]| {
            let mut key = key.to_vec();
            key.sort();
            key
        };
        (sorted(&self.key) != sorted(&before.key)).then(|| {
            let name = |key: &[String]| if key.is_empty() { "none".into() } else { crate::read::list(key) };
            format!("the key was {} and is {} now", name(&before.key), name(&self.key))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reading(source: Value) -> Reading {
        Reading::of(&serde_json::from_value::<Source>(source).unwrap())
    }

    fn base() -> Value {
        json!({
            "source": "t", "path": "data/*", "key": ["a", "b"],
            "columns": [{"name": "a", "type": "int64", "nullable": true}, {"name": "b", "type": "string"}],
            "derive": [{"name": "c", "type": "int64", "sql": "a + 1"}],
        })
    }

    #[test]
    fn what_plan_calls_a_recomputation_outdates_and_names_what_changed() {
        for (pointer, value, words) in [
            ("/columns/0/type", json!("float64"), "column `a` was int64 and is float64 now"),
            ("/columns/0/nullable", json!(false), "column `a` may no longer be null"),
            ("/columns/1", json!({"name": "d", "type": "string", "nullable": false}), "column `d` is new"),
            ("/columns/1", json!({"name": "d", "type": "string"}), "column `b` is no longer declared"),
            ("/derive/0/sql", json!("a + 2"), "derived column `c` is declared otherwise"),
            ("/derive/0/type", json!("float64"), "derived column `c` is declared otherwise"),
            ("/derive", json!([]), "derived column `c` is no longer declared"),
            ("/key", json!(["a"]), "the key was `a`, `b` and is `a` now"),
            ("/key", json!([]), "and is none now"),
        ] {
            let mut changed = base();
            *changed.pointer_mut(pointer).unwrap() = value;

            let reason = reading(changed).outdates(&reading(base())).unwrap();

            assert!(reason.contains(words), "{pointer}: {reason}");
        }
    }

    #[test]
    fn what_plan_calls_additive_or_words_does_not_outdate() {
        for (pointer, value) in [
            ("/columns", json!([{"name": "b", "type": "string"}, {"name": "a", "type": "int64", "personal": true}])),
            (
                "/columns",
                json!([{"name": "a", "type": "int64"}, {"name": "b", "type": "string"}, {"name": "d", "type": "bool"}]),
            ),
            ("/key", json!(["b", "a"])),
            ("/path", json!("more/*")),
        ] {
            let mut changed = base();
            *changed.pointer_mut(pointer).unwrap() = value;

            assert_eq!(reading(changed).outdates(&reading(base())), None, "{pointer}");
        }
        let mut strict = base();
        strict["columns"][0]["nullable"] = json!(false);
        assert_eq!(reading(base()).outdates(&reading(strict)), None);
    }

    #[test]
    fn a_table_of_which_no_reading_was_kept_is_told_by_its_columns() {
        let source: Source = serde_json::from_value(base()).unwrap();
        let now = Reading::of(&source);
        assert_eq!(now.outdates(&Reading::of_table(&crate::table_schema(&source), &source)), None);

        let mut before = base();
        before["columns"][0]["type"] = json!("float64");
        before["derive"] = json!([]);
        let before: Source = serde_json::from_value(before).unwrap();

        let reason = now.outdates(&Reading::of_table(&crate::table_schema(&before), &source)).unwrap();
        assert!(reason.contains("`a` was float64"), "{reason}");
    }
}
