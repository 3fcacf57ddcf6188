//! Nodes as short JSON arrays: spelt-out keys would be four fifths of an artifact's bytes.

use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Less, Node};

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Leaf { value } => {
                let mut tuple = serializer.serialize_tuple(1)?;
                tuple.serialize_element(&value)?;
                tuple.end()
            }
            Self::Split { feature, threshold, less, left, right, missing } => {
                let mut tuple = serializer.serialize_tuple(6)?;
                tuple.serialize_element(&feature)?;
                tuple.serialize_element(&threshold)?;
                tuple.serialize_element(&less)?;
                tuple.serialize_element(&left)?;
                tuple.serialize_element(&right)?;
                tuple.serialize_element(&missing)?;
                tuple.end()
            }
            Self::Among { feature, set, inside, outside, missing } => {
                let mut tuple = serializer.serialize_tuple(6)?;
                tuple.serialize_element(&feature)?;
                tuple.serialize_element(&set)?;
                tuple.serialize_element("in")?;
                for child in [inside, outside, missing] {
                    tuple.serialize_element(&child)?;
                }
                tuple.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a leaf `[value]`, a split `[feature, threshold, \"<\" or \"<=\", left, right, missing]` or a question \
             `[feature, set, \"in\", inside, outside, missing]`",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let first: f64 = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let Some(threshold) = seq.next_element::<f64>()? else {
            return Ok(Node::Leaf { value: first });
        };
        let feature =
            whole(first).ok_or_else(|| de::Error::custom(format!("{first} is not the number of a column")))?;
        let question: Question = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(2, &self))?;
        let left = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(3, &self))?;
        let right = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(4, &self))?;
        let missing = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(5, &self))?;
        if seq.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(7, &self));
        }
        Ok(match question {
            Question::Less(less) => Node::Split { feature, threshold, less, left, right, missing },
            Question::In => {
                let set = whole(threshold)
                    .ok_or_else(|| de::Error::custom(format!("{threshold} is not the number of a set")))?;
                Node::Among { feature, set, inside: left, outside: right, missing }
            }
        })
    }
}

/// The third element of a node.
enum Question {
    Less(Less),
    In,
}

impl<'de> Deserialize<'de> for Question {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(QuestionVisitor)
    }
}

struct QuestionVisitor;

impl Visitor<'_> for QuestionVisitor {
    type Value = Question;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a comparison or \"in\"")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Question, E> {
        if word == "in" { Ok(Question::In) } else { Less::deserialize(word.into_deserializer()).map(Question::Less) }
    }
}

/// The first element is read before it is known whether it is a leaf's value or a split's column.
fn whole(number: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the original below")]
    let cast = number as u32;
    (f64::from(cast) == number).then_some(cast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_other_lengths_and_kinds_are_refused() {
        for text in [
            "[]",
            "[1,2]",
            "[1,2,\"<\"]",
            "[1,2,\"<\",1,2]",
            "[1,2,\"<\",1,2,2,9]",
            "[1.5,2,\"<\",1,2,2]",
            "[-1,2,\"<\",1,2,2]",
            "[1,2,\">\",1,2,2]",
            "[null]",
            "{}",
            "[1,2,\"<\",-1,2,2]",
            "[1,2,\"<\",1,4294967296,2]",
            "[1,0.5,\"in\",1,2,2]",
            "[1,-1,\"in\",1,2,2]",
        ] {
            assert!(serde_json::from_str::<Node>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_node_reads_back_from_what_it_wrote() {
        let split = Node::Split { feature: 3, threshold: 0.1, less: Less::OrEqual, left: 1, right: 2, missing: 7 };

        let text = serde_json::to_string(&split).unwrap();

        assert_eq!(text, r#"[3,0.1,"<=",1,2,7]"#);
        assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), split);
        let among = Node::Among { feature: 3, set: 9, inside: 1, outside: 2, missing: 2 };
        assert_eq!(serde_json::to_string(&among).unwrap(), r#"[3,9,"in",1,2,2]"#);
        assert_eq!(serde_json::from_str::<Node>(r#"[3,9,"in",1,2,2]"#).unwrap(), among);
        assert_eq!(serde_json::from_str::<Node>("[-0.25]").unwrap(), Node::Leaf { value: -0.25 });
    }
}
