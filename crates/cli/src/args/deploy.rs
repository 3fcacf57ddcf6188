//! A model that came from elsewhere, into the registry, to an endpoint, and away.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// The model; it is made when there is none of this name
    pub model: String,
    /// The model file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What the version is, in words
    #[arg(long, default_value = "")]
    pub description: String,
}

/// `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The model
    pub model: String,
    /// The version that gets the alias [default: the one that has it, or else the newest]
    // `version` itself is the name of --version
    #[arg(id = "model_version", long = "version", value_name = "N")]
    pub version: Option<u64>,
    /// The alias that the endpoint follows
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// The endpoint's name [default: the model's]
    #[arg(long = "as", value_name = "ENDPOINT")]
    pub endpoint: Option<String>,
    /// Why, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `undeploy`.
#[derive(Debug, Args)]
pub struct UndeployArgs {
    /// The endpoint
    pub endpoint: String,
}
