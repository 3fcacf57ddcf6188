//! How this crate fails.

/// What can be wrong with an artifact or with what it is asked to score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are more than an artifact may have.
    #[error("the model artifact has {found} bytes, more than the {most} allowed")]
    TooLarge {
        /// The bytes there are.
        found: usize,
        /// The most allowed.
        most: usize,
    },
    /// The bytes are not the JSON of an artifact.
    #[error("the model artifact cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The artifact is of a format this version does not know.
    #[error("the model artifact has format {found}, this version of mainspring reads format {known}; use a newer one")]
    Format {
        /// The format found.
        found: u32,
        /// The format that is read.
        known: u32,
    },
    /// The artifact breaks one of its own rules.
    #[error("the model artifact is not valid: {0}")]
    Invalid(String),
    /// The bytes are a model of another program that cannot be run here.
    #[error("the {format} model cannot be run here: {reason}")]
    Import {
        /// Whose format it is.
        format: &'static str,
        /// What is in the way, and what would mend it.
        reason: String,
    },
    /// An input is missing from a batch.
    #[error("the model needs the input `{0}`, which the rows do not have")]
    MissingInput(String),
    /// A column has a type that cannot be encoded.
    #[error("the input `{input}` comes as {found}, which cannot be turned into a number; cast the column before")]
    InputType {
        /// The input.
        input: String,
        /// The Arrow type that came.
        found: String,
    },
    /// A matrix or output has another size than the model's.
    #[error("the model takes {expected} {what}, {found} were given")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// What the model has.
        expected: usize,
        /// What came.
        found: usize,
    },
}
