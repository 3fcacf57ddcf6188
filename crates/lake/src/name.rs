//! Names of tables.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The schemas of the lake, in the order in which data flows through them.
pub const SCHEMAS: [&str; 6] = ["sources", "quarantine", "features", "training", "predictions", "monitoring"];

/// A table of the lake; written `sources.flights`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    name: String,
}

impl TableName {
    /// The table of a schema and a name.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] when a part has other characters than lower case letters, digits and `_`: parts are folders.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        let (schema, name) = (schema.into(), name.into());
        let is_fine = |part: &str| {
            !part.is_empty()
                && part.len() <= 128
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if is_fine(&schema) && is_fine(&name) {
            Ok(Self { schema, name })
        } else {
            Err(Error::Name { text: format!("{schema}.{name}") })
        }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The name within the schema.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (schema, name) = text.split_once('.').ok_or_else(|| Error::Name { text: text.to_owned() })?;
        Self::new(schema, name)
    }
}

impl TryFrom<String> for TableName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_lake_are_refused() {
        for text in
            ["flights", "a.b.c", "../etc.passwd", "sources...", "sources.", "sources.a/b", "Sources.x", "sources.%2e"]
        {
            assert!(text.parse::<TableName>().is_err(), "{text}");
        }
        assert_eq!("sources.flights".parse::<TableName>().unwrap().to_string(), "sources.flights");
    }
}
