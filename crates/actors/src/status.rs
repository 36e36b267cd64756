//! What this node says of its replicas.

use watershed_cluster::Status;
use watershed_schema::proto::ReplicaStatus;
use watershed_schema::{GroupId, Lsn, NodeId, Positions};

use crate::Gateway;

/// Of every shard here, and of the control group.
pub(crate) fn replicas(gateway: &Gateway) -> Vec<ReplicaStatus> {
    let of_shard = |replica: &crate::shard::Replica| ReplicaStatus {
        shard: Some(u32::from(replica.id().0)),
        hot_bytes: replica.hot_bytes(),
        ..of(gateway.me(), &replica.status(), &replica.positions())
    };
    let control = gateway.group(GroupId::CONTROL).map(|group| of(gateway.me(), &group.status(), &Positions::default()));
    control.into_iter().chain(gateway.replicas().iter().map(of_shard)).collect()
}

fn of(me: NodeId, group: &Status, positions: &Positions) -> ReplicaStatus {
    let lsn = |lsn: Option<Lsn>| lsn.map_or(0, |lsn| lsn.0);
    let numbers = |nodes: &std::collections::BTreeSet<NodeId>| nodes.iter().map(|node| node.0).collect();
    ReplicaStatus {
        node: me.0,
        shard: None,
        role: group.role.as_str().to_owned(),
        term: group.term.0,
        committed_lsn: lsn(group.committed),
        durable_lsn: lsn(group.durable),
        applied_lsn: lsn(group.applied),
        trimmed_seq: positions.trimmed().0,
        archived_seq: positions.archived().0,
        tail_seq: positions.tail().0,
        hot_bytes: 0,
        leader: group.leader.map_or(0, |node| node.0),
        voters: numbers(&group.voters),
        learners: numbers(&group.learners),
    }
}
