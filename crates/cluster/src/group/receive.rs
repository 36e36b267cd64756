//! What other replicas ask of this one.

use std::task::Poll;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::type_config::alias::SnapshotMetaOf;

use super::types::{Types, Vote};
use super::wire::{self, Append, Appended, AskVote, Install, Outcome, Transfer, Transferred, Voted};
use super::{Group, GroupError, stopped};
use crate::transport::RaftCall;

impl Group {
    /// Carries out a call of another replica; the answer is for the transport to bring back. Calls of one sender may
    /// run at the same time and come in any order. An append is answered when its entries are durable here.
    ///
    /// # Errors
    /// [`GroupError::BadMessage`] when the body is not understood or came too late, [`GroupError::Stopped`].
    pub async fn receive(&self, kind: RaftCall, body: Bytes) -> Result<Bytes, GroupError> {
        match kind {
            RaftCall::Append | RaftCall::AppendBulk | RaftCall::Heartbeat => self.receive_append(&body).await,
            RaftCall::Vote | RaftCall::PreVote => self.receive_vote(kind, &body).await,
            RaftCall::Snapshot => self.receive_snapshot(&body).await,
            RaftCall::TransferLeader => self.receive_transfer(&body).await,
        }
    }

    async fn receive_append(&self, body: &Bytes) -> Result<Bytes, GroupError> {
        let mut append: Append = wire::decode(body)?;
        let vote = wire::vote(append.vote.as_ref())?;
        let (prev_log_id, leader_commit) = (wire::position_of(append.prev), wire::position_of(append.commit));
        let (entries, place) = (append.entries()?, append.place);
        let rpc = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
        let sender = vote.leader_id.voted_for;
        if let Some(place) = place {
            self.inbound.turn(sender, place).await?;
        }
        let mut call = Box::pin(tokio::task::unconstrained(self.raft.append_entries(rpc)));
        // The first poll puts the append into openraft's queue; then it is the next one's turn.
        let first = futures::poll!(&mut call);
        if let Some(place) = place {
            self.inbound.passed(sender, place);
        }
        let answer = match first {
            Poll::Ready(answer) => answer,
            Poll::Pending => call.await,
        };
        let answer = answer.map_err(|error| stopped(&error))?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.heart.follow();
        }
        Ok(wire::encode(&appended(&answer)))
    }

    async fn receive_vote(&self, kind: RaftCall, body: &Bytes) -> Result<Bytes, GroupError> {
        let ask: AskVote = wire::decode(body)?;
        let mut rpc = VoteRequest::new(wire::vote(ask.vote.as_ref())?, wire::position_of(ask.last));
        rpc.leadership_transfer = ask.transfer;
        let answer = if kind == RaftCall::PreVote { self.raft.pre_vote(rpc).await } else { self.raft.vote(rpc).await };
        answer.map(|answer| wire::encode(&voted(&answer))).map_err(|error| stopped(&error))
    }

    async fn receive_snapshot(&self, body: &Bytes) -> Result<Bytes, GroupError> {
        let install: Install = wire::decode(body)?;
        let (vote, last_log_id) = (wire::vote(install.vote.as_ref())?, wire::position_of(install.last));
        let meta = SnapshotMetaOf::<Types> { last_log_id, last_membership: install.membership()? };
        let snapshot = openraft::Snapshot { meta, snapshot: install.snapshot };
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| stopped(&error))?;
        Ok(wire::encode(&voted(&VoteResponse::new(answer.vote, None, true))))
    }

    async fn receive_transfer(&self, body: &Bytes) -> Result<Bytes, GroupError> {
        let transfer: Transfer = wire::decode(body)?;
        let (from, last) = (wire::vote(transfer.from.as_ref())?, wire::position_of(transfer.last));
        let answer = self.raft.handle_transfer_leader(TransferLeaderRequest::new(from, transfer.to, last)).await;
        let answer = answer.map_err(|error| stopped(&error))?;
        Ok(wire::encode(&Transferred { refusal: answer.err().map_or_else(String::new, |error| error.to_string()) }))
    }
}

fn appended(answer: &AppendEntriesResponse<Types>) -> Appended {
    let (outcome, vote): (_, Option<&Vote>) = match answer {
        AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => (Outcome::Durable, None),
        AppendEntriesResponse::Conflict => (Outcome::Conflict, None),
        AppendEntriesResponse::HigherVote(vote) => (Outcome::HigherVote, Some(vote)),
    };
    Appended { outcome: outcome.into(), vote: vote.map(wire::ballot) }
}

fn voted(answer: &VoteResponse<Types>) -> Voted {
    let (vote, last) = (Some(wire::ballot(&answer.vote)), wire::at(answer.last_log_id.as_ref()));
    Voted { vote, last, granted: answer.vote_granted }
}
