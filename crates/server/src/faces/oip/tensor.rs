//! A tensor's elements, whichever form brought them: numbers and cells of JSON, or bytes.
//!
//! Bytes stay where they were received and are read at their destination, once: a batch of 1,024 rows of 28 doubles is
//! one pass of 229 kB into the matrix that is scored.

use std::borrow::Cow;

use half::{bf16, f16};
use mainspring_serve::Error;

use super::datatype::Datatype;

/// The elements of a tensor, in row-major order.
#[derive(Debug, PartialEq)]
pub(super) enum Elements<'a> {
    /// Numbers, NaN for null.
    Numbers(Vec<f64>),
    Cells(Vec<Cell<'a>>),
    Raw(Raw<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    Number(f64),
    /// A whole number that no float need be.
    Whole(i128),
    Text(Cow<'a, str>),
}

/// Elements as the protocol's bytes: little-endian numbers, or texts that each begin with their length in four bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Raw<'a> {
    datatype: Datatype,
    count: usize,
    bytes: Cow<'a, [u8]>,
}

/// Does something with the elements of a [`Raw`] as an iterator of floats; nothing when they are texts.
macro_rules! as_floats {
    ($raw:expr, |$floats:ident| $use:expr) => {{
        macro_rules! of {
            ($kind:ty, $as_float:expr) => {{
                let (elements, _) = $raw.bytes.as_chunks::<{ size_of::<$kind>() }>();
                let as_float = $as_float;
                let $floats = elements.iter().map(|bytes| as_float(<$kind>::from_le_bytes(*bytes)));
                Some($use)
            }};
        }
        #[expect(clippy::cast_precision_loss, reason = "a model's inputs are floats; whole numbers beyond 2^53 round")]
        match $raw.datatype {
            Datatype::Bool => of!(u8, |flag| f64::from(u8::from(flag != 0))),
            Datatype::Uint8 => of!(u8, f64::from),
            Datatype::Uint16 => of!(u16, f64::from),
            Datatype::Uint32 => of!(u32, f64::from),
            Datatype::Uint64 => of!(u64, |whole| whole as f64),
            Datatype::Int8 => of!(i8, f64::from),
            Datatype::Int16 => of!(i16, f64::from),
            Datatype::Int32 => of!(i32, f64::from),
            Datatype::Int64 => of!(i64, |whole| whole as f64),
            Datatype::Fp16 => of!(f16, f64::from),
            Datatype::Bf16 => of!(bf16, f64::from),
            Datatype::Fp32 => of!(f32, f64::from),
            Datatype::Fp64 => of!(f64, |number| number),
            Datatype::Bytes => None,
        }
    }};
}

/// How many elements a tensor of a shape has; none when no machine could hold them.
pub(super) fn elements_of(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |product, length| product.checked_mul(*length))
}

impl Elements<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Cells(cells) => cells.len(),
            Self::Raw(raw) => raw.count,
        }
    }

    /// Shows each element in turn; a not-a-number is null.
    ///
    /// # Errors
    /// The first that `see` returns, or a text that is no UTF-8.
    pub(super) fn each(&self, mut see: impl FnMut(usize, &Cell<'_>) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Numbers(numbers) => numbers.iter().enumerate().try_for_each(|(at, number)| see(at, &cell(*number))),
            Self::Cells(cells) => cells.iter().enumerate().try_for_each(|(at, cell)| see(at, cell)),
            Self::Raw(raw) => raw.each(see),
        }
    }

    /// Takes the elements as floats; none when they may not be numbers.
    pub(super) fn take_floats(&mut self) -> Option<Vec<f64>> {
        match self {
            Self::Numbers(numbers) => Some(std::mem::take(numbers)),
            Self::Cells(_) => None,
            Self::Raw(raw) => as_floats!(raw, |floats| floats.collect()),
        }
    }

    /// Writes the elements as floats to as many places; whether they are numbers at all.
    pub(super) fn fill<'n>(&self, into: impl Iterator<Item = &'n mut f64>) -> bool {
        match self {
            Self::Numbers(numbers) => into.zip(numbers).for_each(|(place, number)| *place = *number),
            Self::Cells(_) => return false,
            Self::Raw(raw) => return raw.fill(into),
        }
        true
    }

    /// Writes the place of each text to as many places, not-a-number for null; whether they are texts and all have one.
    pub(super) fn fill_places<'n>(
        &self,
        mut into: impl Iterator<Item = &'n mut f64>,
        place_of: impl Fn(&str) -> Option<usize>,
    ) -> bool {
        let mut put = |text: Option<&str>| {
            let place = match text {
                None => f64::NAN,
                Some(text) => match place_of(text) {
                    Some(place) => place as f64,
                    None => return false,
                },
            };
            into.next().map(|number| *number = place).is_some()
        };
        match self {
            Self::Numbers(_) => false,
            Self::Cells(cells) => cells.iter().all(|cell| match cell {
                Cell::Null => put(None),
                Cell::Text(text) => put(Some(text)),
                Cell::Bool(_) | Cell::Number(_) | Cell::Whole(_) => false,
            }),
            Self::Raw(raw) => {
                let mut texts = texts(&raw.bytes).flatten();
                raw.datatype == Datatype::Bytes
                    && texts.all(|text| std::str::from_utf8(text).is_ok_and(|text| put(Some(text))))
            }
        }
    }
}

