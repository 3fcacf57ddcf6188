//! The whole command line: what holds for every verb, and the verbs.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};

use super::{
    ApplyArgs, AuditVerb, ConfigArgs, DemoArgs, DeployArgs, FeaturesVerb, ImportVerb, InitArgs, KeyVerb, LabelsVerb,
    ListArgs, Listing, MaintainArgs, MonitorArgs, PromoteArgs, QueryArgs, RegisterArgs, RollbackArgs, RunArgs,
    SchemaArgs, ServeArgs, UndeployArgs, VersionsVerb,
};

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

    /// The target of mainspring.yaml to use, which says where the state lies and where a server listens
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
    /// Make so what the folder declares: the changes that `plan` shows
    Apply(ApplyArgs),
    /// Bring everything up to date, or what is named, in the order of the graph: ingest, features, models, monitors
    #[command(
        after_help = "Examples:\n  mainspring run                          everything\n  mainspring run arrival_delay            a model and everything it needs\n  mainspring run arrival_delay --force    all of that again, and train anew"
    )]
    Run(RunArgs),
    /// Answer requests for predictions over HTTP, and show the web console
    #[command(
        after_help = "Examples:\n  mainspring serve\n  mainspring serve --listen 127.0.0.1:0         a free port, shown on the first line\n  mainspring serve --listen 0.0.0.0:7878        only once there is an API key\n  mainspring serve --grpc 127.0.0.1:7879        gRPC and Flight SQL beside it"
    )]
    Serve(ServeArgs),
    /// Where everything stands, in one screen
    Status(Listing),
    /// List what there is of a kind: sources, tables, versions, alerts and more
    #[command(
        after_help = "Examples:\n  mainspring list tables\n  mainspring list versions arrival_delay\n  mainspring list audit --limit 20 --json"
    )]
    List(ListArgs),
    /// Run a SQL query over the project's tables
    #[command(
        after_help = "Examples:\n  mainspring query \"show tables\"\n  mainspring query \"describe sources.flights\"\n  mainspring query \"select count(*) from sources.flights\"\n  mainspring query \"select * from quarantine.flights\" --json\n  mainspring query \"select count(*) from sources.flights\" --pin sources.flights=3"
    )]
    Query(QueryArgs),
    /// Check that features are the same offline and online
    #[command(subcommand)]
    Features(FeaturesVerb),
    /// Register a LightGBM or XGBoost model file as a model's next version
    #[command(
        after_help = "Examples:\n  mainspring register churn model.txt\n  mainspring register churn model.ubj --description 'trained on May'\n\nFormats: LightGBM text, XGBoost JSON and UBJSON, as `save_model` of either library writes them,\nand the skops files of LightGBM's estimators, as MLflow writes them."
    )]
    Register(RegisterArgs),
    /// Put a model behind an endpoint, whether its versions were trained, registered or logged by a client
    #[command(
        disable_version_flag = true,
        after_help = "Examples:\n  mainspring deploy churn                     the version with the alias champion, or else the newest\n  mainspring deploy churn --version 3\n  mainspring deploy churn --alias challenger --as churn_next\n\nIn a project the endpoint's file is written and applied; without one the endpoint is kept in the catalog."
    )]
    Deploy(DeployArgs),
    /// Take away an endpoint that `deploy` or a client made; the versions of its model stay
    #[command(
        after_help = "Examples:\n  mainspring undeploy churn\n\nAn endpoint that a project declares goes with its file: remove endpoints/NAME.yaml and `mainspring apply`.\n`deploy` writes such a file where there is a project."
    )]
    Undeploy(UndeployArgs),
    /// Add notes and tags to the versions of a model
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
    /// Push labels: what came of predictions
    #[command(subcommand)]
    Labels(LabelsVerb),
    /// Evaluate monitors and show drift and quality by window
    #[command(after_help = "Examples:\n  mainspring monitor\n  mainspring monitor arrival_delay --json")]
    Monitor(MonitorArgs),
    /// Verify the audit log
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(KeyVerb),
    /// Compact small files of the lake and remove old ones
    #[command(after_help = "Examples:\n  mainspring maintain\n  mainspring maintain --keep 30d")]
    Maintain(MaintainArgs),
    /// Print the effective configuration: defaults, target, environment and flags together
    Config(ConfigArgs),
    /// Print the JSON Schema of a kind of object, or write all of them to a folder
    Schema(SchemaArgs),
    /// Ingest, train, serve and watch a year of flights, end to end
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}
