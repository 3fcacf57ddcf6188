//! Conditions on one value.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use crate::{Error, Result};

/// A pattern longer than this is no search but an attack.
const PATTERN_CHARS_MAX: usize = 10_000;
/// Memory of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// A condition on a number. NaN is equal to nothing and different from everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberTest {
    /// `=`
    Equal(f64),
    /// `!=`
    NotEqual(f64),
    /// `>`
    Above(f64),
    /// `>=`
    AtLeast(f64),
    /// `<`
    Below(f64),
    /// `<=`
    AtMost(f64),
}

impl NumberTest {
    /// Whether it holds.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "that is what is asked")]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Equal(bound) => value == bound,
            Self::NotEqual(bound) => value != bound,
            Self::Above(bound) => value > bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Below(bound) => value < bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A condition on a text. What is absent meets [`IsNull`](Self::IsNull) and nothing else.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `LIKE` or `ILIKE`
    Like(Pattern),
    /// `IN`
    In(HashSet<String>),
    /// `NOT IN`
    NotIn(HashSet<String>),
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

impl TextTest {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return matches!(self, Self::IsNull) };
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::NotEqual(other) => value != other,
            Self::Like(pattern) => pattern.matches(value),
            Self::In(wanted) => wanted.contains(value),
            Self::NotIn(others) => !others.contains(value),
            Self::IsNull => false,
            Self::IsNotNull => true,
        }
    }
}

/// A pattern of SQL: `%` stands for any text, `_` for one character. Matching takes time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Where upper and lower case differ.
    ///
    /// # Errors
    /// [`Error::Pattern`] when it is too long.
    pub fn like(pattern: &str) -> Result<Self> {
        Self::of(pattern, false)
    }

    /// Where they do not.
    ///
    /// # Errors
    /// As [`Self::like`].
    pub fn ilike(pattern: &str) -> Result<Self> {
        Self::of(pattern, true)
    }

    fn of(pattern: &str, ignore_case: bool) -> Result<Self> {
        let too_long = || Error::Pattern { chars: pattern.chars().count(), most: PATTERN_CHARS_MAX };
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            return Err(too_long());
        }
        let mut text = String::from("^");
        let mut plain = [0; 4];
        for letter in pattern.chars() {
            match letter {
                '%' => text.push_str(".*"),
                '_' => text.push('.'),
                other => text.push_str(&regex::escape(other.encode_utf8(&mut plain))),
            }
        }
        text.push('$');
        let built = RegexBuilder::new(&text)
            .case_insensitive(ignore_case)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_BYTES_MAX)
            .build();
        built.map(Self).map_err(|_| too_long())
    }

    /// Whether a text matches, all of it.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
