//! What is done to the set, one step after the other.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

use crate::pod::Order;
use crate::shell::{self, say};
use crate::stateful_set::Controller;

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Replace all pods, highest first.
    Restart,
    /// Have that many pods.
    Scale(u32),
    /// Replace one pod.
    Delete(u32),
    /// Send a pod's process a signal, like `KILL`, and wait until the pod is ready.
    Signal(u32, String),
    /// Run a shell command where services have their names; it must end well.
    Exec(String),
    /// Do nothing.
    Wait(Duration),
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (word, value) = text.split_once('=').unwrap_or((text, ""));
        Ok(match word {
            "restart" => Self::Restart,
            "scale" => Self::Scale(value.parse().context("scale=REPLICAS")?),
            "delete" => Self::Delete(value.parse().context("delete=ORDINAL")?),
            "wait" => Self::Wait(Duration::from_secs(value.parse().context("wait=SECONDS")?)),
            "exec" => Self::Exec(value.to_owned()),
            "signal" => {
                let (ordinal, name) = value.split_once(':').context("signal=ORDINAL:NAME")?;
                Self::Signal(ordinal.parse().context("signal=ORDINAL:NAME")?, name.to_owned())
            }
            other => {
                anyhow::bail!("step {other} is none of restart, scale=N, delete=N, signal=N:NAME, exec=COMMAND, wait=SECONDS")
            }
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl Step {
    /// Does it; returns when all pods that should be ready are.
    ///
    /// # Errors
    /// When a pod does not become ready or does not end in its time, or a command fails.
    pub fn run(&self, set: &mut Controller) -> anyhow::Result<()> {
        match self {
            Self::Restart => set.rolling_restart(),
            Self::Scale(replicas) => set.scale(*replicas),
            Self::Delete(ordinal) => set.replace(*ordinal),
            Self::Signal(ordinal, name) => signal(set, *ordinal, name),
            Self::Exec(line) => {
                let exit = shell::start(line)?.wait()?;
                anyhow::ensure!(exit.success(), "it ended with {exit}");
                Ok(())
            }
            Self::Wait(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
        }
    }
}

/// Signals after which a process is dead, so that the pod must be ready anew.
const DEADLY: [&str; 4] = ["KILL", "TERM", "ABRT", "SEGV"];

fn signal(set: &Controller, ordinal: u32, name: &str) -> anyhow::Result<()> {
    let before = set.status(ordinal).with_context(|| format!("there is no pod {ordinal}"))?.restarts;
    say(&format!("SIG{name} to pod {ordinal}"));
    set.order(ordinal, Order::Signal(name.to_owned()));
    while DEADLY.contains(&name) && set.status(ordinal).is_some_and(|now| now.restarts == before && now.failure.is_none()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    if name == "STOP" { Ok(()) } else { set.wait_ready(ordinal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_words() {
        let step = |text: &str| text.parse::<Step>().expect("a step");
        assert_eq!(step("scale=5"), Step::Scale(5));
        assert_eq!(step("signal=1:KILL"), Step::Signal(1, "KILL".to_owned()));
        assert!("scale=many".parse::<Step>().is_err() && "reboot".parse::<Step>().is_err());
    }
}
