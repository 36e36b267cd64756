//! After the faults: waits until the cluster is whole, writes go on, and all readers have come to rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use watershed_kubelet::shell::say;

use crate::checker::{Moment, Read};
use crate::cluster::Cluster;
use crate::sql;
use crate::workload::{Shared, Workload};

/// Longest until all nodes answer and all shards are led.
const WHOLE_MAX: Duration = Duration::from_secs(90);
/// Longest until a write is acknowledged again.
const WRITES_MAX: Duration = Duration::from_secs(60);
/// Longest until every reader sees the same.
const QUIET_MAX: Duration = Duration::from_secs(90);
/// Longest until everything is in the lake.
const ARCHIVED_MAX: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Waits for `done`; what is not yet so, when it never comes.
pub(crate) async fn until(what: &str, most: Duration, mut done: impl AsyncFnMut() -> Result<(), String>) -> Result<(), String> {
    let (begin, end) = (Instant::now(), Instant::now() + most);
    loop {
        match done().await {
            Ok(()) => {
                say(&format!("{what}, after {:.1} s", begin.elapsed().as_secs_f64()));
                return Ok(());
            }
            Err(why) if Instant::now() > end => return Err(format!("{what} not within {} s: {why}", most.as_secs())),
            Err(_not_yet) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// All nodes answer, and each knows who leads each shard, with so many voters.
///
/// # Errors
/// Which does not.
pub async fn whole(cluster: &Cluster, voters_min: usize) -> Result<(), String> {
    until("the cluster is whole", WHOLE_MAX, async || {
        for (place, status) in cluster.statuses().await.iter().enumerate() {
            let status = status.as_ref().ok_or_else(|| format!("node {place} does not answer"))?;
            let led = |shard: &&watershed_client::ShardStatus| shard.leader_node > 0 && shard.voters.len() >= voters_min;
            if let Some(shard) = status.shards.iter().find(|shard| !led(shard)) {
                let (number, leader, voters) = (shard.shard, shard.leader_node, &shard.voters);
                return Err(format!("node {place}: shard {number} is led by {leader}, voters {voters:?}"));
            }
        }
        Ok(())
    })
    .await
}

/// Each tenant gets an acknowledgement from now on; those that are spread write to every shard.
///
/// # Errors
/// Who does not.
pub async fn writable(shared: &Shared, workload: &mut Workload) -> Result<(), String> {
    let since_us = shared.clock.us();
    until("writes are acknowledged again", WRITES_MAX, async || {
        let tenants = workload.subscribers().iter().map(|followed| followed.tenant());
        let waits: Vec<&str> = tenants.filter(|tenant| !shared.history.is_acknowledged_since(tenant, since_us)).collect();
        let waits = waits.join(", ");
        if waits.is_empty() || workload.senders() == 0 { Ok(()) } else { Err(format!("nothing of {waits}")) }
    })
    .await
}

/// Every node and the subscription have seen as many events, and that stays so.
///
/// # Errors
/// Who has seen how many.
pub async fn quiet(cluster: &Arc<Cluster>, workload: &Workload) -> Result<(), String> {
    let mut before = Vec::new();
    until("readers agree", QUIET_MAX, async || {
        let mut now = Vec::new();
        for followed in workload.subscribers() {
            let mut counts = vec![followed.count()];
            for endpoint in cluster.endpoints() {
                let count = sql::count(&endpoint, followed.tenant(), "").await;
                counts.push(count.map_err(|error| format!("{endpoint}: {error:#}"))?);
            }
            now.push((followed.tenant().to_owned(), counts));
        }
        let agree = now.iter().all(|(_, counts)| counts.iter().all(|count| count == &counts[0]));
        let is_still = now == before;
        before.clone_from(&now);
        if agree && is_still { Ok(()) } else { Err(format!("subscription and nodes have seen {now:?}")) }
    })
    .await
}

/// No row is only hot.
///
/// # Errors
/// How many are.
pub async fn archived(cluster: &Arc<Cluster>, tenants: &[String]) -> Result<(), String> {
    until("all is in the lake", ARCHIVED_MAX, async || {
        for endpoint in cluster.endpoints() {
            for tenant in tenants {
                let hot = sql::count(&endpoint, tenant, "WHERE _tier = 'hot'").await;
                let hot = hot.map_err(|error| format!("{endpoint}: {error:#}"))?;
                if hot > 0 {
                    return Err(format!("{hot} rows of {tenant} are hot at {endpoint}"));
                }
            }
        }
        Ok(())
    })
    .await
}

/// What each node says is there, tier by tier.
///
/// # Errors
/// Who cannot say.
pub async fn read_all(cluster: &Arc<Cluster>, tenants: &[String], from: &str) -> Result<Vec<Read>, String> {
    let mut reads = Vec::new();
    for (place, endpoint) in cluster.endpoints().iter().enumerate() {
        for tenant in tenants {
            let reader = format!("node {place}, {from}");
            let rows = sql::read(endpoint, tenant).await.map_err(|error| format!("{reader}: {error:#}"))?;
            reads.push(Read { reader, tenant: tenant.clone(), moment: Moment::Final, rows });
        }
    }
    Ok(reads)
}
