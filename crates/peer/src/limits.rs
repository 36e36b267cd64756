//! Every limit and every interval of the connection between nodes, with its unit.

use std::time::Duration;

/// Largest body of a request or an answer on this session, bytes. Larger things take another connection.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes in flight to one peer: bodies sent plus the answers that were made room for.
pub const IN_FLIGHT_BYTES_MAX: usize = 1024 * 1024;
/// Largest body and largest answer of an urgent request, bytes.
pub const URGENT_BYTES_MAX: usize = 4 * 1024;
/// Urgent bytes in flight to one peer: they do not wait behind the others, but they are counted too.
pub const URGENT_IN_FLIGHT_BYTES_MAX: usize = 256 * 1024;
/// Room for the answer, bytes, if the caller asks for no other.
pub const ANSWER_BYTES_DEFAULT: usize = 4 * 1024;
/// Counted for each request beside its body, bytes: headers and bookkeeping, so that empty calls are bounded too.
pub const REQUEST_OVERHEAD_BYTES: usize = 256;
/// Longest reason of a refusal, bytes; longer ones are cut.
pub const REASON_BYTES_MAX: usize = 512;

/// Time between two heartbeats, and how long one may take.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// So many heartbeats without an answer, one after the other, end a session.
pub const HEARTBEAT_MISSES_MAX: u32 = 3;
/// From the first byte of a connection to the end of the handshake, and again until the session is ready.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// One address of a host may take so long to answer; then the next is tried.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Longest deadline of a call; longer ones are cut.
pub const CALL_DEADLINE_MAX: Duration = Duration::from_secs(3600);
/// Connections that are in the handshake at once; more are closed.
pub const HANDSHAKES_MAX: usize = 256;
/// Sent bytes may stay without acknowledgement so long (`TCP_USER_TIMEOUT`).
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(3);
/// An idle connection is probed after so long (keepalive).
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Time between two keepalive probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// First wait before a connection is dialled again; doubled at each failure, with jitter.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a connection is dialled again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Wait after a refusal: it will probably be refused again.
pub const BACKOFF_REFUSED: Duration = Duration::from_secs(5);

/// Longest name of a cluster, bytes.
pub const CLUSTER_BYTES_MAX: usize = 128;
/// Shortest shared secret, bytes.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest address `host:port`, bytes.
pub const ADDRESS_BYTES_MAX: usize = 260;
/// Largest message of the handshake, bytes.
pub const HANDSHAKE_BYTES_MAX: usize = 4 * 1024;

/// What a frame of `ractor_cluster` may have beside a body: headers, names of actors, group changes.
const FRAME_OVERHEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest frame that a node takes, bytes; a larger one ends the session.
pub(crate) const FRAME_BYTES_MAX: u64 = (BODY_BYTES_MAX + FRAME_OVERHEAD_BYTES_MAX) as u64;

const _: () = assert!(CONNECT_DEADLINE.as_millis() * 2 < HANDSHAKE_DEADLINE.as_millis(), "a second address must have its turn");
const _: () = assert!(BODY_BYTES_MAX * 2 + REQUEST_OVERHEAD_BYTES <= IN_FLIGHT_BYTES_MAX, "the largest call must find room");
const _: () = assert!(
    URGENT_BYTES_MAX * 2 + REQUEST_OVERHEAD_BYTES <= URGENT_IN_FLIGHT_BYTES_MAX,
    "the largest urgent call must find room"
);
const _: () = assert!(REASON_BYTES_MAX < URGENT_BYTES_MAX, "a refusal must fit where an answer does");
