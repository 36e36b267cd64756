//! What replicas say to each other, as bytes: a version, then protobuf. A payload is copied once, into the body.

use bytes::{BufMut as _, Bytes, BytesMut};
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId as _;
use prost::Message;
use watershed_schema::{EntryKind, LogRecord, Lsn, Term};

use super::GroupError;
use super::types::{LogEntry, Membership, Position, Vote, json, position, to_entry, to_record};

/// Form of the bodies. Another version is refused: nodes of one cluster may differ by one release only.
const VERSION: u8 = 1;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ballot {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) node: u64,
    #[prost(bool, tag = "3")]
    pub(crate) committed: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct At {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    lsn: u64,
}

/// Place of an append in a pipelined stream.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Place {
    /// Which life of the sender.
    #[prost(fixed64, tag = "1")]
    pub(crate) incarnation: u64,
    /// Which of its streams; only grows.
    #[prost(uint64, tag = "2")]
    pub(crate) stream: u64,
    /// 0, 1, 2 … inside the stream.
    #[prost(uint64, tag = "3")]
    pub(crate) number: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Item {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
}

/// Entries behind `prev`, without holes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Append {
    #[prost(message, optional, tag = "1")]
    pub(crate) place: Option<Place>,
    #[prost(message, optional, tag = "2")]
    pub(crate) vote: Option<Ballot>,
    #[prost(message, optional, tag = "3")]
    pub(crate) prev: Option<At>,
    #[prost(message, optional, tag = "4")]
    pub(crate) commit: Option<At>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) items: Vec<Item>,
}

impl Append {
    pub(crate) fn new(entries: Vec<LogEntry>) -> Self {
        let item = |record: LogRecord| Item { term: record.term.0, kind: record.kind as u32, payload: record.payload };
        Self { items: entries.into_iter().map(|entry| item(to_record(entry))).collect(), ..Self::default() }
    }

    pub(crate) fn entries(&mut self) -> Result<Vec<LogEntry>, GroupError> {
        let first = self.prev.map_or(0, |prev| prev.lsn + 1);
        let items = std::mem::take(&mut self.items).into_iter();
        items.zip(first..).map(|(item, lsn)| entry(item, Lsn(lsn))).collect()
    }
}

fn entry(item: Item, lsn: Lsn) -> Result<LogEntry, GroupError> {
    let kind = u8::try_from(item.kind).ok().and_then(EntryKind::from_number);
    let kind = kind.ok_or_else(|| GroupError::BadMessage(format!("entry {lsn} is of the unknown kind {}", item.kind)))?;
    to_entry(LogRecord { lsn, term: Term(item.term), kind, payload: item.payload })
        .map_err(|error| GroupError::BadMessage(format!("entry {lsn}: {error}")))
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Outcome {
    Durable = 0,
    /// `prev` is not there.
    Conflict = 1,
    /// The receiver knows a newer leader.
    HigherVote = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Appended {
    #[prost(enumeration = "Outcome", tag = "1")]
    pub(crate) outcome: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) vote: Option<Ballot>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AskVote {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<Ballot>,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<At>,
    #[prost(bool, tag = "3")]
    pub(crate) transfer: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Voted {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<Ballot>,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<At>,
    #[prost(bool, tag = "3")]
    pub(crate) granted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Install {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<Ballot>,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<At>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) membership: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) snapshot: Bytes,
}

impl Install {
    pub(crate) fn new(membership: &Membership, snapshot: Bytes) -> Self {
        Self { membership: json(membership), snapshot, ..Self::default() }
    }

    pub(crate) fn membership(&self) -> Result<Membership, GroupError> {
        serde_json::from_slice(&self.membership).map_err(|error| GroupError::BadMessage(format!("membership: {error}")))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Transfer {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) to: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) last: Option<At>,
}

/// What became of a transfer: empty when the successor stands for election.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Transferred {
    #[prost(string, tag = "1")]
    pub(crate) refusal: String,
}

pub(crate) fn encode(message: &impl Message) -> Bytes {
    let mut body = BytesMut::with_capacity(1 + message.encoded_len());
    body.put_u8(VERSION);
    message.encode(&mut body).expect("invariant: the buffer has room");
    body.freeze()
}

/// Payloads are slices of `body`.
pub(crate) fn decode<M: Message + Default>(body: &Bytes) -> Result<M, GroupError> {
    match body.first() {
        Some(&VERSION) => M::decode(body.slice(1..)).map_err(|error| GroupError::BadMessage(error.to_string())),
        Some(other) => Err(GroupError::BadMessage(format!("version {other}, this node speaks {VERSION}"))),
        None => Err(GroupError::BadMessage("empty body".to_owned())),
    }
}

pub(crate) fn ballot(vote: &Vote) -> Ballot {
    Ballot { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn vote(ballot: Option<&Ballot>) -> Result<Vote, GroupError> {
    let ballot = ballot.ok_or_else(|| GroupError::BadMessage("no vote in the message".to_owned()))?;
    let leader_id = leader_id_std::LeaderId::new(ballot.term, ballot.node);
    Ok(Vote { leader_id, committed: ballot.committed })
}

pub(crate) fn at(position: Option<&Position>) -> Option<At> {
    position.map(|position| At { term: position.leader_id.term, lsn: position.index })
}

pub(crate) fn position_of(at: Option<At>) -> Option<Position> {
    at.map(|at| position(Lsn(at.lsn), Term(at.term)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::types::Command;

    fn append() -> Append {
        let command = Command { kind: EntryKind::Append as u8, payload: Bytes::from(vec![7; 100]) };
        let blank = LogEntry { log_id: position(Lsn(4), Term(2)), payload: openraft::EntryPayload::Blank };
        let normal = LogEntry { log_id: position(Lsn(5), Term(3)), payload: openraft::EntryPayload::Normal(command) };
        Append { prev: Some(At { term: 1, lsn: 3 }), ..Append::new(vec![blank, normal]) }
    }

    #[test]
    fn an_append_comes_back_as_it_was_and_its_payload_is_not_copied() {
        let body = encode(&append());
        let mut back: Append = decode(&body).expect("decodes");
        assert_eq!(back, append());
        let inside = body.as_ptr_range();
        assert!(back.items.iter().all(|item| item.payload.is_empty() || inside.contains(&item.payload.as_ptr())));
        assert_eq!(back.entries().expect("known kinds"), append().entries().expect("known kinds"));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_says_why() {
        let says = |body: &[u8]| decode::<Append>(&Bytes::copy_from_slice(body)).expect_err("refused").to_string();
        assert!(says(&[]).contains("empty"));
        assert!(says(&[9, 0]).contains("version 9"));
        assert!(!says(&[VERSION, 0xff]).is_empty());
        let mut odd = append();
        odd.items[1].kind = 77;
        let refused = odd.entries().expect_err("unknown kind").to_string();
        assert!(refused.contains("entry 5") && refused.contains("77"), "{refused}");
    }
}
