//! What can be said on the command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "mainspring",
    version,
    about = "A whole machine-learning platform in one program",
    long_about = "A whole machine-learning platform in one program.\n\n\
        A folder of declarations says where raw rows come from, which features are made of them, which models learn \
        from those, and under which endpoints they answer. `plan` shows what would change, `apply` makes it so, `run` \
        brings everything up to date, `serve` answers requests and shows the console.",
    after_help = "Start here:\n  \
        mainspring demo                            a year of real flights, end to end, in three minutes\n  \
        mainspring init --from data.csv            a project folder from your own file\n  \
        mainspring apply && mainspring run && mainspring serve\n\n\
        Everything a project knows lies in its folder, under .mainspring/.",
    propagate_version = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Work in this folder, as if started there
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,

    /// The target in mainspring.yaml to run against
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "MAINSPRING_TARGET",
        hide_env_values = true,
        default_value = "dev"
    )]
    pub target: String,

    /// Memory for queries, for example 512MiB [default: a quarter of the machine's]
    #[arg(long, global = true, value_name = "SIZE", env = "MAINSPRING_MEMORY", hide_env_values = true)]
    pub memory: Option<String>,

    /// Say more: -v what is done, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a small commented project, or one made from a data file
    #[command(
        after_help = "Examples:\n  mainspring -C shop init\n  mainspring -C shop init --from orders.csv --label returned --time ordered_at --key order_id"
    )]
    Init(InitArgs),
    /// Turn another tool's project into a project folder
    #[command(subcommand)]
    Import(ImportVerb),
    /// Check the folder: every error with file, line, rule and mending edit
    Validate(Listing),
    /// Show what `apply` would change: exit status 0 nothing, 2 changes, 1 error
    #[command(after_help = "Examples:\n  mainspring plan\n  mainspring plan --json | jq '.changes[].object'")]
    Plan(Listing),
    /// Make the declared objects the applied ones
    Apply(ApplyArgs),
    /// Bring targets up to date: ingest, features, models, monitors, in the order of the graph
    #[command(
        after_help = "Examples:\n  mainspring run                          everything\n  mainspring run arrival_delay            a model and everything it needs\n  mainspring run arrival_delay --force    train anew"
    )]
    Run(RunArgs),
    /// Answer predictions over HTTP and show the web console
    #[command(
        after_help = "Examples:\n  mainspring serve\n  mainspring serve --listen 127.0.0.1:0         a free port, shown on the first line\n  mainspring serve --listen 0.0.0.0:7878        only once there is an API key\n  mainspring serve --grpc 127.0.0.1:7879           gRPC beside it"
    )]
    Serve(ServeArgs),
    /// Where everything stands, in one screen
    Status(Listing),
    /// List objects of a kind
    #[command(
        after_help = "Examples:\n  mainspring list tables\n  mainspring list versions arrival_delay\n  mainspring list audit --limit 20 --json"
    )]
    List(ListArgs),
    /// Run a query over the project's tables
    #[command(
        after_help = "Examples:\n  mainspring query \"select count(*) from sources.flights\"\n  mainspring query \"select * from quarantine.flights\" --json\n  mainspring query \"select count(*) from sources.flights\" --pin sources.flights=3"
    )]
    Query(QueryArgs),
    /// Look after features
    #[command(subcommand)]
    Features(FeaturesVerb),
    /// Register a LightGBM or XGBoost model file as a model's next version
    #[command(
        after_help = "Examples:\n  mainspring register churn model.txt\n  mainspring register churn model.ubj --description 'trained on May'\n\nFormats: LightGBM text, XGBoost JSON and UBJSON, as `save_model` of either library writes them,\nand the skops files of LightGBM's estimators, as MLflow writes them."
    )]
    Register(RegisterArgs),
    /// Put a registered model behind an endpoint, whichever way its versions came in
    #[command(
        disable_version_flag = true,
        after_help = "Examples:\n  mainspring deploy churn                     the version with the alias champion, or else the newest\n  mainspring deploy churn --version 3\n  mainspring deploy churn --alias challenger --as churn_next\n\nIn a project the endpoint's file is written and applied; without one the endpoint is kept in the catalog."
    )]
    Deploy(DeployArgs),
    /// Take away an endpoint that was asked for; the versions of its model stay
    #[command(
        after_help = "Examples:\n  mainspring undeploy churn\n\nIt takes away what `deploy` made where there is no project, and what clients loaded. An endpoint that a\nproject declares goes with its file: remove endpoints/NAME.yaml and `mainspring apply`."
    )]
    Undeploy(UndeployArgs),
    /// Keep notes and tags of model versions
    #[command(subcommand)]
    Versions(VersionsVerb),
    /// Give a model version an alias, if its gates allow it
    #[command(after_help = "Examples:\n  mainspring promote arrival_delay 4 --reason 'better at night'")]
    Promote(PromoteArgs),
    /// Give an alias back to the version that had it before
    #[command(
        after_help = "Examples:\n  mainspring rollback arrival_delay\n  mainspring rollback arrival_delay --to 2 --reason 'complaints from the gate'"
    )]
    Rollback(RollbackArgs),
    /// Tell what came of predictions
    #[command(subcommand)]
    Labels(LabelsVerb),
    /// Evaluate monitors and show drift and quality by window
    #[command(after_help = "Examples:\n  mainspring monitor\n  mainspring monitor arrival_delay --json")]
    Monitor(MonitorArgs),
    /// Look after the audit log
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(KeyVerb),
    /// Compact small files of the lake and remove old ones
    #[command(after_help = "Examples:\n  mainspring maintain\n  mainspring maintain --keep 30d")]
    Maintain(MaintainArgs),
    /// Print the effective configuration
    Config(Listing),
    /// Print the JSON Schema of a kind of file, or write all of them to a folder
    Schema(SchemaArgs),
    /// Ingest, train, serve and watch a year of flights, end to end
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How a listing is printed.
#[derive(Debug, Args, Clone, Copy)]
pub struct Listing {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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
    /// The column to predict
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub label: Option<String>,
    /// The column that says when a row happened
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub time: Option<String>,
    /// The column that names a row; repeat for several
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

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A workflow, or names of sources, feature views, models and monitors, each with what it needs [default: everything]
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

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    pub kind: ListKind,
    /// Only those that belong to this object, for example the versions of a model
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
    /// Models with their champion
    Models,
    /// Versions of a model
    Versions,
    /// Training runs
    Experiments,
    /// Endpoints and the versions behind them
    Endpoints,
    /// Workflow runs
    Runs,
    /// Tasks of a workflow run
    Tasks,
    /// Windows of a monitor
    Reports,
    /// Alerts
    Alerts,
    /// The audit log, newest first
    Audit,
}

