//! What listens: the server, and the demo that starts one.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::address::address;
use super::list::Listing;

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The address of the HTTP port [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS", env = "MAINSPRING_LISTEN", hide_env_values = true, value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// The address of the gRPC port; without it there is none
    #[arg(long, value_name = "ADDRESS", env = "MAINSPRING_GRPC", hide_env_values = true, value_parser = address)]
    pub grpc: Option<SocketAddr>,

    /// Send webhooks also to this machine and to private addresses [default: only to public ones]
    #[arg(long, env = "MAINSPRING_ALLOW_PRIVATE_WEBHOOKS", hide_env_values = true, value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub allow_private_webhooks: bool,
}

/// `config`: what a server would be told, and how to print what holds.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What a server would be told.
    #[command(flatten)]
    pub server: ServeArgs,
    /// How to print.
    #[command(flatten)]
    pub shown: Listing,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The project folder to make
    #[arg(long, value_name = "DIR", default_value = "flights-demo", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// End after the summary instead of serving on: exit status 0 only if every step held
    #[arg(long)]
    pub once: bool,
    /// Write the figures of the run to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// The address of the HTTP port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878", value_parser = address)]
    pub listen: SocketAddr,
    /// Replay only so many days after 30 June; the whole half year by default
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
}
