//! What the controller does next: one step at a time, so that never more than one replica of a shard is on its way.

use std::collections::{BTreeMap, BTreeSet};

use watershed_schema::{GroupId, NodeId, ShardId};

use super::ControlView;
use crate::{Member, place};

/// Voters of the control group: enough to lose one, or two of a larger cluster.
const CONTROL_VOTERS_MAX: usize = 5;

/// What the controller sees of a group; it is asked anew for each step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who leads.
    pub leader: NodeId,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Note in the control log which nodes hold a shard, so that they open or close their replicas.
    Assign {
        /// The shard.
        shard: ShardId,
        /// Its nodes.
        nodes: Vec<NodeId>,
    },
    /// Have the group's leader change its voters; who is new becomes a learner first.
    Voters {
        /// The group.
        group: GroupId,
        /// Its voters.
        voters: BTreeSet<NodeId>,
    },
    /// Have the group's leader hand over.
    Transfer {
        /// The group.
        group: GroupId,
        /// Who leads then.
        to: NodeId,
    },
}

/// The next step towards where replicas should stand, if any. `alive`: nodes that answer, or have not been silent for
/// long enough to be given up. `silent`: those of them that do not answer now. `seen`: the groups whose leader answers;
/// others are left alone, and so are those with a silent voter: it comes back or is given up, and until then another voter
/// taken out, or named a successor, would be one too many.
#[must_use]
pub fn next_step(
    view: &ControlView,
    alive: &BTreeSet<NodeId>,
    silent: &BTreeSet<NodeId>,
    seen: &BTreeMap<GroupId, Seen>,
) -> Option<Step> {
    let members: Vec<Member> = view.members().into_iter().filter(|member| alive.contains(&member.node)).collect();
    if members.is_empty() {
        return None;
    }
    let whole = seen.iter().filter(|(_, now)| now.voters.is_disjoint(silent));
    let seen = &whole.map(|(group, now)| (*group, now.clone())).collect();
    let shards = (0..view.shards.len()).filter_map(|number| u16::try_from(number).ok()).map(ShardId);
    control_step(view, &members, seen)
        .or_else(|| shards.clone().find_map(|shard| shard_step(view, shard, &members, seen)))
        .or_else(|| balance(&members, shards, seen))
}

/// An odd number of voters, those that are there first.
fn control_step(view: &ControlView, members: &[Member], seen: &BTreeMap<GroupId, Seen>) -> Option<Step> {
    let now = seen.get(&GroupId::CONTROL)?;
    let count = match members.len() {
        count if count >= CONTROL_VOTERS_MAX => CONTROL_VOTERS_MAX,
        count if count >= 3 => 3,
        count => count,
    };
    let stay = members.iter().filter(|member| now.voters.contains(&member.node));
    let come = members.iter().filter(|member| !now.voters.contains(&member.node));
    let wanted = stay.chain(come).take(count).map(|member| member.node).collect();
    voters(GroupId::CONTROL, now, &filled(view, wanted, &now.voters, 3))
}

/// A silent node keeps its place while nobody can take it: with fewer voters the group would bear no more.
fn filled(view: &ControlView, mut wanted: BTreeSet<NodeId>, has: &BTreeSet<NodeId>, count: usize) -> BTreeSet<NodeId> {
    let members = view.members();
    let silent = has.iter().filter(|node| members.iter().any(|member| member.node == **node) && !wanted.contains(node));
    let missing: Vec<NodeId> = silent.copied().take(count.saturating_sub(wanted.len())).collect();
    wanted.extend(missing);
    wanted
}

/// Towards `wanted` by one node: first they come, then the others go.
fn voters(group: GroupId, now: &Seen, wanted: &BTreeSet<NodeId>) -> Option<Step> {
    let mut next = now.voters.clone();
    if let Some(new) = wanted.difference(&now.voters).next() {
        next.insert(*new);
        return Some(Step::Voters { group, voters: next });
    }
    let mut leaving: Vec<NodeId> = now.voters.difference(wanted).copied().collect();
    leaving.sort_by_key(|node| *node == now.leader);
    let gone = leaving.first()?;
    if *gone == now.leader {
        let to = *wanted.first()?;
        return Some(Step::Transfer { group, to });
    }
    next.remove(gone);
    Some(Step::Voters { group, voters: next })
}