/// `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// A SQL query; tables are called schema.table, as in sources.flights
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

/// `versions`.
#[derive(Debug, Subcommand)]
pub enum VersionsVerb {
    /// Add a note to a version; notes stay
    #[command(
        after_help = "Examples:\n  mainspring versions note arrival_delay 4 'trained without the strike in March'"
    )]
    Note {
        /// The model
        model: String,
        /// The version
        // `version` itself is the name of --version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// What is to be kept of it, in words
        text: String,
    },
    /// Set a tag of a version, or give it another value
    #[command(after_help = "Examples:\n  mainspring versions tag arrival_delay 4 reviewed_by=ada")]
    Tag {
        /// The model
        model: String,
        /// The version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// The tag and its value
        #[arg(value_name = "KEY=VALUE", value_parser = key_and_value)]
        tag: (String, String),
    },
    /// Take a tag of a version away
    #[command(after_help = "Examples:\n  mainspring versions untag arrival_delay 4 reviewed_by")]
    Untag {
        /// The model
        model: String,
        /// The version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// The tag
        key: String,
    },
}

/// `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The model
    pub model: String,
    /// The version
    // `version` itself is the name of --version
    #[arg(id = "model_version", value_name = "VERSION")]
    pub version: u64,
    /// The alias
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The model
    pub model: String,
    /// A version that had the alias once [default: the one before]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u64>,
    /// The alias
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
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

