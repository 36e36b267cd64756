//! Processes of our own binary that form one cluster.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use watershed_client::DescribeClusterResponse;

use super::TENANT;
use crate::commands::spawned::{self, Process};
use crate::out::Failure;
use crate::{Target, procfs};

const SETTLE_DEADLINE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Nodes {
    folder: tempfile::TempDir,
    shards: u16,
    set: Vec<String>,
    addresses: Vec<String>,
    running: Vec<Option<Process>>,
}

impl Nodes {
    /// Starts them all at once: a cluster is founded when all are there.
    pub(super) fn start(count: usize, shards: u16, set: &[String]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir_in(".")?;
        fs::write(folder.path().join("secret"), "the secret of a benchmark")?;
        let mut nodes = Self { folder, shards, set: set.to_vec(), addresses: Vec::new(), running: Vec::new() };
        nodes.addresses = free_addresses(count)?;
        let started: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..count)
                .map(|place| {
                    scope.spawn({
                        let nodes = &nodes;
                        move || nodes.launch(place)
                    })
                })
                .collect();
            starting.into_iter().map(|one| one.join().expect("invariant: a thread that does not panic")).collect()
        });
        for one in started {
            nodes.running.push(Some(one?));
        }
        Ok(nodes)
    }

    fn data_dir(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("node-{place}"))
    }

    fn launch(&self, place: usize) -> Result<Process, Failure> {
        let file = |name: &str| {
            self.folder.path().join(name).canonicalize().or_else(|_| std::path::absolute(self.folder.path().join(name)))
        };
        let founders = self.addresses.iter().take(3).cloned().collect::<Vec<_>>().join(",");
        let environment = [
            ("WATERSHED_CLUSTER_ADDR", self.addresses[place].clone()),
            ("WATERSHED_ADVERTISE_ADDR", self.addresses[place].clone()),
            ("WATERSHED_JOIN", founders),
            ("WATERSHED_CLUSTER_SECRET_FILE", file("secret")?.display().to_string()),
            ("WATERSHED_LAKE_DIR", file("lake")?.display().to_string()),
            ("WATERSHED_SHARDS", self.shards.to_string()),
            ("WATERSHED_HIGH_VOLUME_TENANTS", TENANT.to_owned()),
        ];
        spawned::launch(&self.data_dir(place), &self.set, &environment)
    }

    /// One more node; its place.
    pub(super) fn add(&mut self) -> Result<usize, Failure> {
        self.addresses.extend(free_addresses(1)?);
        let place = self.running.len();
        let node = self.launch(place)?;
        self.running.push(Some(node));
        Ok(place)
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, place: usize) {
        self.running[place] = None;
    }

    pub(super) fn start_again(&mut self, place: usize) -> Result<(), Failure> {
        self.running[place] = Some(self.launch(place)?);
        Ok(())
    }

    /// `STOP` or `CONT`.
    pub(super) fn signal(&self, place: usize, name: &str) -> Result<(), Failure> {
        let pid = self.running[place].as_ref().context("the node is down")?.pid();
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
        if status.success() { Ok(()) } else { Err(Failure::refused(&format!("kill -{name} {pid}: {status}"))) }
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        self.up().map(|node| Target { endpoint: node.endpoint().to_owned(), tenant: Some(TENANT.to_owned()) }).collect()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.up().map(Process::pid).collect()
    }

    fn up(&self) -> impl Iterator<Item = &Process> {
        self.running.iter().flatten()
    }

    /// CPU time of all that are up, microseconds.
    pub(super) fn cpu_us(&self) -> u64 {
        self.pids().into_iter().filter_map(procfs::cpu_us).sum()
    }

    pub(super) async fn describe(&self) -> Result<DescribeClusterResponse, Failure> {
        let target = self.targets().into_iter().next().context("no node is up")?;
        Ok(target.connect().await?.cluster().describe().await?)
    }

    /// Waits until every shard has its replicas, and the leaders are shared.
    pub(super) async fn settled(&self) -> Result<(), Failure> {
        let (end, wanted) = (Instant::now() + SETTLE_DEADLINE, self.pids().len().min(3));
        loop {
            let now = self.describe().await?;
            let leads = |shard: u32| now.replicas.iter().find(|one| one.shard == Some(shard) && one.leader == one.node);
            let whole = (0..u32::from(self.shards)).all(|shard| leads(shard).is_some_and(|one| one.voters.len() == wanted));
            if whole && now.next_step.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Failure::refused(&format!("the cluster does not settle: {}", now.next_step)));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn free_addresses(count: usize) -> Result<Vec<String>, Failure> {
    // Held until all are drawn, so that they differ.
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    Ok(held.iter().map(|one| one.local_addr().map(|address| address.to_string())).collect::<Result<Vec<_>, _>>()?)
}
