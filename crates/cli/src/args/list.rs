//! Listings: of what there is, and how they are printed.

use clap::{Args, ValueEnum};

/// How a listing is printed.
#[derive(Debug, Args, Clone, Copy)]
pub struct Listing {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    pub kind: ListKind,
    /// Only those of one object: files of a source, versions of a model, training runs of an experiment, tasks of a
    /// workflow run, reports or alerts of a monitor, audit entries of a subject such as endpoint:NAME
    pub of: Option<String>,
    /// The most rows
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListKind {
    /// Declared sources and what landed of them
    Sources,
    /// Lake tables with versions, rows and bytes
    Tables,
    /// Files that were read
    Files,
    /// Feature views with freshness
    Features,
    /// Models with the version that is champion
    Models,
    /// Versions of a model
    Versions,
    /// Training runs with their metrics
    Experiments,
    /// Endpoints and the versions behind them
    Endpoints,
    /// Workflow runs
    Runs,
    /// Tasks of a workflow run, the newest unless one is named
    Tasks,
    /// What monitors found, by window
    Reports,
    /// Alerts
    Alerts,
    /// The audit log, newest first
    Audit,
}
