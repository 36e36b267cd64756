//! All connections of this node, from outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_cluster::node::NodeConnectionMode;
use ractor_cluster::{IncomingEncryptionMode, NodeServer, NodeServerMessage};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use watershed_schema::NodeId;

use crate::config::check_address;
use crate::directory::Directory;
use crate::gateway::{Gateway, Tokens};
use crate::handshake::{Dialled, dial};
use crate::hello::BootId;
use crate::home::{Home, read_identity};
use crate::limits::{CALL_DEADLINE_MAX, FRAME_BYTES_MAX, HANDSHAKE_DEADLINE};
use crate::link::{Arrivals, Events};
use crate::peer::PeerState;
use crate::proof::{Secret, token};
use crate::{CallError, CertificateError, Config, DialError, Request, Service, StartError, listener, socket, tls};

const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// The actor library has tables for the whole process.
static IS_STARTED: AtomicBool = AtomicBool::new(false);

/// This node among the others. One per process.
pub struct Fabric {
    home: Arc<Home>,
    address: SocketAddr,
    listening: JoinHandle<()>,
    failed: watch::Receiver<Option<String>>,
}

impl Fabric {
    /// Listens, and answers calls with `service`. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// A setting that is not valid, an address that is taken, certificates that cannot be used, a second fabric.
    pub async fn start(config: Config, service: Arc<dyn Service>) -> Result<Self, StartError> {
        config.check()?;
        let refuse = |source| StartError::Listen { address: config.listen, source };
        let listener = socket::listen(config.listen).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        read_identity(&config.advertised(address), &config.security)?;
        if IS_STARTED.swap(true, Ordering::SeqCst) {
            return Err(StartError::AlreadyStarted);
        }
        let started = start_actors(config, service, address).await;
        let (home, failed) = started.inspect_err(|_| IS_STARTED.store(false, Ordering::SeqCst))?;
        tracing::info!(node = %home.me, boot = %home.boot, %address, "listening for nodes");
        let listening = tokio::spawn(listener::run(Arc::clone(&home), listener));
        Ok(Self { home, address, listening, failed })
    }

    /// Where this node listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This life of the node.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.home.boot
    }

    /// Becomes `Some` when an actor failed, which is a fault of the program: the node should end.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Connects to a node and stays connected. The host name is resolved again at each dial.
    ///
    /// # Errors
    /// The address is not `host:port`, or this node is stopping. That nobody answers is no error.
    pub async fn set_peer(&self, node: NodeId, address: &str) -> Result<(), DialError> {
        check_address(address).map_err(DialError::Address)?;
        if node == self.home.me {
            return Err(DialError::Address(format!("node {node} is this node")));
        }
        self.home.directory.admit(&self.home, node).await.map_err(DialError::Refused)?.set_address(address.to_owned());
        Ok(())
    }

    /// Ends the connection to a node and refuses it from now on, until [`Self::set_peer`] names it again.
    pub async fn remove_peer(&self, node: NodeId) {
        self.home.directory.remove(node).await;
    }

    /// Ends what there is with a node: it is dialled no more, and may come back.
    pub async fn forget_peer(&self, node: NodeId) {
        self.home.directory.forget(node).await;
    }

    /// Connects to whoever answers at an address, and says who it is when the session is up. From then on the node is
    /// dialled at the address that it advertises.
    ///
    /// # Errors
    /// Nobody answers, or one side refuses the other. It is not tried again.
    pub async fn dial_seed(&self, address: &str) -> Result<NodeId, DialError> {
        let (Dialled::Adopted(node) | Dialled::Superseded(node)) = dial(&self.home, address, None).await?;
        if self.connected(node, HANDSHAKE_DEADLINE).await { Ok(node) } else { Err(DialError::Timeout(HANDSHAKE_DEADLINE)) }
    }

    /// Waits until there is a session with a node; whether there is one.
    pub async fn connected(&self, node: NodeId, deadline: Duration) -> bool {
        match self.home.directory.get(node) {
            Some(peer) => timeout(deadline, peer.connected()).await.unwrap_or(false),
            None => false,
        }
    }

    /// Calls a node. Returns by the deadline, which includes the wait for room among the bytes in flight.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::nothing_was_sent`] says whether the peer may have seen the call.
    pub async fn call(&self, to: NodeId, request: Request, deadline: Duration) -> Result<Bytes, CallError> {
        request.check()?;
        let session = self.home.directory.get(to).and_then(|peer| peer.session());
        session.ok_or(CallError::Unreachable { to })?.call(request, Instant::now() + deadline.min(CALL_DEADLINE_MAX)).await
    }

    /// All nodes that are known, connected or not, by number.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerState> {
        self.home.directory.all().iter().map(crate::peer::Peer::state).collect()
    }

    /// Ends all connections and all tasks. Calls under way end with [`CallError::Unknown`].
    pub async fn stop(self) {
        self.listening.abort();
        if let Err(error) = self.listening.await
            && !error.is_cancelled()
        {
            tracing::error!(%error, "the listener failed");
        }
        self.home.directory.stop().await;
        // Its children, the gateway and the library's server, end with it.
        for actor in self.home.root.get_children().into_iter().chain([self.home.root.clone()]) {
            if let Err(error) = actor.stop_and_wait(None, Some(STOP_DEADLINE)).await {
                tracing::debug!(%error, "an actor had ended already");
            }
        }
        IS_STARTED.store(false, Ordering::SeqCst);
    }
}

