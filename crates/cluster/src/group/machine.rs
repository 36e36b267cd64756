//! A [`StateMachine`] as openraft drives it; its snapshot is kept beside the log.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use watershed_schema::Lsn;

use super::log::put;
use super::storage::{ReplicaStore, StateMachine};
use super::types::{Answer, Membership, Position, Types, json, kind_of};

type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
type Snapshot = openraft::Snapshot<super::types::CommittedLeader, u64, openraft::EmptyNode, Bytes>;

const SNAPSHOT: &str = "raft.snapshot";

/// A snapshot as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    last: Option<Position>,
    membership: Membership,
    state: Bytes,
}

impl Kept {
    fn snapshot(self) -> Snapshot {
        let meta = SnapshotMeta { last_log_id: self.last, last_membership: self.membership };
        Snapshot { meta, snapshot: self.state }
    }
}

/// The state of one replica.
pub(crate) struct Machine {
    store: Arc<dyn ReplicaStore>,
    state: Box<dyn StateMachine>,
    last: Option<Position>,
    membership: Membership,
}

impl Machine {
    /// Starts from the kept snapshot, if there is one; the log does the rest.
    pub(crate) fn open(store: Arc<dyn ReplicaStore>, state: Box<dyn StateMachine>) -> io::Result<Self> {
        let mut machine = Self { store, state, last: None, membership: Membership::default() };
        if let Some(kept) = machine.kept()? {
            machine.state.restore(&kept.state)?;
            (machine.last, machine.membership) = (kept.last, kept.membership);
        }
        Ok(machine)
    }

    fn kept(&self) -> io::Result<Option<Kept>> {
        self.store.meta(SNAPSHOT)?.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<Position>, Membership)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.last = Some(entry.log_id);
            let answer = match entry.payload {
                EntryPayload::Blank => Bytes::new(),
                EntryPayload::Normal(command) => {
                    self.state.apply(Lsn(entry.log_id.index), kind_of(command.kind), &command.payload)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(entry.log_id), membership);
                    Bytes::new()
                }
            };
            if let Some(responder) = responder {
                responder.send(Answer(answer));
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let kept = Kept { last: self.last, membership: self.membership.clone(), state: self.state.snapshot() };
        Builder { store: Arc::clone(&self.store), kept }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let kept = Kept { last: meta.last_log_id, membership: meta.last_membership.clone(), state: snapshot };
        put(&*self.store, SNAPSHOT, json(&kept)).await?;
        self.state.restore(&kept.state)?;
        (self.last, self.membership) = (kept.last, kept.membership);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.kept()?.map(Kept::snapshot))
    }
}

/// A snapshot that is about to be kept.
pub(crate) struct Builder {
    store: Arc<dyn ReplicaStore>,
    kept: Kept,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        put(&*self.store, SNAPSHOT, json(&self.kept)).await?;
        Ok(self.kept.clone().snapshot())
    }
}
