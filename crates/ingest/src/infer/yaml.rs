//! Words of YAML: texts quoted where they would be read as something else.

/// A text as a YAML scalar, quoted when it must be.
pub(crate) fn text(text: &str) -> String {
    let begins_well = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ' || c == '/')
        && !text.ends_with(' ')
        && begins_well;
    let lower = text.to_ascii_lowercase();
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"].contains(&lower.as_str());
    // JSON's strings are YAML's double-quoted ones.
    if is_plain && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Texts as a flow sequence.
pub(crate) fn texts(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|t| text(t)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_yaml_would_take_for_something_else_are_quoted() {
        assert_eq!(text("carrier"), "carrier");
        for quoted in ["no", "1", "a: b", "", "#x", "a\nb", " a", "-", "ä", "a,b", "~", "1e3"] {
            assert!(text(quoted).starts_with('"'), "{quoted:?}");
        }
    }
}
