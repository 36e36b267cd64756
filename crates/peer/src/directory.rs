//! The peer actors of this node, and the nodes that must not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use watershed_schema::NodeId;

use crate::election::{Candidate, Key};
use crate::handshake::Handshaken;
use crate::hello::Hello;
use crate::home::Home;
use crate::peer::Peer;
use crate::{Refusal, RefusalCode};

#[derive(Default)]
pub(crate) struct Directory {
    peers: RwLock<BTreeMap<NodeId, Peer>>,
    /// Held while a peer is added or removed, which takes an await.
    changes: Mutex<Removed>,
}

/// Node ids are never reused, so a removed node is refused until it is named again.
#[derive(Default)]
struct Removed {
    nodes: BTreeSet<NodeId>,
    stopping: bool,
}

impl Directory {
    pub(crate) fn get(&self, node: NodeId) -> Option<Peer> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Peer> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The peer by its number, also if it was removed before.
    pub(crate) async fn admit(&self, home: &Arc<Home>, node: NodeId) -> Result<Peer, Refusal> {
        let mut changes = self.changes.lock().await;
        changes.nodes.remove(&node);
        self.get_or_start(home, node, &changes).await
    }

    pub(crate) async fn remove(&self, node: NodeId) {
        let mut changes = self.changes.lock().await;
        changes.nodes.insert(node);
        self.end(node).await;
    }

    /// Ends the peer, which may come back.
    pub(crate) async fn forget(&self, node: NodeId) {
        let _unchanged = self.changes.lock().await;
        self.end(node).await;
    }

    async fn end(&self, node: NodeId) {
        let gone = self.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        if let Some(peer) = gone {
            peer.stop().await;
        }
    }

    /// Asks the peer's actor whether this connection may be the one.
    pub(crate) async fn claim(&self, home: &Arc<Home>, theirs: &Hello, candidate: Candidate) -> Result<Claim, Refusal> {
        let peer = {
            let changes = self.changes.lock().await;
            self.get_or_start(home, theirs.node(), &changes).await?
        };
        // Made before it is granted: whoever is dropped at the wrong moment gives it back.
        let claim = Claim { peer, key: candidate.key, is_open: true };
        claim.peer.claim(candidate, theirs.advertised.clone()).await?;
        Ok(claim)
    }

    async fn get_or_start(&self, home: &Arc<Home>, node: NodeId, changes: &Removed) -> Result<Peer, Refusal> {
        if changes.stopping {
            return Err(Refusal::new(RefusalCode::Other, format!("node {} is stopping", home.me)));
        }
        if changes.nodes.contains(&node) {
            return Err(Refusal::new(RefusalCode::Removed, format!("node {node} was removed from the cluster")));
        }
        if let Some(peer) = self.get(node) {
            return Ok(peer);
        }
        let peer = Peer::start(Arc::clone(home), node)
            .await
            .map_err(|error| Refusal::new(RefusalCode::Other, format!("node {} is stopping: {error}", home.me)))?;
        self.peers.write().unwrap_or_else(PoisonError::into_inner).insert(node, peer.clone());
        Ok(peer)
    }

    /// Ends all peers; none comes after.
    pub(crate) async fn stop(&self) {
        let mut changes = self.changes.lock().await;
        changes.stopping = true;
        let peers = std::mem::take(&mut *self.peers.write().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(peers.into_values().map(|peer| async move { peer.stop().await })).await;
    }
}

/// A place that a connection in the handshake has got. Given back when it is dropped.
pub(crate) struct Claim {
    peer: Peer,
    key: Key,
    is_open: bool,
}

impl Claim {
    /// The handshake is done.
    pub(crate) fn adopt(mut self, connection: Handshaken) {
        self.is_open = false;
        self.peer.adopt(connection);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_open {
            self.peer.abandon(self.key);
        }
    }
}
