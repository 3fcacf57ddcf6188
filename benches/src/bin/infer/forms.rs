//! The same rows in the three forms of the protocol: JSON, bytes over HTTP, gRPC; and the last two to services that do
//! nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::load::{self, Call, Measured};
use super::{Arguments, bare, grpc, model, ours};

/// The least that bytes and gRPC may reach of what JSON does, for one row.
const ONE_ROW_BAR: f64 = 1.0;
/// The same for a batch.
const BATCH_BAR: f64 = 5.0;
/// Rows of a batch.
const BATCH: usize = 1_024;

/// The measure.
const JSON: &str = "JSON";
/// What no bar is for: numbers that take twice the JSON and as many bytes, and the services that do nothing.
const ASIDE: [&str; 4] = ["JSON, all digits", "bare axum, bytes, FP64", "bare tonic, FP64", "bare tonic, one channel"];

/// A form, where it is asked, and what.
struct Form {
    name: &'static str,
    address: SocketAddr,
    call: Call,
}

/// Services that take the same bytes and answer a constant.
#[derive(Clone, Copy)]
pub struct Bares {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
}

fn forms(server: &ours::Ours, bares: Bares, rows: usize) -> anyhow::Result<Vec<Form>> {
    let numbers = model::numbers(rows);
    let doubles: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    #[expect(clippy::cast_possible_truncation, reason = "what a client with short floats sends")]
    let singles: Vec<u8> = numbers.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    let binary = |address, path, datatype: &str, tensor: &[u8]| {
        let head = model::binary_head(rows, datatype, tensor.len());
        let headers =
            format!("content-type: application/octet-stream\r\ninference-header-content-length: {}\r\n", head.len());
        Call::post(address, path, &headers, &[head.as_bytes(), tensor].concat())
    };
    let call = |address, datatype: &str, tensor: &[u8]| grpc::Call::infer(address, datatype, rows, tensor.to_vec());
    let at = |name, address, call| Form { name, address, call };
    let bytes = |datatype: &str, tensor: &[u8]| binary(server.address, ours::PATH, datatype, tensor);
    let (own, bare) = (server.grpc_address, bares.grpc);
    let bare_bytes = binary(bares.http, bare::BYTES_PATH, "FP64", &doubles);
    Ok(vec![
        at(JSON, server.address, Call::json(server.address, ours::PATH, &model::request(&numbers))),
        at(ASIDE[0], server.address, Call::json(server.address, ours::PATH, &model::request(&model::all_digits(rows)))),
        at("HTTP, bytes, FP64", server.address, bytes("FP64", &doubles)),
        at("HTTP, bytes, FP32", server.address, bytes("FP32", &singles)),
        at(ASIDE[1], bares.http, bare_bytes),
        at("gRPC, FP64", own, Call::Grpc(call(own, "FP64", &doubles)?)),
        at("gRPC, FP32", own, Call::Grpc(call(own, "FP32", &singles)?)),
        at("gRPC, FP64, one channel", own, Call::Channel(call(own, "FP64", &doubles)?)),
        at(ASIDE[2], bare, Call::Grpc(call(bare, "FP64", &doubles)?)),
        at(ASIDE[3], bare, Call::Channel(call(bare, "FP64", &doubles)?)),
    ])
}

/// Measures the forms against JSON; whether they reach their bars.
pub fn compare(
    clients: &Runtime,
    title: &str,
    server: &ours::Ours,
    bares: Bares,
    arguments: &Arguments,
) -> anyhow::Result<bool> {
    let mut holds = true;
    for (rows, bar, connections) in [(1, ONE_ROW_BAR, [1, 16, 64]), (BATCH, BATCH_BAR, [1, 4, 16])] {
        println!("\n{title}, {rows} rows a request; JSON is the measure");
        println!("{:>11}  {:<24} {:>10} {:>8} {:>10}", "under way", "form", "requests/s", "ratio", "p99 us");
        let forms = forms(server, bares, rows)?;
        for connections in connections {
            let mut measured = forms.iter().map(|_| Measured::new()).collect::<anyhow::Result<Vec<_>>>()?;
            for round in 0..=arguments.rounds {
                for (form, sum) in forms.iter().zip(&mut measured) {
                    let took = Duration::from_secs(if round == 0 { 1 } else { arguments.seconds });
                    let one = clients.block_on(load::drive(form.address, &form.call, connections, took))?;
                    // the first round only warms up
                    if round > 0 {
                        sum.add(&one)?;
                    }
                }
            }
            let json = measured.first().map_or(f64::NAN, Measured::per_second);
            for (form, sum) in forms.iter().zip(&measured) {
                let ratio = sum.per_second() / json;
                println!(
                    "{connections:>11}  {:<24} {:>10.0} {ratio:>8.2} {:>10.0}",
                    form.name,
                    sum.per_second(),
                    sum.quantile_ms(0.99) * 1_000.0
                );
                holds &= form.name == JSON || ASIDE.contains(&form.name) || ratio >= bar;
            }
        }
    }
    Ok(holds)
}