fn cell(number: f64) -> Cell<'static> {
    if number.is_nan() { Cell::Null } else { Cell::Number(number) }
}

impl<'a> Raw<'a> {
    /// Takes bytes for the elements of a tensor, if they are as many as its shape says. `name` is for the error.
    ///
    /// # Errors
    /// When they are more or fewer.
    pub(super) fn new(name: &str, datatype: Datatype, shape: &[u64], bytes: Cow<'a, [u8]>) -> Result<Self, Error> {
        let wrong = |found: String| {
            Err(Error::Invalid(format!("input `{name}` is {} of the shape {shape:?}, {found}", datatype.as_str())))
        };
        let Some(count) = elements_of(shape).and_then(|count| usize::try_from(count).ok()) else {
            return wrong("which is more than can be".into());
        };
        match datatype.width() {
            Some(width) => match count.checked_mul(width) {
                Some(expected) if expected == bytes.len() => {}
                Some(expected) => return wrong(format!("which takes {expected} bytes; it has {}", bytes.len())),
                None => return wrong("which is more than can be".into()),
            },
            None => match texts(&bytes).try_fold(0usize, |count, text| text.map(|_| count + 1)) {
                Some(found) if found == count => {}
                Some(found) => return wrong(format!("which takes {count} texts; its bytes have {found}")),
                None => {
                    return wrong(
                        "whose bytes are no texts: each begins with its length, four bytes in little-endian order"
                            .into(),
                    );
                }
            },
        }
        Ok(Self { datatype, count, bytes })
    }

    /// Takes bytes that were written for so many elements.
    pub(super) fn counted(datatype: Datatype, count: usize, bytes: Cow<'a, [u8]>) -> Self {
        Self { datatype, count, bytes }
    }

