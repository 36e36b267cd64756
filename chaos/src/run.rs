//! One run from an empty cluster to a verdict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use watershed_kubelet::network::Network;
use watershed_kubelet::shell::say;

use crate::checker::{self, Read};
use crate::cluster::{Cluster, Settings};
use crate::fault::Fault;
use crate::report::{Counts, Report, listed, troubles};
use crate::workload::{Load, Shared, Workload};
use crate::{iceberg, nemesis, settle};

/// What is run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Of everything that is drawn.
    pub seed: u64,
    /// The cluster.
    pub cluster: Settings,
    /// The load.
    pub load: Load,
    /// What is broken, and when.
    pub plan: Vec<Fault>,
    /// How long the load runs before everything is healed.
    pub duration: Duration,
    /// A Python with PyIceberg; absent means that nobody foreign reads the lake.
    pub python: Option<PathBuf>,
}

/// Replicas of a shard.
const REPLICAS: usize = 3;
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// Runs it under `dir`.
///
/// # Errors
/// When the world cannot be made; whatever the cluster does wrong is in the report.
pub async fn run(scenario: &Scenario, dir: &Path, network: &Arc<Network>) -> anyhow::Result<Report> {
    say(&format!("{}: {} nodes, seed {}", scenario.name, scenario.cluster.nodes, scenario.seed));
    scenario.plan.iter().for_each(|fault| say(&format!("planned {fault}")));
    let cluster = Arc::new(Cluster::start(&scenario.cluster, dir, network)?);
    let keeper = keep(&cluster);
    let mut run = Run { scenario, cluster, problems: Vec::new(), described: Vec::new() };
    let report = run.play().await;
    keeper.abort();
    drop(keeper.await);
    report
}

/// Starts dead nodes again.
fn keep(cluster: &Arc<Cluster>) -> JoinHandle<()> {
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        loop {
            for node in &cluster.nodes {
                if let Err(error) = node.look_after() {
                    say(&format!("{}: {error:#}", node.name()));
                }
            }
            sleep(LOOK_AFTER).await;
        }
    })
}

struct Run<'a> {
    scenario: &'a Scenario,
    cluster: Arc<Cluster>,
    problems: Vec<String>,
    described: Vec<String>,
}

impl Run<'_> {
    async fn play(&mut self) -> anyhow::Result<Report> {
        let begun = settle::whole(&self.cluster, self.cluster.nodes.len().min(REPLICAS)).await;
        anyhow::ensure!(begun.is_ok(), "before any fault: {}", begun.err().unwrap_or_default());
        say("the load begins");
        let shared = Arc::new(Shared::new(self.cluster.endpoints(), self.scenario.seed));
        let mut workload = Workload::start(&self.scenario.load, &shared);
        let load = async {
            sleep(self.scenario.duration).await;
            Ok(())
        };
        tokio::try_join!(nemesis::run(&self.cluster, &self.scenario.plan), load)?;
        self.heal(&shared, &mut workload).await?;
        let mut reads = self.read().await;
        let (during, subscribers) = workload.stop().await;
        let queries = during.len() as u64;
        self.problems.extend(subscribers.iter().flat_map(|followed| followed.complaints()));
        reads.extend(during);
        reads.extend(subscribers.iter().map(|followed| followed.read()));
        let resumed = subscribers.iter().map(|followed| followed.resumed()).sum();
        Ok(self.verdict(&shared, &reads, Counts { queries, resumed, ..Counts::default() }))
    }

    /// Whole again, in use again, and at rest.
    async fn heal(&mut self, shared: &Shared, workload: &mut Workload) -> anyhow::Result<()> {
        say("everything is healed");
        self.cluster.heal()?;
        self.note(settle::whole(&self.cluster, 1).await).await;
        self.note(settle::writable(shared, workload).await).await;
        workload.stop_senders().await;
        self.note(settle::quiet(&self.cluster, workload).await).await;
        Ok(())
    }

    /// A problem is noted with how the nodes see their shards at the time.
    async fn note<T: Default>(&mut self, result: Result<T, String>) -> T {
        match result {
            Ok(done) => done,
            Err(problem) => {
                say(&format!("problem: {problem}"));
                self.problems.push(problem);
                let described = self.cluster.described().await;
                described.iter().for_each(|line| say(line));
                self.described.extend(described);
                T::default()
            }
        }
    }

    /// By everybody, from both tiers and then, if everything got there, from the lake alone.
    async fn read(&mut self) -> Vec<Read> {
        let tenants = &self.scenario.load.tenants;
        let mut reads = self.note(settle::read_all(&self.cluster, tenants, "hot and lake").await).await;
        if !self.note(settle::archived(&self.cluster, tenants).await.map(|()| true)).await {
            return reads;
        }
        reads.extend(self.note(settle::read_all(&self.cluster, tenants, "lake").await).await);
        if let Some(python) = &self.scenario.python {
            let read = iceberg::read(python, &self.cluster.lake, tenants).map_err(|error| format!("{error:#}"));
            reads.extend(self.note(read).await);
        }
        reads
    }

    fn verdict(&self, shared: &Shared, reads: &[Read], counts: Counts) -> Report {
        let batches = shared.history.all();
        let findings = checker::check(&batches, reads);
        let Counts { queries, resumed, .. } = counts;
        let (attempts_failed, sent_again) = (shared.refused(), shared.resent());
        let readers: BTreeSet<&String> = reads.iter().map(|read| &read.reader).collect();
        Report {
            name: self.scenario.name.clone(),
            seed: self.scenario.seed,
            is_content: findings.is_empty() && self.problems.is_empty(),
            counts: Counts { queries, resumed, attempts_failed, sent_again, ..Counts::of(&batches) },
            troubles: troubles(&findings),
            findings: listed(findings),
            problems: self.problems.clone(),
            described: self.described.clone(),
            exits: self.cluster.nodes.iter().flat_map(|node| node.exits()).collect(),
            plan: self.scenario.plan.clone(),
            readers: readers.into_iter().cloned().collect(),
        }
    }
}
