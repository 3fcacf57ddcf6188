//! `NaN` in JSON, which has none: Python's `json.dumps` and Triton's client write it all the same, where a value is missing.

/// How they write it.
const NOT_A_NUMBER: &[u8] = b"NaN";

/// JSON with `null` where `NaN` stands outside of texts; none where it stands nowhere.
pub(super) fn nulls_for_nan(json: &[u8]) -> Option<Vec<u8>> {
    let mut rewritten = Vec::new();
    let (mut at, mut copied, mut in_text) = (0, 0, false);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => in_text = !in_text,
            // what is escaped ends no text
            b'\\' if in_text => at += 1,
            b'N' if !in_text && json[at..].starts_with(NOT_A_NUMBER) => {
                rewritten.extend_from_slice(&json[copied..at]);
                rewritten.extend_from_slice(b"null");
                at += NOT_A_NUMBER.len() - 1;
                copied = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if rewritten.is_empty() {
        return None;
    }
    rewritten.extend_from_slice(&json[copied..]);
    Some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_is_null_where_it_is_no_text() {
        for (json, expected) in [
            ("[NaN,1,NaN]", Some("[null,1,null]")),
            (r#"["NaN", "a \" NaN", "\\", NaN]"#, Some(r#"["NaN", "a \" NaN", "\\", null]"#)),
            (r#"{"NaN":["NaN", NaN]}"#, Some(r#"{"NaN":["NaN", null]}"#)),
            (r#"{"NaN": "\u004eaN"}"#, None),
            ("[N, Na, nan]", None),
            ("[Na", None),
            ("\"NaN\\", None),
            ("\"\\", None),
            ("", None),
        ] {
            let rewritten = nulls_for_nan(json.as_bytes());

            assert_eq!(rewritten, expected.map(|json| json.as_bytes().to_vec()), "{json}");
        }
    }
}
