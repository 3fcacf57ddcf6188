//! The folder: made, taken over from another tool, applied, described.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `import`.
#[derive(Debug, Subcommand)]
pub enum ImportVerb {
    /// A Feast repository: its entities, file sources, push sources, feature views and feature services
    #[command(after_help = "Examples:\n  mainspring -C rides import feast ../feast_repo/feature_repo")]
    Feast {
        /// The folder of feature_store.yaml, whose registry is a file
        #[arg(value_hint = ValueHint::DirPath)]
        repo: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// A CSV, JSON lines or Parquet file to make the project from
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,
    /// The column to predict: the label
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub label: Option<String>,
    /// The column that says when a row happened: its event time
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub time: Option<String>,
    /// A column of the key, by which rows are told apart; repeat for several
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub key: Vec<String>,
    /// The project's name [default: the folder's]
    #[arg(long)]
    pub name: Option<String>,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Apply destructive and breaking changes without asking
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The kind of object: project, source, entity, feature_view, feature_service, model, endpoint, monitor or workflow
    pub kind: Option<String>,
    /// Write every schema to this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "kind")]
    pub out: Option<PathBuf>,
}
