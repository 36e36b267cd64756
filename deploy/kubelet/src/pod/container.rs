//! One life of a container: until it dies by itself, is found dead by its liveness probe, or is told to end.

use std::process::{Child, ExitStatus};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{End, Order, Worker};
use crate::manifest::{Container, Handler, PodSpec, Probe};
use crate::probe::{self, Prober, Verdict};
use crate::process;
use crate::shell::{say, signal};

const TICK: Duration = Duration::from_millis(50);

/// The probes of one life. Until the first has succeeded the others are not asked.
struct Probes {
    startup: Option<Prober>,
    readiness: Option<Prober>,
    liveness: Option<Prober>,
}

impl Worker {
    /// Starts the container and returns when it has ended.
    pub(super) fn container(&self) -> anyhow::Result<End> {
        let mut child = self.start.spawn(self.spec(), self.what())?;
        let mut probes = self.probes();
        loop {
            if let Some(exit) = child.try_wait()? {
                self.set_ready(false)?;
                return Ok(End::Died(describe(exit)));
            }
            match self.inbox.recv_timeout(TICK) {
                Ok(Order::Terminate) | Err(RecvTimeoutError::Disconnected) => return self.terminate(child),
                Ok(Order::Signal(name)) => signal(child.id(), &name)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(reason) = self.ask(&mut probes, child.id())? {
                self.terminate(child)?;
                return Ok(End::Died(reason));
            }
        }
    }

    fn spec(&self) -> &PodSpec {
        &self.world.set.spec.template.spec
    }

    fn what(&self) -> &Container {
        self.spec().containers.first().expect("invariant: a pod without a container is refused at its start")
    }

    fn probes(&self) -> Probes {
        let now = Instant::now();
        let of = |probe: &Option<Probe>| probe.as_ref().map(|probe| Prober::new(probe, now));
        let what = self.what();
        Probes { startup: of(&what.startup_probe), readiness: of(&what.readiness_probe), liveness: of(&what.liveness_probe) }
    }

    /// The reason why the container must be started again, if there is one.
    fn ask(&self, probes: &mut Probes, pid: u32) -> anyhow::Result<Option<String>> {
        let ask = |probe: &Probe| self.handle(&probe.handler, pid, Duration::from_secs(probe.timeout_seconds));
        if let Some(startup) = &mut probes.startup {
            match startup.tick(Instant::now(), ask) {
                None => return Ok(None),
                Some(Verdict::Bad(reason)) => return Ok(Some(format!("startup probe: {reason}"))),
                Some(Verdict::Good) => *probes = Probes { startup: None, ..self.probes() },
            }
        }
        let readiness = match &mut probes.readiness {
            None => Some(Verdict::Good),
            Some(prober) => prober.tick(Instant::now(), ask),
        };
        match readiness {
            Some(Verdict::Good) => self.set_ready(true)?,
            Some(Verdict::Bad(reason)) => {
                if self.world.board.set_ready(&self.start.pod, false)? {
                    say(&format!("{}: is not ready: {reason}", self.start.pod));
                }
                self.note(|status| status.ready_since = None);
            }
            None => {}
        }
        match probes.liveness.as_mut().and_then(|prober| prober.tick(Instant::now(), ask)) {
            Some(Verdict::Bad(reason)) => Ok(Some(format!("liveness probe: {reason}"))),
            _ => Ok(None),
        }
    }

    fn set_ready(&self, is_ready: bool) -> anyhow::Result<()> {
        let is_news = self.world.board.set_ready(&self.start.pod, is_ready)?;
        if is_news {
            say(&format!("{}: is {}", self.start.pod, if is_ready { "ready" } else { "no longer ready" }));
        }
        self.note(|status| {
            status.ready_since = if is_ready { status.ready_since.or_else(|| Some(Instant::now())) } else { None };
        });
        Ok(())
    }

    fn handle(&self, handler: &Handler, pid: u32, limit: Duration) -> anyhow::Result<()> {
        let number = |port| self.what().port(port).with_context(|| format!("no port {port:?}"));
        match handler {
            Handler::HttpGet(get) => probe::http_get(self.address, number(&get.port)?, &get.path, limit),
            Handler::TcpSocket { port } => probe::connect(self.address, number(port)?, limit).map(drop),
            Handler::Exec { command } => probe::exec(&mut process::exec(pid, command, self.spec(), self.what())?, limit),
            Handler::Sleep { seconds } => {
                std::thread::sleep(Duration::from_secs(*seconds).min(limit));
                Ok(())
            }
        }
    }

    /// No longer an endpoint, preStop, SIGTERM, and SIGKILL when the time of all this is over.
    fn terminate(&self, mut child: Child) -> anyhow::Result<End> {
        let name = &self.start.pod;
        let (begin, grace) = (Instant::now(), Duration::from_secs(self.spec().termination_grace_period_seconds));
        say(&format!("{name}: is told to end, within {} s", grace.as_secs()));
        self.set_ready(false)?;
        if let Some(handler) = &self.what().lifecycle.pre_stop
            && let Err(error) = self.handle(handler, child.id(), grace)
        {
            say(&format!("{name}: preStop: {error:#}"));
        }
        if child.try_wait()?.is_none() {
            signal(child.id(), "TERM")?;
        }
        let exit = loop {
            if let Some(exit) = child.try_wait()? {
                break exit;
            }
            if begin.elapsed() > grace {
                say(&format!("{name}: did not end within {} s, is killed", grace.as_secs()));
                self.note(|status| status.was_killed = true);
                child.kill()?;
                break child.wait()?;
            }
            std::thread::sleep(TICK);
        };
        say(&format!("{name}: {} after {:.1} s", describe(exit), begin.elapsed().as_secs_f64()));
        Ok(End::Terminated)
    }
}

fn describe(exit: ExitStatus) -> String {
    format!("ended with {exit}")
}
