//! One sender: batch after batch, to any node; what is unknown is sent again, or given up.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::otlp::{Exporter, spans};
use super::{BATCH, Load, Shared};
use crate::random::Random;

const STREAM: u64 = 1 << 8;
const DEADLINE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Sender {
    tenant: String,
    exporters: Vec<Exporter>,
    random: Random,
    next: u64,
    left: u64,
    again_once_in: u64,
    give_up_once_in: u64,
    shared: Arc<Shared>,
}

impl Sender {
    /// Ids of sender `id` are its own.
    pub(super) fn new(id: u64, tenant: &str, load: &Load, shared: Arc<Shared>) -> Self {
        Self {
            exporters: shared.endpoints.iter().map(|endpoint| Exporter::new(endpoint, tenant)).collect(),
            tenant: tenant.to_owned(),
            random: Random::new(shared.seed, STREAM + id),
            next: id << 32,
            left: load.events_max / (load.senders * load.tenants.len() as u64),
            again_once_in: load.again_once_in,
            give_up_once_in: load.give_up_once_in,
            shared,
        }
    }

    fn has_to_stop(&self) -> bool {
        self.shared.senders_stop.load(Ordering::Relaxed)
    }

    pub(super) async fn run(mut self, pause: Duration) {
        while !self.has_to_stop() && self.left >= BATCH {
            let ids = self.next..self.next + BATCH;
            (self.next, self.left) = (ids.end, self.left - BATCH);
            self.batch(ids).await;
            sleep(pause).await;
        }
    }

    async fn batch(&mut self, ids: Range<u64>) {
        let number = self.shared.history.sent(&self.tenant, ids.clone(), self.shared.clock.us());
        let gives_up = self.random.once_in(self.give_up_once_in);
        while !self.send(ids.clone()).await {
            if gives_up || self.has_to_stop() {
                return;
            }
            sleep(RETRY_PAUSE).await;
        }
        self.shared.history.acknowledged(number, self.shared.clock.us());
        if self.random.once_in(self.again_once_in) {
            self.shared.resent.fetch_add(1, Ordering::Relaxed);
            self.send(ids).await;
        }
    }

    /// To any node, whether or not it could be reached last time.
    async fn send(&mut self, ids: Range<u64>) -> bool {
        let node = self.random.place(self.exporters.len());
        let sent = self.exporters[node].send(spans(ids), DEADLINE).await;
        if sent.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        sent.is_ok()
    }
}