/// `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Recompute the hash chain and name the first entry that was altered or is missing
    Verify(Listing),
}

/// `key`.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a key; it is shown once
    Create {
        /// Whose key it is
        name: String,
        /// What it may do: caller, viewer, editor, admin or owner
        #[arg(long, default_value = "viewer")]
        role: String,
    },
    /// List keys, without their secrets
    List(Listing),
    /// Make a key worthless
    Revoke {
        /// Whose key it is
        name: String,
    },
}

/// `maintain`.
#[derive(Debug, Args)]
pub struct MaintainArgs {
    /// Keep removed files this long, for readers of old versions
    #[arg(long, default_value = "7d", value_name = "SPAN")]
    pub keep: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The kind of object: project, source, entity, feature_view, model, endpoint, monitor or workflow
    pub kind: Option<String>,
    /// Write every schema to this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "kind")]
    pub out: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The project folder to make
    #[arg(long, value_name = "PATH", default_value = "flights-demo", value_hint = ValueHint::DirPath)]
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

/// A tag and its value, which may have further equals signs.
///
/// # Errors
/// Words on what is missing.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is written KEY=VALUE, as in reviewed_by=ada")?;
    match key {
        "" => Err("a tag has a name before the `=`, as in reviewed_by=ada".into()),
        key => Ok((key.to_owned(), value.to_owned())),
    }
}

/// An address to listen on, as numbers or by a name such as `localhost`. A name of several addresses means the first of IPv4,
/// as it does where clients are told to call it.
///
/// # Errors
/// Words on what cannot be read or found.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; write an address and a port, as in 127.0.0.1:7878 or localhost:7878"))?;
    first_of_version_4(found).ok_or_else(|| format!("`{text}` is a name without an address"))
}

fn first_of_version_4(found: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    let found: Vec<SocketAddr> = found.collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use mainspring_govern::check_bind;

    use super::*;

    #[test]
    fn addresses_are_numbers_or_names_and_whether_others_reach_them_is_judged_by_what_they_mean() {
        let local = address("localhost:7878").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 7878, "{local}");
        check_bind(local, false).unwrap();
        for (text, is_open) in [("127.0.0.1:0", true), ("[::1]:80", true), ("0.0.0.0:80", false), ("[::]:80", false)] {
            let numbers = address(text).unwrap();

            assert_eq!(numbers, text.parse().unwrap());
            assert_eq!(check_bind(numbers, false).is_ok(), is_open, "{text}");
        }
        for wrong in ["localhost", "7878", "localhost:port", "localhost:70000", ""] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:7878"), "{wrong}");
        }
    }

    #[test]
    fn a_tag_is_a_name_and_a_value_with_whatever_is_in_it() {
        let said = |pair: &str| {
            let words = ["mainspring", "versions", "tag", "churn", "3", pair];
            match Cli::try_parse_from(words).map_err(|error| error.to_string())?.verb {
                Verb::Versions(VersionsVerb::Tag { model, version, tag }) => Ok((model, version, tag)),
                other => Err(format!("{other:?}")),
            }
        };

        assert_eq!(said("query=a=b").unwrap(), ("churn".into(), 3, ("query".into(), "a=b".into())));
        assert_eq!(said("empty=").unwrap().2, ("empty".into(), String::new()));
        for wrong in ["owner", "=ada"] {
            assert!(said(wrong).unwrap_err().contains("reviewed_by=ada"), "{wrong}");
        }
    }

    #[test]
    fn of_several_addresses_of_a_name_the_first_of_version_4_is_meant() {
        let all: Vec<SocketAddr> = ["[::1]:1", "127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().unwrap()).into();

        assert_eq!(first_of_version_4(all.iter().copied()), Some(all[1]));
        assert_eq!(first_of_version_4(all[..1].iter().copied()), Some(all[0]));
        assert_eq!(first_of_version_4(std::iter::empty()), None);
    }
}
