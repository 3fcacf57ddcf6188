//! The way in of the gRPC port: every call passes the guard here. One for a prediction then goes to its handler at once, all
//! others through the router, for the reason that [the other port](crate::front) has.
//!
//! The port speaks HTTP/2 without negotiation, which no browser does, so the checks of host and origin that the HTTP
//! guard needs against tricked browsers have nothing to do here.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request, Response, Uri, header};
use futures::FutureExt;
use hyper::body::Incoming;
use mainspring_catalog::Principal;
use mainspring_govern::Unauthenticated;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::app::App;
use crate::faces::{Served, oip};
use crate::http::Caller;

/// Like `/health` over HTTP, health is told to anybody: load balancers have no key.
const OPEN_TO_ALL: &str = "/grpc.health.v1.Health/";
/// The longest until a call is answered, or begins to be; as over HTTP.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The header in which a caller says how long it waits.
const TIMEOUT: &str = "grpc-timeout";
/// The headers of an answer that is nothing but an error: its code and its words.
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
/// Longer paths are cut: a message is for a person, and clients take headers of a few kilobytes.
const SHOWN_CHARS: usize = 200;

/// What answers the calls of the port. Clones share it.
#[derive(Clone)]
pub(super) struct Front(Arc<Parts>);

struct Parts {
    app: App,
    served: Served,
    router: Router,
}

impl Front {
    /// The guard of an app before its services.
    pub(super) fn new(app: App, router: Router) -> Self {
        Self(Arc::new(Parts { served: crate::routes::served(&app), app, router }))
    }

    /// Answers a call that came from a peer; also when its handler panics.
    pub(super) async fn answer(self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let patience = patience(request.headers());
        let answering = AssertUnwindSafe(self.0.answer(peer.ip(), request)).catch_unwind();
        match tokio::time::timeout(patience, answering).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => {
                tracing::error!("a gRPC handler panicked");
                Status::internal("the server broke down over this call; its log has more").into_http()
            }
            Err(_) => Status::deadline_exceeded(format!("the call was not answered within {patience:?}")).into_http(),
        }
    }
}

impl Parts {
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if path.starts_with(OPEN_TO_ALL) {
            return self.route(request).await;
        }
        let principal = match self.admit(peer, request.headers()) {
            Ok(principal) => principal,
            Err(refused) => return refused.into_http(),
        };
        if path == oip::INFER_CALL {
            return oip::infer_call_at_once(&self.served, &principal, request).await;
        }
        let mut request = request;
        request.extensions_mut().insert(Caller { principal });
        self.route(request).await
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let asked = request.uri().clone();
        let answered: Result<_, Infallible> = self.router.clone().call(request).await;
        named_if_unknown(answered.unwrap_or_else(|never| match never {}).map(Body::new), &asked)
    }

    fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Principal, Status> {
        let credentials = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.app.identity.authenticate(credentials, peer).map_err(|error| match error {
            Unauthenticated::TooManyAttempts { .. } => Status::resource_exhausted(error.to_string()),
            _ => Status::unauthenticated(error.to_string()),
        })
    }
}

/// An answer. The router and the generated services say of a method that they do not have nothing but a code; that gets words
/// which name the method.
fn named_if_unknown(answered: Response<Body>, asked: &Uri) -> Response<Body> {
    let headers = answered.headers();
    let code = headers.get(STATUS).map(|code| Code::from_bytes(code.as_bytes()));
    if code != Some(Code::Unimplemented) || headers.contains_key(MESSAGE) {
        return answered;
    }
    let path: String = asked.path().chars().take(SHOWN_CHARS).collect();
    let words = format!(
        "{path} is not served here; this port has the Open Inference Protocol (without shared memory, tracing and log \
         settings), Arrow Flight SQL, health and reflection"
    );
    Status::unimplemented(words).into_http()
}

/// How long a call may take: as long as its caller waits, at most [`ANSWER_MAX`]. What is not of gRPC's form, up to eight
/// digits and a unit, says nothing.
fn patience(headers: &HeaderMap) -> Duration {
    let said = || {
        let text = headers.get(TIMEOUT)?.to_str().ok()?;
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u32 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
        let unit = match unit {
            "H" => Duration::from_secs(3_600),
            "M" => Duration::from_secs(60),
            "S" => Duration::from_secs(1),
            "m" => Duration::from_millis(1),
            "u" => Duration::from_micros(1),
            "n" => Duration::from_nanos(1),
            _ => return None,
        };
        Some(unit.saturating_mul(number))
    };
    said().map_or(ANSWER_MAX, |said| said.min(ANSWER_MAX))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_method_that_is_not_there_is_named_and_other_answers_stay() {
        let asked = Uri::from_static("/inference.GRPCInferenceService/SystemSharedMemoryStatus");
        let said = |status: Status| {
            let answered = named_if_unknown(status.into_http(), &asked);
            let status = Status::from_header_map(answered.headers()).unwrap();
            (status.code(), status.message().to_owned())
        };

        let (code, words) = said(Status::unimplemented(""));
        assert_eq!(code, Code::Unimplemented);
        assert!(words.starts_with(&format!("{} is not served here", asked.path())), "{words}");

        assert_eq!(said(Status::unimplemented("no writing")), (Code::Unimplemented, "no writing".to_owned()));
        assert_eq!(said(Status::not_found("")), (Code::NotFound, String::new()));
        assert!(named_if_unknown(Response::new(Body::empty()), &asked).headers().is_empty());

        let long = Uri::try_from(format!("/{}", "a".repeat(9_000))).unwrap();
        let answered = named_if_unknown(Status::unimplemented("").into_http(), &long);
        assert!(answered.headers()[MESSAGE].len() < 1_000);
    }

    #[test]
    fn a_caller_says_how_long_it_waits_and_never_longer_than_others_do() {
        let of = |text: &'static str| {
            patience(&HeaderMap::from_iter([(
                header::HeaderName::from_static(TIMEOUT),
                HeaderValue::from_static(text),
            )]))
        };

        assert_eq!(patience(&HeaderMap::new()), ANSWER_MAX);
        assert_eq!(of("250m"), Duration::from_millis(250));
        assert_eq!(of("3S"), Duration::from_secs(3));
        assert_eq!(of("12345678n"), Duration::from_nanos(12_345_678));
        for beyond_or_nothing in ["2H", "99999999H", "123456789n", "5", "m", "", "5x", "-5m", "5 m"] {
            assert_eq!(of(beyond_or_nothing), ANSWER_MAX, "{beyond_or_nothing}");
        }
    }
}