type Started = (Arc<Home>, watch::Receiver<Option<String>>);

async fn start_actors(config: Config, service: Arc<dyn Service>, address: SocketAddr) -> Result<Started, StartError> {
    let (failed, failures) = watch::channel(None);
    let (root, _) = Root::spawn(None, Root, failed).await?;
    let (boot, secret) = (BootId(token()), Secret::of(&config.security));
    let (tokens, arrivals) = (Arc::new(Tokens::default()), Arc::new(Arrivals::default()));
    let advertised = config.advertised(address);
    let sessions = start_library(&config, boot, &secret, root.get_cell()).await?;
    let subscription = Box::new(Events(Arc::clone(&arrivals)));
    sessions
        .cast(NodeServerMessage::SubscribeToEvents { id: "watershed".to_owned(), subscription })
        .map_err(|error| ractor::SpawnErr::StartupFailed(error.to_string().into()))?;
    Gateway::start(service, Arc::clone(&tokens), root.get_cell()).await?;
    let home = Home {
        me: config.me,
        boot,
        cluster: config.cluster,
        cluster_id: config.cluster_id,
        advertised,
        security: config.security,
        secret,
        attempts: AtomicU64::new(0),
        tokens,
        arrivals,
        sessions,
        root: root.get_cell(),
        directory: Directory::default(),
    };
    Ok((Arc::new(home), failures))
}

async fn start_library(
    config: &Config,
    boot: BootId,
    secret: &Secret,
    root: ActorCell,
) -> Result<ActorRef<NodeServerMessage>, StartError> {
    // A name for each life: a restarted node under its old name is refused while its old session looks alive. The host
    // is the same, for the library takes two nodes with equal host and port for one.
    let name = format!("n{}-{boot}", config.me);
    let door = IncomingEncryptionMode::Tls(TlsAcceptor::from(tls::closed_door().map_err(CertificateError::Tls)?));
    let cookie = secret.cookie(&config.cluster);
    let server = NodeServer::new(0, cookie, name.clone(), name, Some(door), Some(NodeConnectionMode::Isolated))
        .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_max_inbound_frame_size(FRAME_BYTES_MAX);
    Ok(NodeServer::spawn_linked(None, server, (), root).await?.0)
}

/// Parent of all actors; hears of failures.
struct Root;

enum Nothing {}

impl ractor::Message for Nothing {}

impl Actor for Root {
    type Msg = Nothing;
    type State = watch::Sender<Option<String>>;
    type Arguments = watch::Sender<Option<String>>;

    async fn pre_start(&self, _: ActorRef<Nothing>, failed: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        Ok(failed)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Nothing>,
        event: SupervisionEvent,
        failed: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, reason) => {
                tracing::error!(actor = %actor.get_id(), %reason, "an actor failed");
                failed.send_replace(Some(reason.to_string()));
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }
}
