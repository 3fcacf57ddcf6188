//! What is done to data: run, query, check, label, monitor, maintain.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A workflow, or sources, feature views, models and monitors, each with what it needs [default: everything]
    #[arg(value_name = "NAME")]
    pub targets: Vec<String>,
    /// Do tasks even when their inputs have not changed: files are read again (what has landed does not land twice),
    /// features computed and written online anew, models trained
    #[arg(long)]
    pub force: bool,
    /// How many tasks may be done at once
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub parallel: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// A SQL query, SHOW TABLES, or DESCRIBE and a table; tables are called schema.table, as in sources.flights, and a
    /// bare name is looked for in sources, then in features
    pub sql: String,
    /// Read a table as it was in a version; repeat for several
    #[arg(long, value_name = "TABLE=VERSION")]
    pub pin: Vec<String>,
    /// Read every table as it was at a moment, as in 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    /// The most rows
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub limit: usize,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// `features`.
#[derive(Debug, Subcommand)]
pub enum FeaturesVerb {
    /// Recompute offline what was served online, and show where they differ
    Check {
        /// The endpoint whose predictions are checked [default: all]
        endpoint: Option<String>,
        /// How many predictions to check
        #[arg(long, default_value_t = 1000, value_name = "N")]
        sample: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `labels`.
#[derive(Debug, Subcommand)]
pub enum LabelsVerb {
    /// Push labels from a file; those that are known already are passed over
    #[command(
        after_help = "Examples:\n  mainspring labels push returns labels.jsonl\n\nA line of the file is a label, by the prediction's id or by the key of the model's observations:\n  {\"prediction_id\": \"0198...\", \"label\": true}\n  {\"key\": {\"order_id\": \"o99999\"}, \"label\": true, \"known_at\": \"2025-07-20T00:00:00Z\"}"
    )]
    Push {
        /// The model
        model: String,
        /// A file of JSON lines
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `monitor`.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// The monitor [default: all]
    pub monitor: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `maintain`.
#[derive(Debug, Args)]
pub struct MaintainArgs {
    /// How long files that the newest version does not need are kept, for readers of old versions
    #[arg(long, default_value = "7d", value_name = "SPAN")]
    pub keep: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