fn shard_step(view: &ControlView, shard: ShardId, members: &[Member], seen: &BTreeMap<GroupId, Seen>) -> Option<Step> {
    let (group, assigned) = (GroupId::of_shard(shard), view.replicas_of(shard));
    let now = seen.get(&group)?;
    let has: BTreeSet<NodeId> = assigned.iter().copied().collect();
    let wanted = filled(view, place(shard, members, view.replicas).into_iter().collect(), &has, view.replicas);
    if let Some(new) = wanted.difference(&has).next() {
        let nodes = assigned.iter().copied().chain([*new]).collect();
        return Some(Step::Assign { shard, nodes });
    }
    if let Some(step) = voters(group, now, &wanted) {
        return Some(step);
    }
    (has != wanted).then(|| Step::Assign { shard, nodes: wanted.into_iter().collect() })
}

/// One leader from who leads most to who leads least, when they differ by two or more.
fn balance(members: &[Member], shards: impl Iterator<Item = ShardId>, seen: &BTreeMap<GroupId, Seen>) -> Option<Step> {
    let groups: Vec<(GroupId, &Seen)> =
        shards.map(GroupId::of_shard).filter_map(|group| seen.get(&group).map(|now| (group, now))).collect();
    let leads = |node: NodeId| groups.iter().filter(|(_, now)| now.leader == node).count();
    let mut steps = groups.iter().flat_map(|(group, now)| {
        let here = leads(now.leader);
        let better = move |member: &&Member| now.voters.contains(&member.node) && leads(member.node) + 2 <= here;
        members.iter().filter(better).map(move |member| (leads(member.node), *group, member.node))
    });
    let first = steps.next()?;
    let (_, group, to) = steps.fold(first, |best, step| if step.0 < best.0 { step } else { best });
    Some(Step::Transfer { group, to })
}

#[cfg(test)]
mod tests {
    use watershed_schema::proto::NodeState;

    use super::*;
    use crate::control::Node;

    /// A cluster that does what it is told at once.
    struct Model {
        view: ControlView,
        alive: BTreeSet<NodeId>,
        silent: BTreeSet<NodeId>,
        seen: BTreeMap<GroupId, Seen>,
        moved: usize,
    }

    impl Model {
        fn founded(shards: u16) -> Self {
            let first = Seen { leader: NodeId(1), voters: [NodeId(1)].into() };
            let groups = (0..shards).map(|shard| GroupId::of_shard(ShardId(shard))).chain([GroupId::CONTROL]);
            let view = ControlView { replicas: 3, shards: vec![vec![NodeId(1)]; usize::from(shards)], ..ControlView::default() };
            let seen = groups.map(|group| (group, first.clone())).collect();
            let mut model = Self { view, alive: BTreeSet::new(), silent: BTreeSet::new(), seen, moved: 0 };
            model.join(1);
            model
        }

        fn join(&mut self, node: u64) {
            let new = Node { join_id: node.to_string(), address: String::new(), zone: String::new(), state: NodeState::Active };
            self.view.nodes.insert(NodeId(node), new);
            self.alive.insert(NodeId(node));
        }

        /// Steps until nothing is left to do.
        fn settle(&mut self) -> &mut Self {
            self.moved = 0;
            for _ in 0..2_000 {
                let Some(step) = next_step(&self.view, &self.alive, &self.silent, &self.seen) else { return self };
                self.carry_out(step);
            }
            panic!("it never settles: {:?}", next_step(&self.view, &self.alive, &self.silent, &self.seen));
        }

        fn carry_out(&mut self, step: Step) {
            match step {
                Step::Assign { shard, nodes } => {
                    let seen = &self.seen[&GroupId::of_shard(shard)];
                    assert!(seen.voters.iter().all(|voter| nodes.contains(voter)), "a voter's replica is not closed");
                    self.moved += nodes.len().saturating_sub(self.view.replicas_of(shard).len());
                    self.view.shards[usize::from(shard.0)] = nodes;
                }
                Step::Voters { group, voters } => {
                    let before = self.seen.get_mut(&group).expect("seen");
                    assert_eq!(before.voters.symmetric_difference(&voters).count(), 1, "one at a time");
                    assert!(voters.contains(&before.leader), "a leader does not remove itself");
                    let shard = group.shard().map(|shard| self.view.replicas_of(shard).to_vec());
                    assert!(shard.is_none_or(|nodes| voters.iter().all(|voter| nodes.contains(voter))), "opened before");
                    before.voters = voters;
                }
                Step::Transfer { group, to } => {
                    let now = self.seen.get_mut(&group).expect("seen");
                    assert!(now.voters.contains(&to) && now.leader != to);
                    now.leader = to;
                }
            }
        }

