//! Carries out a plan of faults, and undoes each when its time is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use watershed_kubelet::shell::say;

use crate::cluster::Cluster;
use crate::fault::{Fault, Kind, Target};
use crate::settle;

/// Longest a node may take to end after SIGTERM; the product's drain timeouts are shorter.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Longest a node may take to be ready again in a rolling restart.
const READY_MAX: Duration = Duration::from_secs(30);

/// Does all faults, each at its time; they may overlap.
///
/// # Errors
/// When one cannot be done at all.
pub async fn run(cluster: &Arc<Cluster>, plan: &[Fault]) -> anyhow::Result<()> {
    let began = Instant::now();
    let one = |fault: Fault| async move {
        sleep_until(began + Duration::from_millis(fault.at_ms)).await;
        let places = resolve(cluster, fault.target).await;
        say(&format!("{fault}: {places:?}"));
        begin(cluster, &fault, &places).await?;
        if !matches!(fault.kind, Kind::Restart | Kind::Committer) {
            // How long it lasts is what was drawn: there is nothing to wait for.
            sleep(Duration::from_millis(fault.lasts_ms)).await;
        }
        end(cluster, &fault, &places)?;
        say(&format!("over: {} {}", fault.kind.name(), fault.target));
        anyhow::Ok(())
    };
    futures::future::try_join_all(plan.iter().map(|fault| one(*fault))).await.map(drop)
}

/// Whom it hits now. Who cannot be found is node 0: a fault is never left out.
async fn resolve(cluster: &Cluster, target: Target) -> Vec<usize> {
    match target {
        Target::All => (0..cluster.nodes.len()).collect(),
        Target::Place(place) => vec![place],
        Target::Leader(shard) => vec![leader(cluster, shard).await.unwrap_or_default()],
        Target::Committer => vec![committer(cluster).await.unwrap_or_default()],
        Target::Follower(shard) => {
            let leader = leader(cluster, shard).await.unwrap_or_default();
            vec![(leader + 1) % cluster.nodes.len()]
        }
    }
}

/// As the one sees it whose term is the newest.
async fn leader(cluster: &Cluster, shard: u32) -> Option<usize> {
    let statuses = cluster.statuses().await;
    let shards = statuses.iter().flatten().flat_map(|status| &status.shards);
    let known = shards.filter(|status| status.shard == shard && status.leader_node > 0);
    cluster.place_of(known.max_by_key(|status| status.term)?.leader_node)
}

/// As most see it.
async fn committer(cluster: &Cluster) -> Option<usize> {
    let statuses = cluster.statuses().await;
    let named: Vec<u64> = statuses.iter().flatten().map(|status| status.control_leader_node).filter(|node| *node > 0).collect();
    let votes = |node: &&u64| named.iter().filter(|other| other == node).count();
    cluster.place_of(*named.iter().max_by_key(votes)?)
}

/// Breaks what the fault breaks. A rolling restart is over when it returns, and the committer's fault is in its fail points.
async fn begin(cluster: &Cluster, fault: &Fault, places: &[usize]) -> anyhow::Result<()> {
    let mut nodes = places.iter().map(|place| &cluster.nodes[*place]);
    match fault.kind {
        Kind::Kill => nodes.try_for_each(|node| node.kill()),
        Kind::Power => nodes.try_for_each(|node| node.cut_power()),
        Kind::Wipe => nodes.try_for_each(|node| node.lose_disk()),
        Kind::Full => nodes.try_for_each(|node| node.fill_disk()),
        Kind::Stop => {
            nodes.for_each(|node| node.signal("STOP"));
            Ok(())
        }
        Kind::Partition | Kind::Oneway => {
            let mut ways = ways(cluster, fault, places).into_iter();
            ways.try_for_each(|(from, to)| cluster.nodes[from].cut_way_to(cluster.nodes[to].address()))
        }
        Kind::Restart => rolling_restart(cluster, places).await,
        Kind::Committer => Ok(()),
    }
}

/// Takes it back.
fn end(cluster: &Cluster, fault: &Fault, places: &[usize]) -> anyhow::Result<()> {
    let mut nodes = places.iter().map(|place| &cluster.nodes[*place]);
    match fault.kind {
        Kind::Kill | Kind::Power | Kind::Wipe => nodes.try_for_each(|node| node.start()),
        Kind::Full => {
            nodes.for_each(|node| node.free_disk());
            Ok(())
        }
        Kind::Stop => {
            nodes.for_each(|node| node.signal("CONT"));
            Ok(())
        }
        Kind::Partition | Kind::Oneway => {
            let mut ways = ways(cluster, fault, places).into_iter();
            ways.try_for_each(|(from, to)| cluster.nodes[from].mend_way_to(cluster.nodes[to].address()))
        }
        Kind::Restart | Kind::Committer => Ok(()),
    }
}

/// Ways from a node to another on which nothing arrives.
fn ways(cluster: &Cluster, fault: &Fault, places: &[usize]) -> Vec<(usize, usize)> {
    let cut: BTreeSet<usize> = places.iter().copied().collect();
    let others: Vec<usize> = (0..cluster.nodes.len()).filter(|place| !cut.contains(place)).collect();
    let is_deaf = fault.kind == Kind::Partition || !fault.is_mute;
    let is_mute = fault.kind == Kind::Partition || fault.is_mute;
    let pairs = cut.iter().flat_map(|place| others.iter().map(|other| (*place, *other)));
    pairs
        .flat_map(|(place, other)| [(is_mute, (place, other)), (is_deaf, (other, place))])
        .filter(|(is, _)| *is)
        .map(|(_, way)| way)
        .collect()
}

/// One after the other, each when the one before is ready again.
async fn rolling_restart(cluster: &Cluster, places: &[usize]) -> anyhow::Result<()> {
    for place in places {
        let began = Instant::now();
        let was_well = cluster.nodes[*place].terminate(DRAIN_MAX).await?;
        say(&format!(
            "node {place}: ended {} after {:.1} s",
            if was_well { "well" } else { "badly" },
            began.elapsed().as_secs_f64()
        ));
        cluster.nodes[*place].start()?;
        let answers = async || cluster.status(*place).await.map(drop).ok_or_else(|| "no answer".to_owned());
        if let Err(late) = settle::until(&format!("node {place} answers"), READY_MAX, answers).await {
            say(&late);
        }
    }
    Ok(())
}
