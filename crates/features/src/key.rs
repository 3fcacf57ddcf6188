//! Entity keys as bytes: the same from a column and from a request.

use arrow::array::ArrayRef;

use crate::value::Value;

/// Appends a key's bytes: each part with its length before it, so that no two keys have the same. False, when a part is
/// null: then there is no key.
pub(crate) fn encode<'a>(values: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) -> bool {
    for value in values {
        match value {
            Value::Null => return false,
            Value::Bool(value) => part(out, &[u8::from(*value)]),
            Value::Int(value) | Value::Timestamp(value) => part(out, &value.to_be_bytes()),
            // One zero: a key is a name, and both zeros are written 0.
            Value::Float(value) => part(out, &if *value == 0.0 { 0.0_f64 } else { *value }.to_bits().to_be_bytes()),
            Value::Text(value) => part(out, value.as_bytes()),
            Value::Date(value) => part(out, &value.to_be_bytes()),
        }
    }
    true
}

pub(crate) fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// The key of a row of columns.
pub(crate) fn of_row(columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    columns.iter().all(|column| encode([&Value::from_array(column, row)], out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = |parts: &[&str]| {
            let mut out = vec![];
            assert!(encode(&parts.iter().map(|&part| Value::Text(part.into())).collect::<Vec<_>>(), &mut out));
            out
        };

        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }

    #[test]
    fn null_is_no_key() {
        assert!(!encode(&[Value::Int(1), Value::Null], &mut vec![]));
    }
}
