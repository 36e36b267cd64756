//! The command line, and the run that it asks for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use watershed_chaos::cluster::{FailPoints, Settings};
use watershed_chaos::fault::Kind;
use watershed_chaos::prove::Tools;
use watershed_chaos::run::Scenario;
use watershed_chaos::schedule::{Bounds, plan};
use watershed_chaos::workload::Load;

/// Breaks a cluster of real nodes while it is in use, and checks that every acknowledged event is read exactly once.
///
/// Exit code 0 only if so; 1 when not, 2 when it could not be tried. Needs root; everything runs in namespaces that vanish
/// with it.
#[derive(Parser)]
#[command(name = "watershed-chaos")]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Names the run: the same seed plans the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the load runs.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// What may happen: kill, stop, partition, oneway, wipe, full, power, restart, committer.
    #[arg(long, value_delimiter = ',', default_value = "kill,stop,partition,oneway,restart")]
    faults: Vec<Kind>,
    /// Number of nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Events a second, all senders together.
    #[arg(long, default_value_t = 600)]
    rate: u64,
    /// Events after which no more are sent.
    #[arg(long, default_value_t = 200_000)]
    events_max: u64,
    /// Tenants with tables of their own in the lake, of `default`, `acme` and `globex`; each node leaves another of them out.
    #[arg(long, value_delimiter = ',')]
    own_tables: Vec<String>,
    /// The program `watershed`; for `committer` and `prove` it must be built with fail points.
    #[arg(long, global = true, value_name = "FILE", default_value = "target/debug/watershed")]
    server: PathBuf,
    /// A Python with PyIceberg, which reads the lake at the end; absent means that only our own SQL does.
    #[arg(long, global = true, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Where the result goes, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Folder for disks, lake and logs, which stays; absent means one that does not.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Break each guarantee on purpose, and see that the checker finds it.
    Prove {
        /// Only those whose fail point has this in its name.
        #[arg(long, default_value = "")]
        only: String,
    },
}

/// Longest for everything around the load.
const AROUND: Duration = Duration::from_secs(600);
const PROVE_MAX: Duration = Duration::from_secs(3_600);
const SHARDS: u32 = 4;
const TENANTS: [&str; 3] = ["default", "acme", "globex"];

impl Flags {
    /// Everything is ended then, whatever it does.
    pub(crate) fn deadline(&self) -> Duration {
        if self.command.is_some() { PROVE_MAX } else { self.duration + AROUND }
    }

    pub(crate) fn tools(&self) -> anyhow::Result<Tools> {
        let server = self.server.canonicalize().with_context(|| format!("--server {}", self.server.display()))?;
        Ok(Tools { server, python: self.python.clone() })
    }

    pub(crate) fn scenario(&self) -> anyhow::Result<Scenario> {
        let Self { seed, duration, nodes, rate, events_max, .. } = *self;
        anyhow::ensure!((1..=9).contains(&nodes), "--nodes {nodes}: must be 1 to 9");
        let stranger = self.own_tables.iter().find(|tenant| !TENANTS.contains(&tenant.as_str()));
        anyhow::ensure!(
            stranger.is_none(),
            "--own-tables {}: must be of {}",
            stranger.map_or("", String::as_str),
            TENANTS.join(", ")
        );
        let bounds = Bounds {
            duration_ms: u64::try_from(duration.as_millis()).context("--duration")?,
            kinds: self.faults.clone(),
            nodes,
            shards: SHARDS,
        };
        let drawn_from = self.faults.contains(&Kind::Committer).then_some(seed);
        let Tools { server, python } = self.tools()?;
        Ok(Scenario {
            name: "drawn".to_owned(),
            seed,
            cluster: Settings {
                nodes,
                server,
                shards: SHARDS,
                high_volume: vec!["globex".to_owned()],
                own_tables: self.own_tables.clone(),
                fail_points: FailPoints { drawn_from, has_own_tables: !self.own_tables.is_empty(), ..FailPoints::default() },
                run: "drawn".to_owned(),
            },
            load: Load {
                tenants: TENANTS.map(str::to_owned).to_vec(),
                senders: 2,
                rate,
                events_max,
                again_once_in: 10,
                give_up_once_in: 4,
            },
            plan: plan(seed, &bounds),
            duration,
            python,
        })
    }
}
