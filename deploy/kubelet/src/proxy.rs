//! The address of a service: connections go round the ready pods. A pod that refuses is not replaced by another, as in a cluster.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use crate::board::Board;
use crate::shell::say;

const CONNECT: Duration = Duration::from_secs(1);

/// Listens at the service's address for as long as the player lives.
///
/// # Errors
/// When it cannot listen.
pub fn listen(board: Arc<Board>, address: Ipv4Addr, port: u16, target: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((address, port)).with_context(|| format!("{address}:{port}"))?;
    let turn = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let endpoints = board.endpoints();
            let Some(pod) = endpoints.get(turn.fetch_add(1, Ordering::Relaxed) % endpoints.len().max(1)).copied() else {
                continue;
            };
            std::thread::spawn(move || {
                if let Err(error) = join(&client, pod, target) {
                    say(&format!("service: {pod}:{target} {error}"));
                }
            });
        }
    });
    Ok(())
}

fn join(client: &TcpStream, pod: Ipv4Addr, port: u16) -> io::Result<()> {
    let server = TcpStream::connect_timeout(&(pod, port).into(), CONNECT)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (there, back) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || pump(there, back));
    pump(server, client.try_clone()?);
    drop(up.join());
    Ok(())
}

/// When one side ends, the other is told so.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Both));
}
