//! A node's process: started again when it dies, as Kubernetes would, unless somebody wants it down.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use watershed_kubelet::shell::{say, signal};

use super::FailPoints;

/// What is started.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) place: usize,
    /// Its network namespace.
    pub(super) namespace: String,
    pub(super) server: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) environment: Vec<(String, String)>,
    pub(super) fail_points: FailPoints,
    pub(super) log: PathBuf,
}

#[derive(Debug)]
pub(super) struct Process {
    launch: Launch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// It is to run: it is started again when it ends.
    is_wanted: bool,
    /// It was told to end, and may take its time.
    is_told: bool,
    is_healed: bool,
    life: u32,
    /// Of this life.
    fail_points: String,
    start_again: Option<Instant>,
    exits: Vec<Exit>,
}

/// A process that ended though nobody told it to.
#[derive(Clone, Debug, Serialize)]
pub struct Exit {
    /// The node.
    pub place: usize,
    /// Which of its lives.
    pub life: u32,
    /// How it ended.
    pub status: String,
    /// Fail points of that life.
    pub fail_points: String,
}

const START_AGAIN: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(20);

impl Process {
    pub(super) fn new(launch: Launch) -> Self {
        Self { launch, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        state.is_wanted = true;
        if state.child.is_none() { self.spawn(&mut state) } else { Ok(()) }
    }

    /// Not `ip netns exec`: that would keep mounts of the others' disks.
    fn spawn(&self, state: &mut State) -> anyhow::Result<()> {
        let Launch { place, namespace, server, data_dir, environment, fail_points, log } = &self.launch;
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let points = fail_points.of(*place, state.life, state.is_healed);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}")).arg(server).arg("serve").arg("--data-dir").arg(data_dir);
        command.envs(environment.iter().cloned()).env("NO_COLOR", "1");
        if !points.is_empty() {
            command.env("FAILPOINTS", &points);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        state.child = Some(command.spawn().context("nsenter")?);
        state.life += 1;
        (state.fail_points, state.is_told, state.start_again) = (points, false, None);
        Ok(())
    }

    /// To be called again and again.
    pub(super) fn look_after(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        if !state.is_wanted {
            return Ok(());
        }
        let ended = state.child.as_mut().map(Child::try_wait).transpose()?.flatten();
        if let Some(status) = ended {
            state.child = None;
            if !state.is_told {
                self.note(&mut state, &status.to_string());
            }
        }
        let is_due = state.start_again.is_none_or(|at| Instant::now() >= at);
        if state.child.is_none() && is_due { self.spawn(&mut state) } else { Ok(()) }
    }

    fn note(&self, state: &mut State, status: &str) {
        let (place, life, fail_points) = (self.launch.place, state.life - 1, state.fail_points.clone());
        say(&format!("node {place}: ended by itself: {status} (fail points: {fail_points:?})"));
        state.exits.push(Exit { place, life, status: status.to_owned(), fail_points });
        state.start_again = Some(Instant::now() + START_AGAIN);
    }

    /// `kill -9`; it stays down until it is started.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        self.kill_and(|| Ok(()))
    }

    /// Does something while it is down for sure: another fault may want to start it.
    pub(super) fn kill_and(&self, done: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut state = self.state();
        state.is_wanted = false;
        if let Some(mut child) = state.child.take() {
            child.kill()?;
            child.wait()?;
        }
        done()
    }

    /// SIGTERM, and `kill -9` when it has not ended within `patience`. Whether it ended well; true when it does not run.
    pub(super) async fn terminate(&self, patience: Duration) -> anyhow::Result<bool> {
        let life = {
            let mut state = self.state();
            (state.is_wanted, state.is_told) = (false, true);
            state.life
        };
        self.signal("TERM");
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(was_well) = self.ended(life)? {
                return Ok(was_well);
            }
            tokio::time::sleep(TICK).await;
        }
        self.kill()?;
        Ok(false)
    }

    /// Whether a life that was told to end did so well, once it has. Another fault may have ended it, or the next has begun.
    fn ended(&self, life: u32) -> anyhow::Result<Option<bool>> {
        let mut state = self.state();
        if state.life != life {
            return Ok(Some(true));
        }
        let Some(child) = &mut state.child else { return Ok(Some(true)) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        state.child = None;
        Ok(Some(status.success()))
    }

    pub(super) fn signal(&self, name: &str) {
        if let Some(child) = &self.state().child {
            drop(signal(child.id(), name));
        }
    }

    pub(super) fn heal(&self) -> anyhow::Result<()> {
        self.state().is_healed = true;
        self.signal("CONT");
        self.start()
    }

    pub(super) fn exits(&self) -> Vec<Exit> {
        self.state().exits.clone()
    }
}
