//! What axum alone can do: parse the same JSON, or take the same bytes, and answer a constant.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub const PATH: &str = "/infer";
pub const BYTES_PATH: &str = "/bytes";

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing is what is measured")]
struct Request {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing is what is measured")]
struct Input {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    data: Vec<f64>,
}

#[derive(Serialize)]
struct Response {
    model_name: &'static str,
    outputs: [Output; 1],
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 1],
    data: [f64; 1],
}

async fn infer(Json(_): Json<Request>) -> Json<Response> {
    let output = Output { name: "prediction", datatype: "FP64", shape: [1], data: [0.24] };
    Json(Response { model_name: "bare", outputs: [output] })
}

async fn bytes(_: Bytes) -> &'static [u8] {
    &[0; 8]
}

pub async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    let routes = Router::new().route(PATH, post(infer)).route(BYTES_PATH, post(bytes));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}
