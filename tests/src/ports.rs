//! Ports of 127.0.0.1 for servers that are told where to listen.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the ports that the system gives to outgoing connections, which would take one while a server is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// Who listens here has the port of the same number: tests of other processes look here, too.
const RESERVED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

static MINE: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// A port that no other test gets while this process lives.
pub(crate) fn free_port() -> u16 {
    let begin = u16::try_from(std::process::id() % 20_000).expect("below") + PORTS.start;
    let mine = (begin..PORTS.end).chain(PORTS.start..begin).find_map(reserve);
    let (port, reserved) = mine.expect("a free port");
    MINE.lock().unwrap_or_else(PoisonError::into_inner).push(reserved);
    port
}

fn reserve(port: u16) -> Option<(u16, TcpListener)> {
    let reserved = TcpListener::bind((RESERVED, port)).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_free| (port, reserved))
}
