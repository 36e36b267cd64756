//! From a TCP connection to one that the peer actor may adopt.
//!
//! ```text
//! dialler                     acceptor
//!    Hello ───────────────────▶ version, cluster, certificate
//!    version, … ◀────────────── Hello, Proof
//!    claims its place
//!    Proof ───────────────────▶ secret; claims its place
//!    adopts ◀────────────────── Accepted; adopts
//! ```
//!
//! Whoever refuses says why before it closes, so that the reason is in the logs of both.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use watershed_schema::NodeId;

use crate::config::check_address;
use crate::election::{Candidate, Key};
use crate::hello::{Greeting, Hello, receive, send};
use crate::home::Home;
use crate::limits::HANDSHAKE_DEADLINE;
use crate::proof::Role;
use crate::socket::{Wire, connect};
use crate::tls::is_of;
use crate::{DialError, Refusal, RefusalCode};

const REFUSAL_DEADLINE: Duration = Duration::from_millis(500);

/// A connection whose two ends know each other.
pub(crate) struct Handshaken {
    pub(crate) wire: Wire,
    pub(crate) candidate: Candidate,
    pub(crate) peer: NodeId,
    /// What this node puts on its calls.
    pub(crate) token_out: u64,
    /// What the peer puts on its calls.
    pub(crate) token_in: u64,
}

/// How a dial ended, if not with an error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialled {
    Adopted(NodeId),
    /// The two nodes have another connection.
    Superseded(NodeId),
}

/// Dials `address`, where `expected` should answer if it is known who.
pub(crate) async fn dial(home: &Arc<Home>, address: &str, expected: Option<NodeId>) -> Result<Dialled, DialError> {
    check_address(address).map_err(DialError::Address)?;
    let dialling = async {
        let tcp = connect(address).await?;
        let identity = home.identity().await?;
        let mut wire = Wire::dialled(tcp, identity.as_ref(), address).await?;
        let mut answered = None;
        match as_dialler(home, &mut wire, expected, &mut answered).await {
            Ok((claim, shaken)) => {
                let peer = shaken.peer;
                claim.adopt(shaken.with(wire));
                Ok(Dialled::Adopted(peer))
            }
            Err(error) => explain(&mut wire, error, answered).await,
        }
    };
    timeout(HANDSHAKE_DEADLINE, dialling).await.unwrap_or(Err(DialError::Timeout(HANDSHAKE_DEADLINE)))
}

/// Takes a connection that somebody made to us.
pub(crate) async fn accept(home: &Arc<Home>, tcp: TcpStream) -> Result<Dialled, DialError> {
    let accepting = async {
        let identity = home.identity().await?;
        let mut wire = Wire::accepted(tcp, identity.as_ref()).await?;
        let mut dialler = None;
        match as_acceptor(home, &mut wire, &mut dialler).await {
            Ok((claim, shaken)) => {
                let peer = shaken.peer;
                claim.adopt(shaken.with(wire));
                Ok(Dialled::Adopted(peer))
            }
            Err(error) => explain(&mut wire, error, dialler).await,
        }
    };
    timeout(HANDSHAKE_DEADLINE, accepting).await.unwrap_or(Err(DialError::Timeout(HANDSHAKE_DEADLINE)))
}

type Done = (crate::directory::Claim, Shaken);

/// [`Handshaken`] before its connection is taken out of the handshake.
struct Shaken {
    candidate: Candidate,
    peer: NodeId,
    token_out: u64,
    token_in: u64,
}

impl Shaken {
    fn new(candidate: Candidate, mine: &Hello, theirs: &Hello) -> Self {
        Self { candidate, peer: theirs.node(), token_out: theirs.token, token_in: mine.token }
    }

    fn with(self, wire: Wire) -> Handshaken {
        let Self { candidate, peer, token_out, token_in } = self;
        Handshaken { wire, candidate, peer, token_out, token_in }
    }
}

