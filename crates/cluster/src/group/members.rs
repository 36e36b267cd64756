//! Who is in the group. Changes are rare and small: one node at a time, learner first, never while it lags.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, EmptyNode};
use watershed_schema::NodeId;

use super::types::Types;
use super::{ELECTION_MAX_MS, Group, GroupError, Role, stopped};

/// Entries that a learner may be behind when it is made a voter.
const LAG_ENTRIES_MAX: u64 = 64;
/// A named successor stands at once; if it cannot, the others elect somebody after the lease and an election timeout.
const TRANSFER_DEADLINE: Duration = Duration::from_millis(4 * ELECTION_MAX_MS);
/// How long before the successor is named again: it refuses while entries are on their way to it.
const TRANSFER_RETRY: Duration = Duration::from_millis(100);

impl Group {
    /// Lets a node follow without a vote. Returns when that is committed, not when the node has caught up: see
    /// [`Group::status`]. Nothing happens when it is a member already.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], [`GroupError::MembershipBusy`], [`GroupError::Unknown`], [`GroupError::Stopped`].
    pub async fn add_learner(&self, node: NodeId) -> Result<(), GroupError> {
        let status = self.status();
        if status.voters.contains(&node) || status.learners.contains(&node) {
            return self.must_lead();
        }
        self.raft.add_learner(node.0, EmptyNode {}, false).await.map(drop).map_err(refused)
    }

    /// Makes exactly `voters` vote. They may differ by one node: a learner that becomes a voter, or a voter that
    /// becomes a learner.
    ///
    /// # Errors
    /// Nothing was changed: [`GroupError::NotLeader`], [`GroupError::MembershipBusy`], [`GroupError::OneAtATime`],
    /// [`GroupError::NotMember`] for a node that is no learner, [`GroupError::Lagging`] for one that is behind.
    /// Unknown outcome: [`GroupError::Unknown`], [`GroupError::Stopped`].
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), GroupError> {
        let status = self.status();
        self.must_lead()?;
        let changes: Vec<NodeId> = status.voters.symmetric_difference(&voters).copied().collect();
        let node = match changes[..] {
            [] => return Ok(()),
            [node] if !voters.is_empty() => node,
            _ => return Err(GroupError::OneAtATime),
        };
        if status.voters.contains(&node) {
            return self.change(ChangeMembers::RemoveVoters([node.0].into()), true).await;
        }
        if !status.learners.contains(&node) {
            return Err(GroupError::NotMember { node });
        }
        match status.lag.get(&node) {
            Some(entries) if *entries <= LAG_ENTRIES_MAX => self.change(ChangeMembers::AddVoterIds([node.0].into()), true).await,
            entries => Err(GroupError::Lagging { node, entries: entries.copied().unwrap_or(u64::MAX) }),
        }
    }

    /// Takes a node out of the group, whatever it is. A leader that removes itself leads until that is committed.
    ///
    /// # Errors
    /// As [`Group::change_voters`]; [`GroupError::OneAtATime`] for the last voter.
    pub async fn remove(&self, node: NodeId) -> Result<(), GroupError> {
        let status = self.status();
        self.must_lead()?;
        if status.voters == BTreeSet::from([node]) {
            return Err(GroupError::OneAtATime);
        }
        let changes = match node {
            voter if status.voters.contains(&voter) => ChangeMembers::RemoveVoters([node.0].into()),
            learner if status.learners.contains(&learner) => ChangeMembers::RemoveNodes([node.0].into()),
            _ => return Ok(()),
        };
        self.change(changes, false).await
    }

    async fn change(&self, changes: ChangeMembers<u64, EmptyNode>, retain: bool) -> Result<(), GroupError> {
        self.raft.change_membership(changes, retain).await.map(drop).map_err(refused)
    }

    fn must_lead(&self) -> Result<(), GroupError> {
        let status = self.status();
        match status.role {
            Role::Leader => Ok(()),
            Role::Stopped => Err(stopped(&"the replica has stopped")),
            _ => Err(GroupError::NotLeader { leader: status.leader }),
        }
    }

    /// Hands leadership to a voter that is not far behind. From the call on this node refuses proposals; nothing that
    /// was proposed before is lost. Returns when the other one leads.
    ///
    /// # Errors
    /// Nothing was changed: [`GroupError::NotLeader`], [`GroupError::NotMember`] for a node that does not vote,
    /// [`GroupError::Lagging`]. [`GroupError::NoLeader`] when it did not take over in time: then somebody else leads.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), GroupError> {
        let status = self.status();
        self.must_lead()?;
        match status.lag.get(&to) {
            _ if status.leader == Some(to) => return Ok(()),
            _ if !status.voters.contains(&to) => return Err(GroupError::NotMember { node: to }),
            Some(entries) if *entries <= LAG_ENTRIES_MAX => {}
            entries => return Err(GroupError::Lagging { node: to, entries: entries.copied().unwrap_or(u64::MAX) }),
        }
        let named = tokio::time::timeout(TRANSFER_DEADLINE, self.name_successor(to)).await;
        named.unwrap_or(Err(GroupError::NoLeader(TRANSFER_DEADLINE)))
    }

    async fn name_successor(&self, to: NodeId) -> Result<(), GroupError> {
        loop {
            self.raft.trigger().transfer_leader(to.0).await.map_err(|error| stopped(&error))?;
            let taken = |metrics: &openraft::RaftMetrics<Types>| metrics.current_leader == Some(to.0);
            if self.raft.wait(Some(TRANSFER_RETRY)).metrics(taken, "the successor").await.is_ok() {
                return Ok(());
            }
        }
    }

    pub(super) fn founders(voters: &[NodeId]) -> BTreeMap<u64, EmptyNode> {
        voters.iter().map(|voter| (voter.0, EmptyNode {})).collect()
    }
}

/// Why a write was not answered with its position.
pub(super) fn refused(error: RaftError<Types, ClientWriteError<Types>>) -> GroupError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            GroupError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => GroupError::Unknown,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::LearnerNotFound(unknown) => GroupError::NotMember { node: NodeId(unknown.node_id) },
            _ => GroupError::MembershipBusy,
        },
        error => stopped(&error),
    }
}