        /// It is dead, and given up.
        fn die(&mut self, node: u64) {
            self.fall_silent(node);
            self.silent.remove(&NodeId(node));
            self.alive.remove(&NodeId(node));
        }

        /// It does not answer; others lead instead.
        fn fall_silent(&mut self, node: u64) {
            self.silent.insert(NodeId(node));
            for seen in self.seen.values_mut().filter(|seen| seen.leader == NodeId(node)) {
                seen.leader = *seen.voters.iter().find(|voter| !self.silent.contains(voter)).expect("a quorum");
            }
        }

        fn leads(&self, node: u64) -> usize {
            let shards = self.seen.iter().filter(|(group, _)| group.shard().is_some());
            shards.filter(|(_, seen)| seen.leader == NodeId(node)).count()
        }

        fn placed(&self) -> bool {
            let voters = |shard: usize| &self.seen[&GroupId::of_shard(ShardId(u16::try_from(shard).expect("small")))].voters;
            self.view.shards.iter().enumerate().all(|(shard, nodes)| {
                let nodes: BTreeSet<NodeId> = nodes.iter().copied().collect();
                nodes == *voters(shard) && nodes.len() == 3
            })
        }
    }

    #[test]
    fn three_nodes_hold_everything_and_share_the_leaders() {
        let mut model = Model::founded(16);
        assert!(next_step(&model.view, &model.alive, &model.silent, &model.seen).is_none(), "alone there is nothing to do");
        (2..=3).for_each(|node| model.join(node));
        assert!(model.settle().placed());
        assert_eq!(model.seen[&GroupId::CONTROL].voters.len(), 3);
        assert!((1..=3).all(|node| (5..=6).contains(&model.leads(node))));
    }

    #[test]
    fn a_fourth_node_takes_its_share_and_no_more() {
        let mut model = Model::founded(64);
        (2..=3).for_each(|node| model.join(node));
        model.settle();
        model.join(4);
        assert!(model.settle().placed());
        let ideal = 64 * 3 / 4;
        assert!(model.moved * 10 <= ideal * 13, "{} replicas moved, ideal is {ideal}", model.moved);
        assert!((1..=4).all(|node| model.leads(node) <= 17));
    }

    #[test]
    fn a_dead_node_is_replaced_where_somebody_can_take_its_place() {
        let mut model = Model::founded(16);
        (2..=3).for_each(|node| model.join(node));
        model.settle();
        model.die(2);
        let before = model.view.clone();
        assert_eq!(model.settle().view, before, "two nodes cannot hold three replicas: the place is kept");
        model.join(4);
        model.settle();
        assert!(model.view.shards.iter().all(|nodes| nodes.len() == 3 && !nodes.contains(&NodeId(2))));
        assert!(!model.seen[&GroupId::CONTROL].voters.contains(&NodeId(2)));
    }

    /// Found by chaos: leadership was handed to a dead node again and again, and each time nobody led for seconds; and a
    /// node that joined in its place pushed out a voter that lived.
    #[test]
    fn while_a_voter_is_silent_its_groups_are_left_alone() {
        let mut model = Model::founded(16);
        (2..=3).for_each(|node| model.join(node));
        model.settle();
        model.fall_silent(3);
        let (before, seen) = (model.view.clone(), model.seen.clone());
        assert_eq!(model.settle().seen, seen, "nobody is asked to lead who does not answer");
        model.join(4);
        assert_eq!(model.settle().view.shards, before.shards, "who came waits until the silent one is given up");
        model.die(3);
        model.settle();
        assert!(model.placed() && model.view.shards.iter().all(|nodes| !nodes.contains(&NodeId(3))));
        assert!(model.leads(4) > 0);
    }

    #[test]
    fn who_drains_gives_everything_away() {
        let mut model = Model::founded(16);
        (2..=4).for_each(|node| model.join(node));
        model.settle();
        model.view.nodes.get_mut(&NodeId(1)).expect("known").state = NodeState::Draining;
        model.settle();
        assert!(model.view.shards.iter().all(|nodes| nodes.len() == 3 && !nodes.contains(&NodeId(1))));
        assert!(model.seen.values().all(|seen| !seen.voters.contains(&NodeId(1)) && seen.leader != NodeId(1)));
    }
}
