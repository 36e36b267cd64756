//! One node: a process, a network namespace and a disk, and what can be done to them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use watershed_kubelet::shell::run;

use super::Settings;
use super::disk::Disk;
use super::process::{Exit, Launch, Process};

/// Where a node stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
}

/// A node, whether it runs or not.
#[derive(Debug)]
pub struct Node {
    at: Place,
    disk: Disk,
    process: Process,
}

/// A locally administered hardware address.
const NOBODY: &str = "02:00:00:00:00:01";

impl Node {
    pub(super) fn create(at: Place, settings: &Settings, environment: Vec<(String, String)>, dir: &Path) -> anyhow::Result<Self> {
        let name = format!("node-{}", at.place);
        let disk = Disk::create(dir, &name)?;
        let launch = Launch {
            place: at.place,
            namespace: at.name.clone(),
            server: settings.server.clone(),
            data_dir: disk.at.clone(),
            environment,
            fail_points: settings.fail_points.clone(),
            log: dir.join(format!("{name}.log")),
        };
        Ok(Self { at, disk, process: Process::new(launch) })
    }

    /// Name of its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.at.name
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.at.address
    }

    /// Address of gRPC.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}:4317", self.at.address)
    }

    /// Its number in the cluster, once it has one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let text = std::fs::read(self.disk.at.join("node.json")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?["node"].as_u64()
    }

    /// Starts it, unless it runs; from now on it is started again when it dies.
    ///
    /// # Errors
    /// When nothing can be run.
    pub fn start(&self) -> anyhow::Result<()> {
        self.process.start()
    }

    /// Looks after it: to be called again and again.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub fn look_after(&self) -> anyhow::Result<()> {
        self.process.look_after()
    }

    /// `kill -9`; it stays down until it is started.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// SIGTERM, and `kill -9` when it has not ended within `patience`. Whether it ended well; true when it does not run.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn terminate(&self, patience: Duration) -> anyhow::Result<bool> {
        self.process.terminate(patience).await
    }

    /// Sends a signal, if it runs.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Nothing that it sends to `other` arrives any more.
    ///
    /// No firewall is needed: the other's address is said to belong to a network card that nobody has.
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn cut_way_to(&self, other: Ipv4Addr) -> anyhow::Result<()> {
        self.neighbour(&format!("replace {other} lladdr {NOBODY} nud permanent"))
    }

    /// It arrives again.
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn mend_way_to(&self, other: Ipv4Addr) -> anyhow::Result<()> {
        self.neighbour(&format!("replace {other} lladdr {NOBODY} nud failed"))
    }

    fn neighbour(&self, change: &str) -> anyhow::Result<()> {
        run(&format!("ip -n {} neigh {change} dev eth0", self.at.name))
    }

    /// `kill -9`, and what it had not synced is gone.
    ///
    /// # Errors
    /// When the disk is a folder.
    pub fn cut_power(&self) -> anyhow::Result<()> {
        self.disk.shut_down()?;
        self.process.kill_and(|| self.disk.remount())
    }

    /// Takes what is free of its disk.
    ///
    /// # Errors
    /// When the disk is a folder.
    pub fn fill_disk(&self) -> anyhow::Result<()> {
        self.disk.fill()
    }

    /// Gives it back.
    pub fn free_disk(&self) {
        self.disk.free();
    }

    /// `kill -9`, and an empty disk.
    ///
    /// # Errors
    /// When the old one cannot be taken away.
    pub fn lose_disk(&self) -> anyhow::Result<()> {
        self.process.kill_and(|| self.disk.replace())
    }

    /// Lets it run, and starts it; fail points that were drawn are for the time before.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.free_disk();
        self.process.heal()
    }

    /// How it ended when nobody told it to.
    #[must_use]
    pub fn exits(&self) -> Vec<Exit> {
        self.process.exits()
    }

    /// For good.
    pub(super) fn end(&self) {
        drop(self.kill());
        self.disk.unmount();
    }
}