async fn as_dialler(
    home: &Arc<Home>,
    wire: &mut Wire,
    expected: Option<NodeId>,
    answered: &mut Option<NodeId>,
) -> Result<Done, DialError> {
    let mine = home.hello();
    let Greeting::Hello(_, my_bytes) = Greeting::hello(&mine) else { unreachable!("invariant: a hello is a hello") };
    send(wire.stream(), &Greeting::hello(&mine)).await?;
    let (theirs, their_bytes) = hello_of(receive(wire.stream()).await?)?;
    home.has_seen(theirs.attempt);
    let proof = proof_of(receive(wire.stream()).await?)?;
    is_welcome(wire, &theirs, &mine, expected)?;
    if !home.secret.is_proven(&proof, Role::Acceptor, &my_bytes, &their_bytes) {
        return Err(wrong_secret(&theirs, &mine));
    }
    *answered = Some(theirs.node());
    let key = Key { attempt: mine.attempt, dialler: home.me };
    let candidate = Candidate { key, boot: theirs.boot(), dialled: true };
    let claim = home.directory.claim(home, &theirs, candidate).await.map_err(DialError::Refused)?;
    send(wire.stream(), &Greeting::Proof(home.secret.prove(Role::Dialler, &my_bytes, &their_bytes))).await?;
    match receive(wire.stream()).await? {
        Greeting::Accepted => Ok((claim, Shaken::new(candidate, &mine, &theirs))),
        _ => Err(out_of_order("Accepted")),
    }
}

async fn as_acceptor(home: &Arc<Home>, wire: &mut Wire, dialler: &mut Option<NodeId>) -> Result<Done, DialError> {
    let (theirs, their_bytes) = hello_of(receive(wire.stream()).await?)?;
    home.has_seen(theirs.attempt);
    let mine = home.hello();
    is_welcome(wire, &theirs, &mine, None)?;
    // Before it has proven that: it may have another connection already, and says so in place of the proof.
    *dialler = Some(theirs.node());
    let Greeting::Hello(_, my_bytes) = Greeting::hello(&mine) else { unreachable!("invariant: a hello is a hello") };
    send(wire.stream(), &Greeting::hello(&mine)).await?;
    send(wire.stream(), &Greeting::Proof(home.secret.prove(Role::Acceptor, &their_bytes, &my_bytes))).await?;
    let proof = proof_of(receive(wire.stream()).await?)?;
    if !home.secret.is_proven(&proof, Role::Dialler, &their_bytes, &my_bytes) {
        return Err(wrong_secret(&theirs, &mine));
    }
    let key = Key { attempt: theirs.attempt, dialler: theirs.node() };
    let candidate = Candidate { key, boot: theirs.boot(), dialled: false };
    let claim = home.directory.claim(home, &theirs, candidate).await.map_err(DialError::Refused)?;
    send(wire.stream(), &Greeting::Accepted).await?;
    Ok((claim, Shaken::new(candidate, &mine, &theirs)))
}

/// Version and form were checked when the Hello was read; here who it is.
fn is_welcome(wire: &Wire, theirs: &Hello, mine: &Hello, expected: Option<NodeId>) -> Result<(), DialError> {
    theirs.check(mine, expected).map_err(DialError::Refused)?;
    wire.certificates().map_or(Ok(()), |chain| is_of(chain, &theirs.advertised)).map_err(DialError::Refused)
}

fn hello_of(greeting: Greeting) -> Result<(Hello, Vec<u8>), DialError> {
    match greeting {
        Greeting::Hello(hello, bytes) => Ok((hello, bytes)),
        _ => Err(out_of_order("Hello")),
    }
}

fn proof_of(greeting: Greeting) -> Result<Vec<u8>, DialError> {
    match greeting {
        Greeting::Proof(proof) => Ok(proof),
        _ => Err(out_of_order("Proof")),
    }
}

fn out_of_order(expected: &str) -> DialError {
    DialError::Refused(Refusal::new(RefusalCode::Malformed, format!("{expected} was expected, something else came")))
}

fn wrong_secret(theirs: &Hello, mine: &Hello) -> DialError {
    let reason = format!("node {} and node {} do not have the same secret", theirs.node, mine.node);
    DialError::Refused(Refusal::new(RefusalCode::Secret, reason))
}

/// Tells the peer why it is refused. That another connection is used is no error.
async fn explain(wire: &mut Wire, error: DialError, peer: Option<NodeId>) -> Result<Dialled, DialError> {
    if let DialError::Refused(refusal) = &error {
        let told = timeout(REFUSAL_DEADLINE, send(wire.stream(), &Greeting::Refused(refusal.clone()))).await;
        tracing::debug!(?told, %refusal, "refused");
    }
    match (&error, peer) {
        (DialError::Refused(refusal) | DialError::RefusedByPeer(refusal), Some(peer))
            if refusal.code == RefusalCode::Superseded =>
        {
            Ok(Dialled::Superseded(peer))
        }
        _ => Err(error),
    }
}
