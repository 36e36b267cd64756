//! openraft's types, and how a log entry becomes a record. Nothing of this leaves the crate.

use std::{fmt, io};

use bytes::Bytes;
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId as _;
use openraft::{EmptyNode, Entry, EntryPayload, LogId};
use serde::{Deserialize, Serialize};
use watershed_schema::{EntryKind, LogRecord, Lsn, Term};

/// A command of ours in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) kind: u8,
    pub(crate) payload: Bytes,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kind {} of {} bytes", self.kind, self.payload.len())
    }
}

/// The state machine's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Bytes);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Command,
        R = Answer,
        NodeId = u64,
        Node = EmptyNode,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type CommittedLeader = <leader_id_std::LeaderId<u64, u64> as openraft::vote::RaftLeaderId>::Committed;
pub(crate) type Position = LogId<CommittedLeader>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type LogEntry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type Membership = openraft::StoredMembership<CommittedLeader, u64, EmptyNode>;

pub(crate) fn position(lsn: Lsn, term: Term) -> Position {
    LogId { leader_id: leader_of(term), index: lsn.0 }
}

/// A term has one leader at most.
pub(crate) fn leader_of(term: Term) -> CommittedLeader {
    leader_id_std::LeaderId { term: term.0, voted_for: 0 }.to_committed()
}

pub(crate) fn to_record(entry: LogEntry) -> LogRecord {
    let (lsn, term) = (Lsn(entry.log_id.index), Term(entry.log_id.leader_id.term));
    let (kind, payload) = match entry.payload {
        EntryPayload::Blank => (EntryKind::Blank, Bytes::new()),
        EntryPayload::Normal(command) => (kind_of(command.kind), command.payload),
        EntryPayload::Membership(membership) => (EntryKind::Membership, json(&membership)),
    };
    LogRecord { lsn, term, kind, payload }
}

pub(crate) fn to_entry(record: LogRecord) -> io::Result<LogEntry> {
    let payload = match record.kind {
        EntryKind::Blank => EntryPayload::Blank,
        EntryKind::Membership => EntryPayload::Membership(serde_json::from_slice(&record.payload)?),
        kind => EntryPayload::Normal(Command { kind: kind as u8, payload: record.payload }),
    };
    Ok(Entry { log_id: position(record.lsn, record.term), payload })
}

pub(crate) fn kind_of(number: u8) -> EntryKind {
    EntryKind::from_number(number).expect("invariant: only known kinds are proposed")
}

pub(crate) fn json(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("invariant: our own types have a JSON form"))
}
