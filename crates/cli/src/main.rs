//! The binary `watershed`: a node, and a client for everything else.

mod columns;
mod commands;
mod otlp;
mod out;
mod procfs;
mod signals;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use watershed_client::Client;

use commands::analytics::{cohort, funnel, ratio, track};
use commands::{bench, cdc, cluster, demo, doctor, lake, query, send, serve, settings, sources, status, tail, trace};
use out::Failure;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EXAMPLES: &str = "Examples:
  watershed serve
  watershed send --count 20
  watershed query \"SELECT event_type, count(*) FROM events GROUP BY 1\"
  watershed tail --topic 'trace.**'";

/// One store for every event a product emits.
#[derive(Parser)]
#[command(name = "watershed", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    #[command(after_help = serve::EXAMPLES)]
    Serve(settings::Flags),
    /// Start a node, play a recorded shop session through its doors, and show it as one timeline.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Flags),
    /// Print the effective settings as TOML.
    #[command(after_help = settings::EXAMPLES)]
    Config(settings::Flags),
    /// Run SQL over hot and lake.
    #[command(after_help = query::EXAMPLES)]
    Query(query::Flags),
    /// Count events of a name, or take another aggregate of them.
    #[command(after_help = track::EXAMPLES)]
    Track(track::Flags),
    /// How many actors take some steps in order.
    #[command(after_help = funnel::EXAMPLES)]
    Funnel(funnel::Flags),
    /// Who comes back.
    #[command(after_help = cohort::EXAMPLES)]
    Cohort(cohort::Flags),
    /// Events of one kind for each of another.
    #[command(after_help = ratio::EXAMPLES)]
    Ratio(ratio::Flags),
    /// Follow events as they are committed.
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Flags),
    /// Show a trace as a waterfall.
    #[command(after_help = trace::EXAMPLES)]
    Trace(trace::Flags),
    /// Send sample telemetry.
    #[command(after_help = send::EXAMPLES)]
    Send(send::Flags),
    /// List what can be sent, where to, and what it looks like.
    #[command(after_help = sources::EXAMPLES)]
    Sources(sources::Flags),
    /// Stream the changes of a database to a node.
    #[command(after_help = cdc::EXAMPLES)]
    Cdc(cdc::Flags),
    /// Show where each shard stands.
    #[command(after_help = status::EXAMPLES)]
    Status(status::Flags),
    /// Look after the nodes of the cluster.
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(cluster::Flags),
    /// Look after the lake.
    #[command(after_help = lake::EXAMPLES)]
    Lake(lake::Flags),
    /// Check disk, clock, ports and catalog.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(settings::Flags),
    /// Measure a node; the result is JSON.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Flags),
}

/// Which node, for whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// gRPC address of a node.
    #[arg(long, env = "WATERSHED_ENDPOINT", default_value = "http://127.0.0.1:4317", value_name = "URL")]
    pub(crate) endpoint: String,
    /// Tenant to speak for.
    #[arg(long, env = "WATERSHED_TENANT", value_name = "NAME")]
    pub(crate) tenant: Option<String>,
}

impl Target {
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let client = Client::connect(&self.endpoint).await?;
        Ok(match &self.tenant {
            Some(tenant) => client.with_tenant(tenant)?,
            None => client,
        })
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => serve::run(&flags),
        Command::Config(flags) => settings::print(&flags),
        Command::Doctor(flags) => doctor::run(&flags),
        Command::Demo(flags) => block_on(demo::run(flags)),
        Command::Sources(flags) => sources::run(&flags),
        Command::Query(flags) => block_on(query::run(flags)),
        Command::Track(flags) => block_on(track::run(flags)),
        Command::Funnel(flags) => block_on(funnel::run(flags)),
        Command::Cohort(flags) => block_on(cohort::run(flags)),
        Command::Ratio(flags) => block_on(ratio::run(flags)),
        Command::Tail(flags) => block_on(tail::run(flags)),
        Command::Trace(flags) => block_on(trace::run(flags)),
        Command::Send(flags) => block_on(send::run(flags)),
        Command::Cdc(flags) => runtime()?.block_on(Box::pin(cdc::run(flags))),
        Command::Status(flags) => block_on(status::run(flags)),
        Command::Cluster(flags) => block_on(cluster::run(flags)),
        Command::Lake(flags) => block_on(lake::run(flags)),
        Command::Bench(flags) => block_on(bench::run(flags)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// SIGTERM ends the work by dropping it: a node that it started ends with it.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime()?.block_on(Box::pin(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = work => done,
            _ = terminate.recv() => Err(Failure::refused("ended by SIGTERM")),
        }
    }))
}
