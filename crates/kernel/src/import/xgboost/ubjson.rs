//! Universal Binary JSON (<https://ubjson.org>, draft 12), as a `serde` deserializer.
//!
//! Lengths are believed only as far as bytes follow, and values are nested only so deep; so what is allocated is bounded by
//! what was given.

use serde::de::value::Error;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// How deep lists and objects may be nested; a model needs eight.
const DEPTH_MAX: usize = 32;

pub(super) struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| Error::custom(format!("it ends within what begins at byte {}", self.at)))?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next marker that stands for something.
    fn marker(&mut self) -> Result<u8, Error> {
        loop {
            let marker = self.byte()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(Error::custom)
    }

    /// A whole number of the kind that a marker says.
    fn whole(&mut self, marker: u8) -> Result<i64, Error> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => self.byte()?.into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.unknown(marker)),
        })
    }

    fn length(&mut self) -> Result<usize, Error> {
        let marker = self.byte()?;
        let length = self.whole(marker)?;
        // whatever is counted takes a byte at least
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.bytes.len())
            .ok_or_else(|| Error::custom(format!("a length is {length} before byte {}", self.at)))
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|error| Error::custom(format!("a text before byte {} is not UTF-8: {error}", self.at)))
    }

    fn unknown(&self, marker: u8) -> Error {
        Error::custom(format!("the marker {marker:#04x} before byte {} is not known", self.at))
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, Error> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(self.whole(marker)?),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'C' => {
                let byte = self.byte()?;
                if byte.is_ascii() { visitor.visit_char(byte.into()) } else { Err(self.unknown(byte)) }
            }
            b'S' | b'H' => visitor.visit_borrowed_str(self.text()?),
            b'[' | b'{' => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(Error::custom(format!("it is nested deeper than {DEPTH_MAX}")));
                }
                let elements = self.elements(if marker == b'[' { b']' } else { b'}' })?;
                let value = if marker == b'[' { visitor.visit_seq(elements)? } else { visitor.visit_map(elements)? };
                self.depth -= 1;
                Ok(value)
            }
            _ => Err(self.unknown(marker)),
        }
    }

    /// Reads the type and the count that may precede elements.
    fn elements(&mut self, end: u8) -> Result<Elements<'_, 'de>, Error> {
        let mut kind = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            let marker = self.byte()?;
            // a count of what takes no bytes would be believed without any that follow
            if matches!(marker, b'T' | b'F' | b'Z' | b'N') {
                return Err(self.unknown(marker));
            }
            kind = Some(marker);
        }
        let mut left = None;
        if self.peek() == Some(b'#') {
            self.at += 1;
            left = Some(self.length()?);
        }
        if kind.is_some() && left.is_none() {
            return Err(Error::custom(format!("a list has a type and no count before byte {}", self.at)));
        }
        Ok(Elements { reader: self, end, kind, left })
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'Z') => {
                self.at += 1;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A value whose marker is known already.
struct Marked<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Marked<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The elements of a list, or the entries of an object.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    end: u8,
    kind: Option<u8>,
    left: Option<usize>,
}

impl Elements<'_, '_> {
    /// Whether there is another element. Without a count they end with a marker.
    fn another(&mut self) -> Result<bool, Error> {
        if let Some(left) = &mut self.left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        match self.reader.peek() {
            Some(marker) if marker == self.end => {
                self.reader.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(Error::custom("it ends within a list or an object")),
        }
    }

    fn read<'de, S: DeserializeSeed<'de>>(
        reader: &mut Reader<'de>,
        kind: Option<u8>,
        seed: S,
    ) -> Result<S::Value, Error> {
        match kind {
            Some(marker) => seed.deserialize(Marked { reader, marker }),
            None => seed.deserialize(reader),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.another()? { Self::read(self.reader, self.kind, seed).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.another()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        Self::read(self.reader, self.kind, seed)
    }
}
