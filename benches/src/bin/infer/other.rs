//! `infer --drive ADDRESS --path PATH --body FILE --connections N --seconds S`: only the load generator, for a server that a
//! script started. Prints one line of JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::load::{self, Call};

pub struct Drive {
    address: SocketAddr,
    path: String,
    body: PathBuf,
    connections: usize,
    seconds: u64,
}

impl Drive {
    /// What the command line asks to be driven, if it does.
    pub fn asked() -> anyhow::Result<Option<Self>> {
        let mut given = std::env::args().skip(1).peekable();
        if given.peek().is_none_or(|flag| flag != "--drive") {
            return Ok(None);
        }
        let (mut address, mut path, mut body, mut connections, mut seconds) = (None, None, None, 1, 5);
        while let Some(flag) = given.next() {
            let value = given.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--drive" => address = Some(value.parse()?),
                "--path" => path = Some(value),
                "--body" => body = Some(value.into()),
                "--connections" => connections = value.parse()?,
                "--seconds" => seconds = value.parse()?,
                _ => bail!("{flag} is not known beside --drive"),
            }
        }
        Ok(Some(Self {
            address: address.context("--drive needs an address")?,
            path: path.context("--path is missing")?,
            body: body.context("--body is missing")?,
            connections,
            seconds,
        }))
    }

    pub fn run(&self) -> anyhow::Result<()> {
        let body = std::fs::read_to_string(&self.body)?;
        let call = Call::json(self.address, &self.path, &body);
        let took = Duration::from_secs(self.seconds);
        let measured = super::runtime()?.block_on(load::drive(self.address, &call, self.connections, took))?;
        println!(
            "{}",
            serde_json::json!({ "per_second": measured.per_second(), "p99_us": measured.quantile_ms(0.99) * 1_000.0 })
        );
        Ok(())
    }
}
