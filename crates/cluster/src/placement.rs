//! Where a shard's replicas should stand: rendezvous hashing over nodes, different zones first.

use std::collections::BTreeSet;

use watershed_schema::{NodeId, ShardId};
use xxhash_rust::xxh3::xxh3_64;

/// A node that can hold replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Its failure domain.
    pub zone: String,
}

/// The nodes of a shard's replicas, at most `replicas`, best first. No zone twice while another is free.
#[must_use]
pub fn place(shard: ShardId, members: &[Member], replicas: usize) -> Vec<NodeId> {
    let mut ranked: Vec<&Member> = members.iter().collect();
    ranked.sort_by_key(|member| std::cmp::Reverse((score(shard, member.node), member.node)));
    let mut zones = BTreeSet::new();
    let (first_of_zone, others): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|member| zones.insert(member.zone.as_str()));
    first_of_zone.into_iter().chain(others).take(replicas).map(|member| member.node).collect()
}

fn score(shard: ShardId, node: NodeId) -> u64 {
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&shard.0.to_le_bytes());
    bytes[2..].copy_from_slice(&node.0.to_le_bytes());
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(nodes: u64, zones: u64) -> Vec<Member> {
        (1..=nodes).map(|node| Member { node: NodeId(node), zone: format!("z{}", node % zones) }).collect()
    }

    fn all(members: &[Member]) -> Vec<BTreeSet<NodeId>> {
        (0..256).map(|shard| place(ShardId(shard), members, 3).into_iter().collect()).collect()
    }

    #[test]
    fn replicas_stand_on_different_nodes_and_zones() {
        let members = members(9, 3);
        for nodes in all(&members) {
            let zone = |node: &NodeId| &members.iter().find(|member| member.node == *node).expect("known").zone;
            assert_eq!(nodes.iter().map(zone).collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn few_zones_still_give_all_replicas() {
        assert!(all(&members(5, 1)).iter().all(|nodes| nodes.len() == 3));
        assert_eq!(place(ShardId(0), &members(2, 2), 3).len(), 2);
    }

    #[test]
    fn a_new_node_takes_about_its_share() {
        let (before, after) = (all(&members(4, 1)), all(&members(5, 1)));
        let moved: usize = before.iter().zip(&after).map(|(old, new)| new.difference(old).count()).sum();
        let share = 256 * 3 / 5;
        assert!(moved > share * 7 / 10 && moved < share * 13 / 10, "{moved} of {} replicas moved", 256 * 3);
    }
}
