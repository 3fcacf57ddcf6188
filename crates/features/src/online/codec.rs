//! A row's payload as bytes: for each column a byte that tells whether it is null, then its value.

use mainspring_spec::DataType;

use crate::value::Value;

/// Appends a payload's bytes.
pub(super) fn encode(values: &[Value], out: &mut Vec<u8>) {
    for value in values {
        match value {
            Value::Null => out.push(0),
            Value::Bool(value) => out.extend([1, u8::from(*value)]),
            Value::Int(value) | Value::Timestamp(value) => fixed(out, &value.to_le_bytes()),
            Value::Float(value) => fixed(out, &value.to_bits().to_le_bytes()),
            Value::Date(value) => fixed(out, &value.to_le_bytes()),
            Value::Text(value) => {
                fixed(out, &u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
                out.extend(value.as_bytes());
            }
        }
    }
}

fn fixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(1);
    out.extend(bytes);
}

/// Reads a payload of these types. `None` when the bytes are not one.
pub(super) fn decode(mut bytes: &[u8], types: &[DataType], out: &mut Vec<Value>) -> Option<()> {
    out.clear();
    for data_type in types {
        let (&tag, rest) = bytes.split_first()?;
        bytes = rest;
        let value = match (tag, data_type) {
            (0, _) => Value::Null,
            (1, DataType::Bool) => Value::Bool(take::<1>(&mut bytes)?[0] != 0),
            (1, DataType::Int64) => Value::Int(i64::from_le_bytes(take(&mut bytes)?)),
            (1, DataType::Timestamp) => Value::Timestamp(i64::from_le_bytes(take(&mut bytes)?)),
            (1, DataType::Float64) => Value::Float(f64::from_bits(u64::from_le_bytes(take(&mut bytes)?))),
            (1, DataType::Date) => Value::Date(i32::from_le_bytes(take(&mut bytes)?)),
            (1, DataType::String) => {
                let length = usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?;
                let (text, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Text(std::str::from_utf8(text).ok()?.into())
            }
            _ => return None,
        };
        out.push(value);
    }
    bytes.is_empty().then_some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn payloads_survive() {
        let types = [
            DataType::Bool,
            DataType::Int64,
            DataType::Float64,
            DataType::String,
            DataType::Timestamp,
            DataType::Date,
            DataType::Date,
        ];
        let values = [
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Float(-0.0),
            Value::Text("zürich".into()),
            Value::Timestamp(i64::MAX),
            Value::Date(-3),
            Value::Null,
        ];
        let (mut bytes, mut read) = (vec![], vec![]);

        encode(&values, &mut bytes);

        assert!(decode(&bytes, &types, &mut read).is_some());
        assert!(values.iter().zip(&read).all(|(a, b)| a.same(b)), "{read:?}");
        assert!(decode(&bytes[..bytes.len() - 1], &types, &mut read).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let types = [DataType::String, DataType::Int64, DataType::Bool];
            decode(&bytes, &types, &mut vec![]);
        }
    }
}
