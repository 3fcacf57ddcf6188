//! Names: what they may look like, and that none is used twice.

use super::context::Context;
use crate::diagnostic::quote;
use crate::graph::{ObjectKind, ObjectRef};

/// The longest name.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Words that SQL or our own tables need for themselves.
const RESERVED: [&str; 24] = [
    "all", "and", "as", "by", "case", "else", "end", "false", "from", "group", "in", "is", "join", "not", "null", "on",
    "or", "order", "select", "then", "true", "union", "where", "with",
];

/// Why a text cannot be a name, or `None` when it can: `[a-z][a-z0-9_]*`, of at most 64 bytes, not a word of SQL.
#[must_use]
pub fn name_problem(name: &str) -> Option<&'static str> {
    let begins_well = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let is_word = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it is longer than 64 characters")
    } else if !begins_well {
        Some("a name begins with a lower case letter")
    } else if !is_word {
        Some("a name has only lower case letters, digits and `_`")
    } else if RESERVED.contains(&name) {
        Some("it is a word of SQL")
    } else {
        None
    }
}

/// The name nearest to a text that can be one.
#[must_use]
pub fn mended_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(NAME_BYTES_MAX - 2) {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    match name.as_bytes().first() {
        None => "my_name".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("n{name}"),
        Some(_) if RESERVED.contains(&name) => format!("{name}_"),
        Some(_) => name.to_owned(),
    }
}

/// Sources and feature views are tables and share one namespace.
pub(super) fn check(context: &mut Context<'_>) {
    for name in context.names(ObjectKind::FeatureView) {
        let Some(source) = context.positions.get(&ObjectRef::new(ObjectKind::Source, &name)) else { continue };
        let other = format!("{}:{}", source.source.path, source.node.place.line);
        let message = format!("a source and a feature view are both called {}", quote(&name));
        let help = format!("both are tables that SQL names alike: rename one of them; the source is at {other}");
        let view = ObjectRef::new(ObjectKind::FeatureView, &name);
        context.report(&view, &["feature_view".into()], "duplicate_name", message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mended_name_is_a_name() {
        for text in ["Flights 2013", "2013", "", "Größe", "select", "_", &"x".repeat(200), "a--b"] {
            let mended = mended_name(text);

            assert_eq!(name_problem(&mended), None, "{text:?} became {mended:?}");
        }
    }
}
