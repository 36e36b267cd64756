//! Looks while things break: a query that began after an acknowledgement sees its events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;
use watershed_kubelet::shell::say;

use super::Shared;
use crate::checker::{Moment, Read};
use crate::random::Random;
use crate::sql;

const STREAM: u64 = 3 << 8;
const PAUSE: Duration = Duration::from_secs(2);

/// Reads everything of some tenant through some node, again and again. A query that fails says nothing.
pub(super) async fn read_on(tenants: Vec<String>, shared: Arc<Shared>) -> Vec<Read> {
    let (mut random, mut reads) = (Random::new(shared.seed, STREAM), Vec::new());
    let mut failed = 0;
    while !shared.senders_stop.load(Ordering::Relaxed) {
        let (node, tenant) = (random.place(shared.endpoints.len()), &tenants[random.place(tenants.len())]);
        let began_us = shared.clock.us();
        match sql::read(&shared.endpoints[node], tenant).await {
            Ok(rows) => {
                let reader = format!("node {node} during the load");
                reads.push(Read { reader, tenant: tenant.clone(), moment: Moment::During(began_us), rows });
            }
            Err(_failed) => failed += 1,
        }
        sleep(PAUSE).await;
    }
    say(&format!("{} queries answered during the load, {failed} not", reads.len()));
    reads
}
