//! `watershed bench`: a node under load; the result is JSON. It starts a node of its own unless told otherwise.

mod analytics;
mod cluster;
mod compaction;
mod ingest;
mod lake;
mod load;
mod noisy;
mod query;
mod source;
mod streams;
mod tail;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tonic::codec::CompressionEncoding;

use super::spawned::{self, Spawned};
use crate::out::{self, Failure};
use crate::{Target, procfs};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed bench ingest --seconds 30
  watershed bench ingest --signal logs --compression gzip --json bench/results/logs.json
  watershed bench source segment
  watershed bench source native --events
  watershed bench tail --rate 20000
  watershed bench streams --idle 10000 --fan-out 1000
  watershed bench noisy --connections 4
  watershed bench query --events 1000000
  watershed bench analytics --events 1000000 --actors 100000
  watershed bench compaction --events 500000
  watershed bench cluster failover --kills 20";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    what: What,
    /// Write the result to a file, too.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A node that runs already; its process id is needed for its CPU time.
    #[arg(long, global = true, value_name = "URL", requires = "pid")]
    endpoint: Option<String>,
    /// Process id of that node.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Setting of the node that is started, as for `serve`.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum What {
    /// OTLP/gRPC as fast as it is acknowledged.
    Ingest(ingest::Flags),
    /// A JSON source as fast as it is acknowledged.
    Source(source::Flags),
    /// Acknowledged to delivered.
    Tail(tail::Flags),
    /// Streams that sleep, that do not match, and that all get one event.
    Streams(streams::Flags),
    /// A tenant beside another one that sends more than it may.
    Noisy(noisy::Flags),
    /// Trace lookups and an aggregate.
    Query(query::Flags),
    /// Counts, a funnel and cohorts over events in the lake.
    Analytics(analytics::Flags),
    /// Many small files of the lake into few.
    Compaction(compaction::Flags),
    /// Several nodes: replication, deaths, growth.
    Cluster(cluster::Flags),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn encoding(self) -> Option<CompressionEncoding> {
        match self {
            Self::None => None,
            Self::Gzip => Some(CompressionEncoding::Gzip),
            Self::Zstd => Some(CompressionEncoding::Zstd),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The node under test.
struct Subject {
    target: Target,
    pid: u32,
    spawned: Option<Spawned>,
}

impl Subject {
    fn of(spawned: Spawned) -> Self {
        let target = Target { endpoint: spawned.endpoint().to_owned(), tenant: None };
        Self { target, pid: spawned.pid(), spawned: Some(spawned) }
    }
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let (mut result, quorum) = if let What::Cluster(cluster) = &flags.what {
        (cluster::run(cluster, &flags.set).await?, "two of three")
    } else {
        (of_one(&flags).await?, "one")
    };
    result["machine"] = procfs::machine();
    result["durability"] = format!("every acknowledgement after fsync (SQLite synchronous=FULL), quorum of {quorum}").into();
    result["settings"] = flags.set.clone().into();
    let text = serde_json::to_string_pretty(&result).map_err(anyhow::Error::from)? + "\n";
    if let Some(path) = flags.json {
        std::fs::write(path, &text)?;
    }
    Ok(out::data(&text)?)
}

async fn of_one(flags: &Flags) -> Result<serde_json::Value, Failure> {
    let subject = match (&flags.endpoint, flags.pid) {
        (Some(endpoint), Some(pid)) => {
            Subject { target: Target { endpoint: endpoint.clone(), tenant: None }, pid, spawned: None }
        }
        _ => Subject::of(spawned::start(&settings(flags))?),
    };
    match &flags.what {
        What::Ingest(flags) => ingest::run(&subject, flags).await,
        What::Source(flags) => source::run(&subject, flags).await,
        What::Tail(flags) => tail::run(&subject, flags).await,
        What::Streams(flags) => streams::run(&subject, flags).await,
        What::Noisy(flags) => noisy::run(&subject, flags).await,
        What::Query(flags) => query::run(&subject, flags).await,
        What::Analytics(flags) => analytics::run(&subject, flags).await,
        What::Compaction(flags) => compaction::run(&subject, flags).await,
        What::Cluster(flags) => cluster::run(flags, &[]).await,
    }
}

/// Of the node that is started: what is said on the command line wins.
fn settings(flags: &Flags) -> Vec<String> {
    let own = match &flags.what {
        What::Compaction(compaction) => compaction.settings(),
        // As fast as it is committed; the limit of a stream is not what is measured.
        What::Tail(_) | What::Streams(_) => vec!["streams_rate=0".to_owned()],
        What::Noisy(_) => noisy::SETTINGS.map(str::to_owned).to_vec(),
        What::Analytics(_) => analytics::SETTINGS.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    own.into_iter().chain(flags.set.iter().cloned()).collect()
}

/// The value below which `part` of all lie; sorts.
fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a slice")]
    let index = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}
