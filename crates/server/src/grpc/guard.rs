//! Who asks: every call passes here before a service sees it.
//!
//! The port speaks HTTP/2 without negotiation, which no browser does, so the checks of host and origin that the HTTP
//! guard needs against tricked browsers have nothing to do here.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mainspring_catalog::Principal;
use mainspring_govern::Unauthenticated;
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;

use crate::app::App;
use crate::http::Caller;

/// Like `/health` over HTTP, health is told to anybody: load balancers have no key.
const OPEN_TO_ALL: &str = "/grpc.health.v1.Health/";

/// Names the caller to what follows, or refuses the call.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(OPEN_TO_ALL) {
        return next.run(request).await;
    }
    match admit(&app, &request) {
        Ok(principal) => {
            request.extensions_mut().insert(Caller { principal });
            next.run(request).await
        }
        Err(refused) => refused.into_http::<axum::body::Body>().into_response(),
    }
}

fn admit(app: &App, request: &Request) -> Result<Principal, Status> {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    // without a known peer nobody is taken for the local owner
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let credentials = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    app.identity.authenticate(credentials, peer).map_err(|error| match error {
        Unauthenticated::TooManyAttempts { .. } => Status::resource_exhausted(error.to_string()),
        _ => Status::unauthenticated(error.to_string()),
    })
}
