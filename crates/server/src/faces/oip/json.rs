//! A tensor's data in JSON: flat or nested lists, in row-major order.
//!
//! Numbers go straight into a vector of floats, because that is what nearly every request is; the first element of
//! another kind turns it into a vector of cells.

use std::borrow::Cow;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::tensor::{Cell, Elements};

/// Whole numbers up to here are floats without loss.
const EXACT_MAX: u64 = 1 << 53;

/// Elements that a list has room for to begin with: a row of most models, so that it never grows.
const FEW: usize = 64;

/// The elements of a tensor, and how they were nested.
#[derive(Debug, PartialEq)]
pub(super) struct TensorData<'a> {
    pub(super) elements: Elements<'a>,
    /// The lengths of the nested lists, from the outside in; one length for a flat list.
    pub(super) lengths: Vec<usize>,
}

/// Gathers elements: numbers as long as all are numbers, cells from the first of another kind.
#[derive(Debug)]
enum Gathered<'a> {
    Numbers(Vec<f64>),
    Cells(Vec<Cell<'a>>),
}

impl<'a> Gathered<'a> {
    fn push_number(&mut self, number: f64) {
        match self {
            Self::Numbers(numbers) => numbers.push(number),
            Self::Cells(cells) => cells.push(Cell::Number(number)),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Numbers(numbers) => numbers.push(f64::NAN),
            Self::Cells(cells) => cells.push(Cell::Null),
        }
    }

    fn push_cell(&mut self, cell: Cell<'a>) {
        if let Self::Numbers(numbers) = self {
            let as_cell = |number: f64| if number.is_nan() { Cell::Null } else { Cell::Number(number) };
            *self = Self::Cells(numbers.drain(..).map(as_cell).collect());
        }
        if let Self::Cells(cells) = self {
            cells.push(cell);
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TensorData<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat =
            Flat { elements: Gathered::Numbers(Vec::with_capacity(FEW)), lengths: Vec::new(), leaf_depth: None };
        deserializer.deserialize_seq(Level { flat: &mut flat, depth: 0 })?;
        let elements = match flat.elements {
            Gathered::Numbers(numbers) => Elements::Numbers(numbers),
            Gathered::Cells(cells) => Elements::Cells(cells),
        };
        Ok(Self { elements, lengths: flat.lengths })
    }
}

struct Flat<'a> {
    elements: Gathered<'a>,
    lengths: Vec<usize>,
    /// How deep the first element lay; all must lie as deep.
    leaf_depth: Option<usize>,
}

struct Level<'f, 'a> {
    flat: &'f mut Flat<'a>,
    depth: usize,
}

impl<'a> Level<'_, 'a> {
    fn leaf<E: de::Error>(&mut self) -> Result<&mut Gathered<'a>, E> {
        match self.flat.leaf_depth {
            None => self.flat.leaf_depth = Some(self.depth),
            Some(depth) if depth == self.depth => {}
            Some(_) => return Err(E::custom("the lists of `data` are not nested equally deep")),
        }
        Ok(&mut self.flat.elements)
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Level<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Level<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.depth == 0 { "a list of elements" } else { "a number, true, false, text, null or a list" })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut length = 0;
        while seq.next_element_seed(Level { flat: self.flat, depth: self.depth + 1 })?.is_some() {
            length += 1;
        }
        if self.flat.lengths.len() <= self.depth {
            self.flat.lengths.resize(self.depth + 1, usize::MAX);
        }
        let known = &mut self.flat.lengths[self.depth];
        if *known != usize::MAX && *known != length {
            return Err(de::Error::custom("the lists of `data` are not equally long"));
        }
        *known = length;
        Ok(())
    }

    fn visit_f64<E: de::Error>(mut self, number: f64) -> Result<(), E> {
        self.leaf()?.push_number(number);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to the bound")]
    fn visit_u64<E: de::Error>(mut self, whole: u64) -> Result<(), E> {
        let elements = self.leaf()?;
        if whole <= EXACT_MAX {
            elements.push_number(whole as f64);
        } else {
            elements.push_cell(Cell::Whole(whole.into()));
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to the bound")]
    fn visit_i64<E: de::Error>(mut self, whole: i64) -> Result<(), E> {
        let elements = self.leaf()?;
        if whole.unsigned_abs() <= EXACT_MAX {
            elements.push_number(whole as f64);
        } else {
            elements.push_cell(Cell::Whole(whole.into()));
        }
        Ok(())
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.leaf()?.push_null();
        Ok(())
    }

    fn visit_bool<E: de::Error>(mut self, flag: bool) -> Result<(), E> {
        self.leaf()?.push_cell(Cell::Bool(flag));
        Ok(())
    }

    fn visit_borrowed_str<E: de::Error>(mut self, text: &'de str) -> Result<(), E> {
        self.leaf()?.push_cell(Cell::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        self.leaf()?.push_cell(Cell::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TensorData<'_>, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn flat_and_nested_lists_are_the_same_elements() {
        let flat = read("[1, 2.5, -3, 4]").unwrap();
        let nested = read("[[1, 2.5], [-3, 4]]").unwrap();

        assert_eq!(flat.elements, Elements::Numbers(vec![1.0, 2.5, -3.0, 4.0]));
        assert_eq!((flat.lengths, nested.lengths), (vec![4], vec![2, 2]));
        assert_eq!(flat.elements, nested.elements);
    }

    #[test]
    fn other_kinds_are_kept_as_they_are() {
        let mixed = read(r#"[1, null, true, "JFK", "L\u0047A", 9223372036854775807]"#).unwrap();

        let expected = [
            Cell::Number(1.0),
            Cell::Null,
            Cell::Bool(true),
            Cell::Text("JFK".into()),
            Cell::Text("LGA".into()),
            Cell::Whole(i64::MAX.into()),
        ];
        assert_eq!(mixed.elements, Elements::Cells(expected.into()));
    }

    #[test]
    fn ragged_or_unlisted_data_is_refused() {
        for text in ["[[1,2],[3]]", "[1,[2]]", "[[1],2]", "7", "{}", "[{}]", "[1,", "[[[[[[1]]]]],[[[[[[2]]]]]]]"] {
            assert!(read(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(read(&deep).is_err());
    }
}
