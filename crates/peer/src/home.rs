//! What every connection of this node needs to know of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{ActorCell, ActorRef};
use ractor_cluster::NodeServerMessage;
use watershed_schema::NodeId;

use crate::directory::Directory;
use crate::gateway::Tokens;
use crate::hello::{BootId, Hello};
use crate::link::Arrivals;
use crate::proof::{Secret, nonce, token};
use crate::tls::Identity;
use crate::{CertificateError, DialError, Security};

pub(crate) struct Home {
    pub(crate) me: NodeId,
    pub(crate) boot: BootId,
    pub(crate) cluster: String,
    pub(crate) cluster_id: String,
    pub(crate) advertised: String,
    pub(crate) security: Security,
    pub(crate) secret: Secret,
    /// Largest number of an attempt that this node has seen or used.
    pub(crate) attempts: AtomicU64,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) arrivals: Arc<Arrivals>,
    /// Of the actor library.
    pub(crate) sessions: ActorRef<NodeServerMessage>,
    /// Parent of the peer actors.
    pub(crate) root: ActorCell,
    pub(crate) directory: Directory,
}

impl Home {
    /// A Hello for a new connection.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            cluster: self.cluster.clone(),
            cluster_id: self.cluster_id.clone(),
            node: self.me.0,
            boot: self.boot.0,
            advertised: self.advertised.clone(),
            attempt: self.attempts.fetch_add(1, Ordering::Relaxed) + 1,
            nonce: nonce(),
            token: token(),
        }
    }

    pub(crate) fn has_seen(&self, attempt: u64) {
        self.attempts.fetch_max(attempt, Ordering::Relaxed);
    }

    /// The certificates as they are now. `None` with a shared secret.
    pub(crate) async fn identity(&self) -> Result<Option<Identity>, DialError> {
        let (me, security) = (self.advertised.clone(), self.security.clone());
        let read = tokio::task::spawn_blocking(move || read_identity(&me, &security)).await;
        match read {
            Ok(identity) => identity.map_err(|error| DialError::Tls(error.to_string())),
            Err(error) => Err(DialError::Tls(error.to_string())),
        }
    }
}

/// Reads what [`Security::Mtls`] names.
pub(crate) fn read_identity(advertised: &str, security: &Security) -> Result<Option<Identity>, CertificateError> {
    match security {
        Security::Secret(_) => Ok(None),
        Security::Mtls { cert, key, ca } => Identity::read(advertised, cert, key, ca).map(Some),
    }
}
