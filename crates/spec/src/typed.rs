//! From a tree to a type: a serde deserializer over [`Node`] whose errors carry the place of the value they are about.

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use crate::tree::{Key, Node, Place, Value};

/// Why a tree is not the type asked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

impl Mismatch {
    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

/// Reads a tree as a type.
pub(crate) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Mismatch> {
    T::deserialize(node)
}

/// The elements of a list. A value that refuses what it was given (a span of time, say) does so after its deserializer
/// is gone, so the place is added here.
struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let next = self.0.next();
        next.map(|node| seed.deserialize(node).map_err(|mismatch| mismatch.at(node.place))).transpose()
    }
}

/// The keys and values of a mapping, with places as in [`Items`].
struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'a> Entries<'a> {
    fn new(entries: &'a [(Key, Node)]) -> Self {
        Self { rest: entries.iter(), value: None }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let text: de::value::StrDeserializer<'_, Mismatch> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|mismatch| mismatch.at(key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let node = self.value.take().ok_or_else(|| <Mismatch as de::Error>::custom("a value without its key"))?;
        seed.deserialize(node).map_err(|mismatch| mismatch.at(node.place))
    }
}

impl<'de> Deserializer<'de> for &Node {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let read = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries)),
        };
        read.map_err(|mismatch| mismatch.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let read = match &self.value {
            Value::Text(text) => {
                let text: de::value::StrDeserializer<'_, Mismatch> = text.as_str().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Value::Map(entries) => visitor.visit_enum(de::value::MapAccessDeserializer::new(Entries::new(entries))),
            other => Err(de::Error::custom(format!("{} stands where one of {variants:?} is expected", other.kind()))),
        };
        read.map_err(|mismatch: Mismatch| mismatch.at(self.place))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Source, Trainer};

    fn tree(text: &str) -> Node {
        crate::tree::parse(text).unwrap().remove(0)
    }

    #[test]
    fn a_source_is_read_as_yaml_says_it() {
        let source: Source = read(&tree(
            "source: a\npath: a.csv\ncsv: {null: [NA]}\ncolumns:\n  - {name: x, type: int64}\nchecks:\n  - range: {column: x, min: 0, max: 2.5}\n",
        ))
        .unwrap();

        assert_eq!(source.csv.null, ["NA"]);
        assert_eq!(source.checks[0].range.as_ref().unwrap().max, Some(crate::model::Scalar::Float(2.5)));
    }

    #[test]
    fn an_enum_with_parameters_is_read() {
        let trainer: Trainer = read(&tree("boosted_trees: {trees: 7}")).unwrap();

        assert!(matches!(trainer, Trainer::BoostedTrees(trees) if trees.trees == 7));
    }

    #[test]
    fn an_error_carries_the_place_of_the_value() {
        let error = read::<Source>(&tree(
            "source: a\npath: a.csv\ncolumns: []\nchecks:\n  - freshness: {column: x, max_age: soon}\n",
        ))
        .unwrap_err();

        let place = error.place.unwrap();
        assert_eq!((place.line, place.column), (5, 37));
    }
}
