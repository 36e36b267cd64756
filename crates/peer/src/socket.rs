//! TCP sockets as the cluster wants them, plain or in TLS, and how they are handed to the actor library.

use std::io;
use std::net::{Shutdown, SocketAddr};

use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream};
use rustls::pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::DialError;
use crate::limits::{CONNECT_DEADLINE, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, UNACKNOWLEDGED_MAX};
use crate::tls::{Identity, name_of};

const BACKLOG: i32 = 1024;

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restarted node takes its port although old connections linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Connects; the host name is resolved anew each time, and its addresses are tried in turn.
pub(crate) async fn connect(address: &str) -> Result<TcpStream, DialError> {
    let mut last = DialError::Network(format!("{address} has no address"));
    let resolved = lookup_host(address).await.map_err(|error| DialError::Network(format!("{address}: {error}")))?;
    for candidate in resolved {
        match timeout(CONNECT_DEADLINE, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Err(_) => last = DialError::Network(format!("{candidate}: no answer within {CONNECT_DEADLINE:?}")),
            Ok(Err(error)) => last = DialError::Network(format!("{candidate}: {error}")),
        }
    }
    Err(last)
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL))?;
    // Without it a frozen or partitioned peer is not noticed for minutes.
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

/// What both plain TCP and TLS are.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection before it belongs to the actor library.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    /// The peer's certificates, with mTLS.
    certificates: Option<Vec<CertificateDer<'static>>>,
    valve: Valve,
}

impl Wire {
    /// The side that connected. The host of `address` is sent as the server's name; who answers is checked after the Hello.
    pub(crate) async fn dialled(tcp: TcpStream, identity: Option<&Identity>, address: &str) -> Result<Self, DialError> {
        let valve = prepare(&tcp)?;
        let Some(identity) = identity else {
            return Ok(Self { stream: Box::new(tcp), certificates: None, valve });
        };
        let name = name_of(address).map_err(DialError::Address)?;
        let tls = TlsConnector::from(identity.client.clone()).connect(name, tcp).await.map_err(tls_error)?;
        let certificates = tls.get_ref().1.peer_certificates().map(<[_]>::to_vec);
        Ok(Self { stream: Box::new(tls), certificates, valve })
    }

    /// The side that listened.
    pub(crate) async fn accepted(tcp: TcpStream, identity: Option<&Identity>) -> Result<Self, DialError> {
        let valve = prepare(&tcp)?;
        let Some(identity) = identity else {
            return Ok(Self { stream: Box::new(tcp), certificates: None, valve });
        };
        let tls = TlsAcceptor::from(identity.server.clone()).accept(tcp).await.map_err(tls_error)?;
        let certificates = tls.get_ref().1.peer_certificates().map(<[_]>::to_vec);
        Ok(Self { stream: Box::new(tls), certificates, valve })
    }

    pub(crate) fn stream(&mut self) -> &mut (impl AsyncRead + AsyncWrite + Unpin) {
        &mut self.stream
    }

    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.certificates.as_deref()
    }

    /// As the actor library takes it; `label` tells its sessions apart.
    pub(crate) fn into_external(self, label: String) -> (Valve, Box<dyn ClusterBidiStream>) {
        (self.valve, Box::new(External { stream: self.stream, label }))
    }
}

fn prepare(tcp: &TcpStream) -> io::Result<Valve> {
    tune(tcp)?;
    Ok(Valve(SockRef::from(tcp).try_clone()?))
}

fn tls_error(error: io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::InvalidData => DialError::Tls(error.to_string()),
        _ => error.into(),
    }
}

/// Closes a connection from outside, also while the library's writer is stuck in it.
pub(crate) struct Valve(socket2::Socket);

impl Valve {
    pub(crate) fn close(&self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            tracing::debug!(%error, "connection was closed already");
        }
    }
}

struct External {
    stream: Box<dyn Duplex>,
    label: String,
}

impl ClusterBidiStream for External {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.stream);
        (Box::new(read), Box::new(write))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}
