//! `mainspring`: parses what was said, calls one function of one layer, shows what came of it.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod args;
mod config;
mod demo;
mod list;
mod output;
mod progress;
#[cfg(test)]
mod reference;
mod verbs;
mod wiring;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Verb};
use crate::output::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status when `plan` finds changes, as Terraform's `-detailed-exitcode`.
const CHANGES: u8 = 2;
/// The fewest threads for requests: Delta's reader waits on one for what another brings from a bucket.
const WORKERS_MIN: usize = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::start_logging(cli.verbose, matches!(cli.verb, Verb::Serve(_)));
    let workers = std::thread::available_parallelism().map_or(WORKERS_MIN, |cores| cores.get().max(WORKERS_MIN));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output::fail(&Failure::from(anyhow::Error::from(error).context("cannot start the runtime")));
        }
    };
    let outcome = runtime.block_on(run(cli));
    // what still runs on the blocking pool may not hold the exit up
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(code) => code,
        Err(failure) => output::fail(&failure),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let place = config::Place::of(&cli);
    match cli.verb {
        Verb::Init(args) => verbs::init(&place, args).await,
        Verb::Validate(listing) => verbs::validate(&place, listing).await,
        Verb::Import(verb) => verbs::import(&place, verb),
        Verb::Plan(listing) => verbs::plan(&place, listing).await,
        Verb::Apply(args) => verbs::apply(&place, args).await,
        Verb::Run(args) => verbs::run(&place, args).await,
        Verb::Serve(args) => verbs::serve(&place, args).await,
        Verb::Status(listing) => list::status(&place, listing).await,
        Verb::List(args) => list::list(&place, args).await,
        Verb::Query(args) => verbs::query(&place, args).await,
        Verb::Features(verb) => verbs::features(&place, verb).await,
        Verb::Register(args) => verbs::register(&place, args).await,
        Verb::Deploy(args) => verbs::deploy(&place, args).await,
        Verb::Undeploy(args) => verbs::undeploy(&place, args).await,
        Verb::Versions(verb) => verbs::versions(&place, verb).await,
        Verb::Promote(args) => verbs::promote(&place, args).await,
        Verb::Rollback(args) => verbs::rollback(&place, args).await,
        Verb::Labels(verb) => verbs::labels(&place, verb).await,
        Verb::Monitor(args) => verbs::monitor(&place, args).await,
        Verb::Audit(verb) => verbs::audit(&place, verb).await,
        Verb::Key(verb) => verbs::key(&place, verb).await,
        Verb::Maintain(args) => verbs::maintain(&place, args).await,
        Verb::Config(args) => verbs::config(&place, &args),
        Verb::Schema(args) => verbs::schema(args),
        Verb::Demo(args) => demo::run(&place, args).await,
        Verb::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "mainspring", &mut script);
            output::bytes(&script)
        }
    }
}