    fn fill<'n>(&self, into: impl Iterator<Item = &'n mut f64>) -> bool {
        as_floats!(self, |floats| into.zip(floats).for_each(|(place, float)| *place = float)).is_some()
    }

    fn each(&self, mut see: impl FnMut(usize, &Cell<'_>) -> Result<(), Error>) -> Result<(), Error> {
        macro_rules! cells {
            ($kind:ty, $as_cell:expr) => {{
                let (elements, _) = self.bytes.as_chunks::<{ size_of::<$kind>() }>();
                let as_cell = $as_cell;
                elements
                    .iter()
                    .enumerate()
                    .try_for_each(|(at, bytes)| see(at, &as_cell(<$kind>::from_le_bytes(*bytes))))
            }};
        }
        match self.datatype {
            Datatype::Bool => cells!(u8, |flag| Cell::Bool(flag != 0)),
            Datatype::Uint8 => cells!(u8, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Uint16 => cells!(u16, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Uint32 => cells!(u32, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Uint64 => cells!(u64, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Int8 => cells!(i8, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Int16 => cells!(i16, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Int32 => cells!(i32, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Int64 => cells!(i64, |whole| Cell::Whole(i128::from(whole))),
            Datatype::Fp16 => cells!(f16, |number| cell(f64::from(number))),
            Datatype::Bf16 => cells!(bf16, |number| cell(f64::from(number))),
            Datatype::Fp32 => cells!(f32, |number| cell(f64::from(number))),
            Datatype::Fp64 => cells!(f64, cell),
            Datatype::Bytes => texts(&self.bytes).flatten().enumerate().try_for_each(|(at, text)| {
                let text = std::str::from_utf8(text)
                    .map_err(|_| Error::Invalid(format!("element {at} of a BYTES tensor is no text in UTF-8")))?;
                see(at, &Cell::Text(Cow::Borrowed(text)))
            }),
        }
    }
}

/// The texts of a `BYTES` tensor; ends with a none when the bytes end within a text.
fn texts(bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.filter(|bytes| !bytes.is_empty())?;
        let text = bytes.split_first_chunk::<4>().and_then(|(length, after)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            after.split_at_checked(length)
        });
        rest = text.map(|(_, after)| after);
        Some(text.map(|(text, _)| text))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw<'a>(datatype: Datatype, shape: &[u64], bytes: &'a [u8]) -> Result<Elements<'a>, String> {
        Raw::new("x", datatype, shape, bytes.into()).map(Elements::Raw).map_err(|error| error.to_string())
    }

    fn cells(elements: &Elements<'_>) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        elements.each(|_, cell| {
            all.push(format!("{cell:?}"));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn each_number_type_is_read_as_what_it_is() {
        let one_and_minus_two: [(Datatype, Vec<u8>); 9] = [
            (Datatype::Int8, vec![1, 254]),
            (Datatype::Int16, [1i16, -2].map(i16::to_le_bytes).concat()),
            (Datatype::Int32, [1i32, -2].map(i32::to_le_bytes).concat()),
            (Datatype::Int64, [1i64, -2].map(i64::to_le_bytes).concat()),
            (Datatype::Fp16, [f16::ONE, f16::from_f32(-2.0)].map(f16::to_le_bytes).concat()),
            (Datatype::Bf16, [bf16::ONE, bf16::from_f32(-2.0)].map(bf16::to_le_bytes).concat()),
            (Datatype::Fp32, [1f32, -2.0].map(f32::to_le_bytes).concat()),
            (Datatype::Fp64, [1f64, -2.0].map(f64::to_le_bytes).concat()),
            (Datatype::Uint8, vec![1, 254]),
        ];
        for (datatype, bytes) in &one_and_minus_two {
            let elements = raw(*datatype, &[2, 1], bytes).unwrap();
            let mut numbers = [0.0; 2];

            assert!(elements.fill(numbers.iter_mut()));

            let second = if *datatype == Datatype::Uint8 { 254.0 } else { -2.0 };
            assert_eq!(numbers, [1.0, second], "{datatype:?}");
            let found = cells(&elements).unwrap();
            let expected = if datatype.is_float() { "Number(-2.0)" } else { "Whole(-2)" };
            assert!(*datatype == Datatype::Uint8 || found[1] == expected, "{found:?}");
        }
        for (datatype, bytes) in [
            (Datatype::Uint16, u16::MAX.to_le_bytes().to_vec()),
            (Datatype::Uint32, u32::MAX.to_le_bytes().to_vec()),
            (Datatype::Uint64, u64::MAX.to_le_bytes().to_vec()),
        ] {
            let greatest = datatype.whole_range().unwrap().1;
            assert_eq!(cells(&raw(datatype, &[1], &bytes).unwrap()).unwrap(), [format!("Whole({greatest})")]);
        }
    }

    #[test]
    fn texts_truths_and_not_a_number_are_themselves() {
        let texts = [&[3, 0, 0, 0][..], b"JFK", &[0; 4], &[2, 0, 0, 0], "é".as_bytes()].concat();
        let nan = f32::NAN.to_le_bytes();

        let read = |datatype, shape: &[u64], bytes: &[u8]| cells(&raw(datatype, shape, bytes).unwrap()).unwrap();

        assert_eq!(read(Datatype::Bytes, &[3], &texts), ["Text(\"JFK\")", "Text(\"\")", "Text(\"é\")"]);
        assert_eq!(read(Datatype::Bool, &[3], &[0, 1, 7]), ["Bool(false)", "Bool(true)", "Bool(true)"]);
        assert_eq!(read(Datatype::Fp32, &[1, 1], &nan), ["Null"]);
        assert!(cells(&raw(Datatype::Bytes, &[1], &[1, 0, 0, 0, 0xff]).unwrap()).is_err());
    }

    #[test]
    fn bytes_that_are_not_as_many_as_the_shape_says_are_refused() {
        for (datatype, shape, bytes, words) in [
            (Datatype::Fp32, &[2, 2][..], &[0; 15][..], "[2, 2], which takes 16 bytes; it has 15"),
            (Datatype::Bool, &[3], &[0; 4], "takes 3 bytes; it has 4"),
            (Datatype::Fp64, &[u64::MAX, 2], &[0; 8], "more than can be"),
            (Datatype::Fp64, &[u64::MAX / 4], &[0; 8], "more than can be"),
            (Datatype::Bytes, &[2], &[0; 4], "takes 2 texts; its bytes have 1"),
            (Datatype::Bytes, &[1], &[9, 0, 0, 0, 1], "no texts"),
            (Datatype::Bytes, &[1], &[9, 0], "no texts"),
        ] {
            let error = raw(datatype, shape, bytes).unwrap_err();
            assert!(error.contains(words), "expected `{words}` in: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_as_many_as_the_shape_says(
            datatype in prop::sample::select(&Datatype::ALL[..]),
            shape in prop::collection::vec(0u64..5, 0..4),
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok(elements) = raw(datatype, &shape, &bytes) {
                prop_assert_eq!(elements.len() as u64, elements_of(&shape).unwrap());
                let mut numbers = vec![0.0; elements.len()];
                prop_assert_eq!(elements.fill(numbers.iter_mut()), datatype != Datatype::Bytes);
                let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
                let taken = raw(datatype, &shape, &bytes).unwrap().take_floats();
                prop_assert_eq!(taken.map(bits), (datatype != Datatype::Bytes).then(|| bits(numbers)));
                if let Ok(cells) = cells(&elements) {
                    prop_assert_eq!(cells.len(), elements.len());
                } else {
                    prop_assert_eq!(datatype, Datatype::Bytes);
                }
            }
        }
    }
}
