//! One pod: a thread that starts its container, asks its probes, starts it again when it dies, and ends it as Kubernetes would.

mod container;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::board::Board;
use crate::environment::{self, Identity};
use crate::manifest::{Manifests, StatefulSet};
use crate::network::Network;
use crate::process::Start;
use crate::shell::say;
use crate::volumes;

/// What all pods share.
#[derive(Debug)]
pub struct World {
    /// What is played.
    pub manifests: Manifests,
    /// The set in it.
    pub set: StatefulSet,
    /// Addresses.
    pub network: Network,
    /// Who is there.
    pub board: Arc<Board>,
    /// Stands for the image.
    pub binary: PathBuf,
    /// Volumes that last, and logs.
    pub data: PathBuf,
    /// Everything that does not last.
    pub work: PathBuf,
}

/// What a pod is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// preStop, SIGTERM, time, SIGKILL; then it is gone.
    Terminate,
    /// Send its process a signal.
    Signal(String),
}

/// How a pod is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Since when it is ready.
    pub ready_since: Option<Instant>,
    /// How often its container was started again.
    pub restarts: u32,
    /// It took longer to end than it was given when it was last told to.
    pub was_killed: bool,
    /// Why it cannot be played at all.
    pub failure: Option<String>,
}

/// A pod that runs.
#[derive(Debug)]
pub struct Pod {
    status: Arc<Mutex<Status>>,
    orders: SyncSender<Order>,
    worker: JoinHandle<()>,
}

/// Two crashes in a row wait this long, the next ones twice as long each.
const BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
const ORDERS_MAX: usize = 16;

impl Pod {
    /// Gives a pod its network, folders and variables, and starts it.
    ///
    /// # Errors
    /// When something that the manifests name is not there.
    pub fn start(world: &Arc<World>, ordinal: u32) -> anyhow::Result<Self> {
        let name = format!("{}-{ordinal}", world.set.metadata.name);
        let address = world.network.join(&name).with_context(|| name.clone())?;
        world.board.add(&name, address)?;
        let start = prepare(world, &name, address, ordinal).with_context(|| name.clone())?;
        say(&format!("{name}: starts at {address}"));
        let status = Arc::new(Mutex::new(Status::default()));
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let worker = Worker { world: Arc::clone(world), start, address, inbox, status: Arc::clone(&status) };
        Ok(Self { status, orders, worker: std::thread::spawn(move || worker.run()) })
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells it something; it may be gone already.
    pub fn order(&self, order: Order) {
        drop(self.orders.try_send(order));
    }

    /// Waits until it is gone; it must have been told to end.
    #[must_use]
    pub fn gone(self) -> Status {
        drop(self.worker.join());
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Machines have a zone each, three in all; since Kubernetes 1.35 pods carry its label.
const ZONES: u32 = 3;
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

fn prepare(world: &World, name: &str, address: Ipv4Addr, ordinal: u32) -> anyhow::Result<Start> {
    let set = &world.set;
    let container = set.spec.template.spec.containers.first().context("a pod has no container")?;
    let mut labels = set.spec.template.metadata.labels.clone();
    labels.insert(ZONE_LABEL.to_owned(), format!("zone-{}", ordinal % ZONES));
    let pod = Identity {
        name: name.to_owned(),
        namespace: set.metadata.namespace.clone(),
        ip: address.to_string(),
        node: format!("machine-{ordinal}"),
        labels,
    };
    let work = world.work.join(name);
    fs::create_dir_all(&work)?;
    Ok(Start {
        pod: name.to_owned(),
        mounts: volumes::mounts(&world.manifests, set, name, &work, &world.data)?,
        variables: environment::resolve(&container.env, &world.manifests, &pod)?,
        binary: world.binary.clone(),
        hosts: world.board.file().to_owned(),
        log: world.data.join(format!("{name}.log")),
        work,
    })
}

struct Worker {
    world: Arc<World>,
    start: Start,
    address: Ipv4Addr,
    inbox: Receiver<Order>,
    status: Arc<Mutex<Status>>,
}

/// How a container ended.
enum End {
    Terminated,
    Died(String),
}

impl Worker {
    fn run(self) {
        let mut wait = Duration::ZERO;
        loop {
            match self.container() {
                Ok(End::Terminated) => break,
                Ok(End::Died(reason)) => say(&format!("{}: {reason}; starts again in {} s", self.start.pod, wait.as_secs())),
                Err(error) => {
                    self.note(|status| status.failure = Some(format!("{error:#}")));
                    break;
                }
            }
            self.note(|status| (status.restarts, status.was_killed) = (status.restarts + 1, false));
            if self.is_terminated_within(wait) {
                break;
            }
            wait = (wait * 2).clamp(BACKOFF, BACKOFF_MAX);
        }
        if let Err(error) = self.leave() {
            self.note(|status| status.failure = Some(format!("{error:#}")));
        }
    }

    fn is_terminated_within(&self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        loop {
            match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Order::Terminate) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Order::Signal(_)) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn leave(&self) -> anyhow::Result<()> {
        self.world.board.remove(&self.start.pod)?;
        self.world.network.leave(&self.start.pod)?;
        fs::remove_dir_all(&self.start.work)?;
        say(&format!("{}: is gone", self.start.pod));
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
