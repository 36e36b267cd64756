//! An HTTP proxy that goes wrong as it is told: one request a connection, what is forwarded always reaches the server.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It never reaches the server; this is answered.
    Refused(u16),
    /// The server does it, and this is answered all the same.
    Applied(u16),
    /// The server does it, the answer comes late.
    Slow(Duration),
    /// The connection ends before the request reaches the server.
    CutBefore,
    /// The server does it; the connection ends in the middle of the answer.
    CutAfter,
    /// It reaches the server when a permit is there, whether the client still waits or not.
    Held(Arc<Semaphore>),
}

impl Fault {
    fn name(&self) -> String {
        match self {
            Self::Refused(status) => format!("refused with {status}"),
            Self::Applied(status) => format!("applied, answered {status}"),
            Self::Slow(_) => "slow".to_owned(),
            Self::CutBefore => "cut before".to_owned(),
            Self::CutAfter => "cut after".to_owned(),
            Self::Held(_) => "held".to_owned(),
        }
    }
}

/// What is known of a request when its fault is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

type Plan = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

struct State {
    upstream: SocketAddr,
    plan: Mutex<Plan>,
    injected: Mutex<BTreeMap<String, usize>>,
}

/// The proxy; ends with the value.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State { upstream, plan: Mutex::new(Box::new(plan)), injected: Mutex::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// From now on connections are refused.
    pub(crate) async fn close(&mut self) {
        self.task.abort();
        (&mut self.task).await.ok();
    }

    /// Takes connections again, at the same address.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is free again");
        self.task = tokio::spawn(accept(listener, Arc::clone(&self.state)));
    }

    /// From now on this goes wrong.
    pub(crate) fn plan(&self, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *self.state.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(plan);
    }

    /// How often each fault was injected.
    pub(crate) fn injected(&self) -> BTreeMap<String, usize> {
        self.state.injected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        // A request goes on when its client has left: that is what makes a zombie.
        tokio::spawn(async move { serve(client, &state).await.ok() });
    }
}

async fn serve(mut client: TcpStream, state: &State) -> io::Result<()> {
    let Some((request, asked)) = read_request(&mut client).await? else { return Ok(()) };
    let fault = (state.plan.lock().unwrap_or_else(PoisonError::into_inner))(&asked);
    if let Some(fault) = &fault {
        *state.injected.lock().unwrap_or_else(PoisonError::into_inner).entry(fault.name()).or_default() += 1;
    }
    match fault {
        Some(Fault::Refused(status)) => return answer(&mut client, status).await,
        Some(Fault::CutBefore) => return Ok(()),
        Some(Fault::Held(ref gate)) => gate.acquire().await.expect("stays open").forget(),
        _ => {}
    }
    let answered = forward(state.upstream, &request).await?;
    match fault {
        Some(Fault::Applied(status)) => answer(&mut client, status).await,
        Some(Fault::CutAfter) => client.write_all(&answered[..answered.len() / 2]).await,
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            client.write_all(&answered).await
        }
        _ => client.write_all(&answered).await,
    }
}

async fn answer(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let text = format!("HTTP/1.1 {status} Planned\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await
}

/// The whole request, made one that closes its connection.
async fn read_request(client: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Asked)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header =
        |name: &str| head.lines().skip(1).filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
    let length: usize = header("content-length").and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authorization = header("authorization").map(|(_, value)| value.trim().to_owned());
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head = kept.collect::<Vec<_>>().join("\r\n") + "\r\nConnection: close\r\n\r\n";
    let request = [head.as_bytes(), &bytes[end + 4..]].concat();
    Ok(Some((request, Asked { method, path, authorization })))
}

async fn forward(upstream: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(request).await?;
    let mut answered = Vec::new();
    server.read_to_end(&mut answered).await?;
    Ok(answered)
}
