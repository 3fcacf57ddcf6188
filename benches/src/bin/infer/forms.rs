//! The same rows in the three forms of the protocol: JSON, bytes over HTTP, gRPC; and gRPC to a service that does nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::load::{self, Call, Measured};
use super::{Arguments, grpc, model, ours};

/// The least that bytes and gRPC may reach of what JSON does, for one row.
const ONE_ROW_BAR: f64 = 1.0;
/// The same for a batch.
const BATCH_BAR: f64 = 5.0;
/// Rows of a batch.
const BATCH: usize = 1_024;

/// The service that does nothing, which no bar is for.
const BARES: [&str; 2] = ["bare tonic, FP64", "bare tonic, one channel"];

/// A form, where it is asked, and what.
struct Form {
    name: &'static str,
    address: SocketAddr,
    call: Call,
}

fn forms(server: &ours::Ours, bare_grpc: SocketAddr, rows: usize) -> anyhow::Result<Vec<Form>> {
    let numbers = model::numbers(rows);
    let doubles: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    #[expect(clippy::cast_possible_truncation, reason = "what a client with short floats sends")]
    let singles: Vec<u8> = numbers.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    let http = |name, call| Form { name, address: server.address, call };
    let binary = |datatype: &str, tensor: &[u8]| {
        let head = model::binary_head(rows, datatype, tensor.len());
        let headers =
            format!("content-type: application/octet-stream\r\ninference-header-content-length: {}\r\n", head.len());
        Call::post(server.address, ours::PATH, &headers, &[head.as_bytes(), tensor].concat())
    };
    let call = |address, datatype: &str, tensor: &[u8]| grpc::Call::infer(address, datatype, rows, tensor.to_vec());
    let grpc = |name, address, call| Form { name, address, call };
    let (own, bare) = (server.grpc_address, bare_grpc);
    Ok(vec![
        http("JSON", Call::json(server.address, ours::PATH, &model::request(rows))),
        http("HTTP, bytes, FP64", binary("FP64", &doubles)),
        http("HTTP, bytes, FP32", binary("FP32", &singles)),
        grpc("gRPC, FP64", own, Call::Grpc(call(own, "FP64", &doubles)?)),
        grpc("gRPC, FP32", own, Call::Grpc(call(own, "FP32", &singles)?)),
        grpc("gRPC, FP64, one channel", own, Call::Channel(call(own, "FP64", &doubles)?)),
        grpc(BARES[0], bare, Call::Grpc(call(bare, "FP64", &doubles)?)),
        grpc(BARES[1], bare, Call::Channel(call(bare, "FP64", &doubles)?)),
    ])
}

/// Measures the forms against JSON; whether they reach their bars.
pub fn compare(
    clients: &Runtime,
    title: &str,
    server: &ours::Ours,
    bare_grpc: SocketAddr,
    arguments: &Arguments,
) -> anyhow::Result<bool> {
    let mut holds = true;
    for (rows, bar, connections) in [(1, ONE_ROW_BAR, [1, 16, 64]), (BATCH, BATCH_BAR, [1, 4, 16])] {
        println!("\n{title}, {rows} rows a request; JSON is the measure");
        println!("{:>11}  {:<24} {:>10} {:>8} {:>10}", "under way", "form", "requests/s", "ratio", "p99 us");
        let forms = forms(server, bare_grpc, rows)?;
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
                holds &= form.name == "JSON" || BARES.contains(&form.name) || ratio >= bar;
            }
        }
    }
    Ok(holds)
}
