//! The controller of a StatefulSet: how many pods, in which order they come, go and are replaced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::pod::{Order, Pod, Status, World};
use crate::shell::say;

const TICK: Duration = Duration::from_millis(50);
const PARALLEL: &str = "Parallel";

/// The pods of the set.
#[derive(Debug)]
pub struct Controller {
    world: Arc<World>,
    pods: BTreeMap<u32, Pod>,
    patience: Duration,
}

impl Controller {
    /// No pods yet; `patience` is how long one may take to become ready.
    #[must_use]
    pub const fn new(world: Arc<World>, patience: Duration) -> Self {
        Self { world, pods: BTreeMap::new(), patience }
    }

    fn is_parallel(&self) -> bool {
        self.world.set.spec.pod_management_policy.as_deref() == Some(PARALLEL)
    }

    /// Starts the missing pods from 0 up, or ends the surplus from the highest down; returns when all are ready.
    ///
    /// # Errors
    /// When a pod does not become ready, or does not end in its time.
    pub fn scale(&mut self, replicas: u32) -> anyhow::Result<()> {
        say(&format!("scale to {replicas}"));
        for ordinal in 0..replicas {
            if !self.pods.contains_key(&ordinal) {
                self.pods.insert(ordinal, Pod::start(&self.world, ordinal)?);
            }
            if !self.is_parallel() {
                self.wait_ready(ordinal)?;
            }
        }
        let surplus: Vec<u32> = self.pods.keys().copied().rev().filter(|ordinal| *ordinal >= replicas).collect();
        for batch in surplus.chunks(if self.is_parallel() { surplus.len().max(1) } else { 1 }) {
            batch.iter().for_each(|ordinal| self.order(*ordinal, Order::Terminate));
            batch.iter().try_for_each(|ordinal| self.wait_gone(*ordinal))?;
        }
        (0..replicas).try_for_each(|ordinal| self.wait_ready(ordinal))
    }

    /// Replaces every pod, highest first; the next when this one has been ready for `minReadySeconds`.
    ///
    /// # Errors
    /// When a pod does not become ready, or does not end in its time.
    pub fn rolling_restart(&mut self) -> anyhow::Result<()> {
        say("rolling restart");
        let ordinals: Vec<u32> = self.pods.keys().copied().rev().collect();
        ordinals.into_iter().try_for_each(|ordinal| self.replace(ordinal))
    }

    /// Ends a pod as a drain of its machine would, and starts it again with another address and its old volume.
    ///
    /// # Errors
    /// When it does not become ready, or does not end in its time.
    pub fn replace(&mut self, ordinal: u32) -> anyhow::Result<()> {
        self.order(ordinal, Order::Terminate);
        self.wait_gone(ordinal)?;
        self.pods.insert(ordinal, Pod::start(&self.world, ordinal)?);
        self.wait_ready(ordinal)
    }

    /// Tells a pod something.
    pub fn order(&self, ordinal: u32, order: Order) {
        if let Some(pod) = self.pods.get(&ordinal) {
            pod.order(order);
        }
    }

    /// How a pod is.
    #[must_use]
    pub fn status(&self, ordinal: u32) -> Option<Status> {
        self.pods.get(&ordinal).map(Pod::status)
    }

    fn wait_gone(&mut self, ordinal: u32) -> anyhow::Result<()> {
        let pod = self.pods.remove(&ordinal).with_context(|| format!("there is no pod {ordinal}"))?;
        let status = pod.gone();
        anyhow::ensure!(!status.was_killed, "pod {ordinal} had to be killed: it did not end in its time");
        status.failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!("pod {ordinal}: {failure}")))
    }

    /// Waits until a pod has been ready for `minReadySeconds`.
    ///
    /// # Errors
    /// When it does not become so within the patience, or cannot be played.
    pub fn wait_ready(&self, ordinal: u32) -> anyhow::Result<()> {
        let stable = Duration::from_secs(self.world.set.spec.min_ready_seconds);
        let end = Instant::now() + self.patience + stable;
        loop {
            let status = self.status(ordinal).with_context(|| format!("there is no pod {ordinal}"))?;
            if let Some(failure) = status.failure {
                anyhow::bail!("pod {ordinal}: {failure}");
            }
            if status.ready_since.is_some_and(|since| since.elapsed() >= stable) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < end, "pod {ordinal} is not ready after {} s", self.patience.as_secs());
            std::thread::sleep(TICK);
        }
    }
}
