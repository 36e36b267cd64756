//! A cluster as text and as JSON.

use std::fmt::Write as _;

use watershed_client::{DescribeClusterResponse, NodeStatus, ReplicaStatus};

pub(super) fn text(cluster: &DescribeClusterResponse) -> String {
    let mut text = format!("cluster {}\n", cluster.cluster_id);
    line(&mut text, format_args!("{:>5} {:>9} {:>9} {:>10} {:<10} address", "node", "state", "reachable", "controller", "zone"));
    for NodeStatus { node, address, zone, state, reachable, controller, .. } in &cluster.nodes {
        let (reachable, controller) = (yes(*reachable), yes(*controller));
        line(&mut text, format_args!("{node:>5} {state:>9} {reachable:>9} {controller:>10} {zone:<10} {address}"));
    }
    line(
        &mut text,
        format_args!(
            "\n{:>7} {:>5} {:>9} {:>5} {:>9} {:>9} {:>9} {:>12} {:>12} {:>9} {:>9} voters",
            "shard", "node", "role", "term", "committed", "durable", "applied", "archived", "tail", "lag", "hot MiB"
        ),
    );
    for replica in sorted(cluster) {
        line(&mut text, format_args!("{}", row(replica)));
    }
    let next = if cluster.next_step.is_empty() { "everything stands where it should" } else { &cluster.next_step };
    line(&mut text, format_args!("\nnext: {next}"));
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{}", line.to_string().trim_end()).expect("invariant: a String takes every write");
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn sorted(cluster: &DescribeClusterResponse) -> Vec<&ReplicaStatus> {
    let mut replicas: Vec<&ReplicaStatus> = cluster.replicas.iter().collect();
    replicas.sort_by_key(|replica| (replica.shard, replica.node));
    replicas
}

fn shard(replica: &ReplicaStatus) -> String {
    replica.shard.map_or_else(|| "control".to_owned(), |shard| shard.to_string())
}

/// Entries that are committed and not applied here, as far as this replica knows.
fn lag(replica: &ReplicaStatus) -> u64 {
    replica.committed_lsn.saturating_sub(replica.applied_lsn)
}

fn row(replica: &ReplicaStatus) -> String {
    let ReplicaStatus { node, role, term, committed_lsn, durable_lsn, applied_lsn, archived_seq, tail_seq, .. } = replica;
    let (shard, lag, mib) = (shard(replica), lag(replica), replica.hot_bytes as f64 / 1_048_576.0);
    let voters = replica.voters.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    format!(
        "{shard:>7} {node:>5} {role:>9} {term:>5} {committed_lsn:>9} {durable_lsn:>9} {applied_lsn:>9} {archived_seq:>12} \
         {tail_seq:>12} {lag:>9} {mib:>9.1} {voters}"
    )
}

pub(super) fn json(cluster: &DescribeClusterResponse) -> String {
    let node = |node: &NodeStatus| {
        serde_json::json!({
            "node": node.node, "address": node.address, "zone": node.zone, "state": node.state,
            "reachable": node.reachable, "controller": node.controller,
        })
    };
    let replica = |replica: &ReplicaStatus| {
        serde_json::json!({
            "node": replica.node, "shard": replica.shard, "role": replica.role, "term": replica.term,
            "committed_lsn": replica.committed_lsn, "durable_lsn": replica.durable_lsn, "applied_lsn": replica.applied_lsn,
            "lag": lag(replica), "trimmed_seq": replica.trimmed_seq, "archived_seq": replica.archived_seq,
            "tail_seq": replica.tail_seq, "hot_bytes": replica.hot_bytes, "leader": replica.leader,
            "voters": replica.voters, "learners": replica.learners,
        })
    };
    let value = serde_json::json!({
        "cluster_id": cluster.cluster_id, "nodes": cluster.nodes.iter().map(node).collect::<Vec<_>>(),
        "replicas": sorted(cluster).into_iter().map(replica).collect::<Vec<_>>(), "next_step": cluster.next_step,
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> DescribeClusterResponse {
        let node = NodeStatus { node: 2, address: "b:4319".to_owned(), state: "active".to_owned(), ..NodeStatus::default() };
        let control = ReplicaStatus { node: 2, role: "leader".to_owned(), voters: vec![1, 2, 3], ..ReplicaStatus::default() };
        let shard = ReplicaStatus { shard: Some(7), committed_lsn: 9, applied_lsn: 4, ..control.clone() };
        DescribeClusterResponse {
            cluster_id: "abc".to_owned(),
            nodes: vec![node],
            replicas: vec![shard, control],
            ..Default::default()
        }
    }

    #[test]
    fn a_line_for_each_node_and_replica_the_control_group_first() {
        let text = text(&cluster());
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = text.lines().map(words).filter(|words| !words.is_empty()).collect();
        assert_eq!(lines[2], ["2", "active", "no", "no", "b:4319"]);
        assert_eq!((lines[4][0].as_str(), lines[5][0].as_str()), ("control", "7"));
        assert_eq!((lines[5][9].as_str(), lines[5][11].as_str()), ("5", "1,2,3"), "lag and voters");
        assert!(text.ends_with("next: everything stands where it should\n"));
    }

    #[test]
    fn json_has_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json(&cluster())).expect("JSON");
        assert_eq!((&value["replicas"][0]["shard"], &value["replicas"][1]["lag"]), (&serde_json::Value::Null, &5.into()));
    }
}
