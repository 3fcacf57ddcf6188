//! Keys of rows, exact where they are small.
//!
//! A key of one integer, timestamp or date column is kept as it is: 8 bytes. Any other key is 16 bytes: texts of up to
//! 15 bytes exactly, longer keys as 128 bits of hash, of which two equal ones among a thousand million keys are expected once in 10^20.

use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType as ArrowType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use twox_hash::XxHash64;

/// The keys of a batch's rows. A row with a null in its key has none.
#[derive(Debug, Clone)]
pub struct Keys {
    values: KeyValues,
    nulls: Option<NullBuffer>,
}

#[derive(Debug, Clone)]
enum KeyValues {
    Narrow(Vec<u64>),
    Wide(Vec<u128>),
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// An integer, timestamp or date.
    Narrow(u64),
    /// Anything else.
    Wide(u128),
}

impl Keys {
    /// The keys of rows, over the columns that make it, which have declared types.
    #[must_use]
    pub fn of(columns: &[ArrayRef]) -> Self {
        let nulls = columns.iter().fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.nulls()));
        let values = match columns {
            [column] => match narrow(column) {
                Some(values) => KeyValues::Narrow(values),
                None => KeyValues::Wide(wide(columns)),
            },
            _ => KeyValues::Wide(wide(columns)),
        };
        Self { values, nulls }
    }

    /// The key of a row; `None` when part of it is null.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Key> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        match &self.values {
            KeyValues::Narrow(values) => values.get(row).copied().map(Key::Narrow),
            KeyValues::Wide(values) => values.get(row).copied().map(Key::Wide),
        }
    }

    /// The keys of some rows as integers, where they are; what stands for a null among them is no key.
    pub(super) fn integers(&self, rows: Range<usize>) -> &[u64] {
        match &self.values {
            KeyValues::Narrow(values) => values.get(rows).unwrap_or_default(),
            KeyValues::Wide(_) => &[],
        }
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.values {
            KeyValues::Narrow(values) => values.len(),
            KeyValues::Wide(values) => values.len(),
        }
    }
}

fn narrow(column: &ArrayRef) -> Option<Vec<u64>> {
    Some(match column.data_type() {
        ArrowType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(|v| v.cast_unsigned()).collect(),
        ArrowType::Timestamp(..) => {
            column.as_primitive::<TimestampMicrosecondType>().values().iter().map(|v| v.cast_unsigned()).collect()
        }
        ArrowType::Date32 => {
            column.as_primitive::<Date32Type>().values().iter().map(|v| i64::from(*v).cast_unsigned()).collect()
        }
        _ => return None,
    })
}

fn wide(columns: &[ArrayRef]) -> Vec<u128> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut bytes = Vec::with_capacity(64);
    let single = columns.len() == 1;
    (0..rows)
        .map(|row| {
            bytes.clear();
            for column in columns {
                append(column, row, single, &mut bytes);
            }
            pack(&bytes)
        })
        .collect()
}

fn append(column: &ArrayRef, row: usize, single: bool, bytes: &mut Vec<u8>) {
    if column.is_null(row) {
        return;
    }
    match column.data_type() {
        ArrowType::Int64 => bytes.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        ArrowType::Timestamp(..) => {
            bytes.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        ArrowType::Date32 => bytes.extend(column.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        ArrowType::Float64 => {
            // -0.0 and 0.0 are one value.
            bytes.extend((column.as_primitive::<Float64Type>().value(row) + 0.0).to_bits().to_le_bytes());
        }
        ArrowType::Boolean => bytes.push(u8::from(column.as_boolean().value(row))),
        ArrowType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            if !single {
                bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            }
            bytes.extend(text.as_bytes());
        }
        _ => {}
    }
}

fn pack(bytes: &[u8]) -> u128 {
    const EXACT: usize = 15;
    if bytes.len() <= EXACT {
        let mut packed = [0_u8; 16];
        for (slot, byte) in packed.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        // The last byte holds the length, which is at most 15, so an exact key never equals a hashed one.
        return u128::from_le_bytes(packed) | (bytes.len() as u128) << 120;
    }
    let high = u128::from(XxHash64::oneshot(0x6d61_696e, bytes)) | 1 << 63;
    high << 64 | u128::from(XxHash64::oneshot(0x7370_7269, bytes))
}

/// Spreads a key over a hash table: two rounds of multiply and fold.
pub(super) fn spread(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    let folded = (product as u64) ^ (product >> 64) as u64;
    let product = u128::from(folded) * 0xa076_1d64_78bd_642f;
    (product as u64) ^ (product >> 64) as u64
}

/// Hashes keys by [`spread`].
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash64::oneshot(self.0, bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = spread(value ^ self.0);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64((value >> 64) as u64 ^ 0x51_7c_c1_b7_27_22_0a_95);
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.0 ^= value as u64;
    }
}

/// The hasher of key tables.
pub type KeyHash = BuildHasherDefault<KeyHasher>;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn keys_of_several_columns_do_not_run_into_each_other() {
        let columns = |a: &str, b: &str| -> Vec<ArrayRef> {
            vec![Arc::new(StringArray::from(vec![a])), Arc::new(StringArray::from(vec![b]))]
        };
        let key = |a: &str, b: &str| Keys::of(&columns(a, b)).get(0).unwrap();

        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_eq!(key("ab", "c"), key("ab", "c"));
        assert_ne!(key("", "a-text-longer-than-fifteen-bytes"), key("a-text-longer-than-fifteen-bytes", ""));
    }

    #[test]
    fn a_key_with_a_null_in_it_is_none() {
        let keys = Keys::of(&[Arc::new(Int64Array::from(vec![Some(1), None]))]);
        assert!(keys.get(0).is_some() && keys.get(1).is_none());
    }

    #[test]
    fn texts_that_differ_by_a_zero_byte_are_two_keys() {
        let keys = Keys::of(&[Arc::new(StringArray::from(vec!["a", "a\0"]))]);
        assert_ne!(keys.get(0), keys.get(1));
    }
}
