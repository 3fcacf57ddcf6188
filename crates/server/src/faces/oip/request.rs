//! A request for an inference, whichever form it came in.

use std::borrow::Cow;

use mainspring_serve::Error;

use super::datatype::Datatype;
use super::tensor::Elements;

/// What is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    /// The moment as of which features are read, in microseconds since 1970.
    pub(super) as_of: Option<i64>,
    pub(super) inputs: Vec<Input<'a>>,
    /// Empty for those that the model answers with by default.
    pub(super) outputs: Vec<Requested<'a>>,
    /// Whether outputs that do not say are wanted as bytes.
    pub(super) binary_output: bool,
}

/// A tensor that a request brings.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) shape: Vec<u64>,
    pub(super) datatype: Datatype,
    pub(super) elements: Elements<'a>,
    /// The lengths of the nested lists it came in, from the outside in; one length or none for a flat one.
    pub(super) lengths: Vec<usize>,
}

/// A tensor that a request asks for.
#[derive(Debug)]
pub(super) struct Requested<'a> {
    pub(super) name: Cow<'a, str>,
    /// Whether it is wanted as bytes, when it says.
    pub(super) binary: Option<bool>,
    /// Whether it is wanted as the classification extension has it, which no model answers with.
    pub(super) as_classification: bool,
}

/// Reads the parameter `as_of`.
///
/// # Errors
/// When the text is no time.
pub(super) fn as_of(given: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(text) = given else { return Ok(None) };
    let moment = mainspring_features::timestamp(text);
    moment.map(Some).ok_or_else(|| not_a_time(&format!("\"{text}\"")))
}

/// The refusal of an `as_of` that is no time.
pub(super) fn not_a_time(given: &str) -> Error {
    Error::Invalid(format!("the parameter `as_of` is {given}, which is no time; write it as \"2013-07-01T12:00:00Z\""))
}

/// The refusal of a tensor in shared memory: we do not share memory with clients.
pub(super) fn in_shared_memory(what: &str, name: &str) -> Error {
    Error::Invalid(format!(
        "{what} `{name}` is to be in shared memory, which this server does not share; send it with the request"
    ))
}
