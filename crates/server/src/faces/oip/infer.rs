//! One inference, whichever form the request came in and the answer goes out.

use mainspring_catalog::Principal;
use mainspring_serve::{Answer, Deployed, Endpoint, Error};

use super::output::{self, Wanted};
use super::question;
use super::request::Request;

/// What came of it.
pub(super) struct Inferred {
    pub(super) answer: Answer,
    pub(super) id: Option<String>,
    pub(super) wanted: Vec<Wanted>,
}

/// Answers a request. `read` makes it from the protocol's bytes, once there is a place for it.
///
/// # Errors
/// When the request is not one, or not one of this model, or cannot be answered.
pub(super) async fn infer<'a>(
    endpoint: &Endpoint,
    caller: &Principal,
    version: Option<&str>,
    read: impl FnOnce() -> Result<Request<'a>, Error>,
) -> Result<Inferred, Error> {
    let mut asked = None;
    let answer = endpoint
        .answer(caller, |deployed, rows_max| {
            same_version(endpoint, deployed, version)?;
            let request = read()?;
            let wanted = output::wanted(&request.outputs, request.binary_output, deployed)?;
            asked = Some((request.id.map(Into::into), wanted));
            question::of(request.inputs, request.as_of, &deployed.plan, endpoint.name(), rows_max)
        })
        .await?;
    let (id, wanted) = asked.unwrap_or_default();
    Ok(Inferred { answer, id, wanted })
}

/// A version that is named must be the one that answers.
pub(super) fn same_version(endpoint: &Endpoint, deployed: &Deployed, asked: Option<&str>) -> Result<(), Error> {
    let serving = deployed.live.as_ref().map(|live| live.version_text.as_str());
    match asked {
        Some(asked) if serving != Some(asked) => Err(Error::OtherVersion {
            endpoint: endpoint.name().to_owned(),
            asked: asked.to_owned(),
            serving: serving.map_or_else(|| "none".to_owned(), |version| format!("version {version}")),
        }),
        _ => Ok(()),
    }
}
