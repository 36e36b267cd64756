//! One node from its settings to its end.

pub(crate) mod cluster_id;
mod data_dir;
mod lake;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic_health::ServingStatus;
use watershed_actors::{Node, Settings};
use watershed_lake::Lake;
use watershed_query::{Engine, Limits};
use watershed_sources::redact::Redactions;

pub(crate) use cluster_id::write_durably;

use crate::Config;
use crate::aggregates::Slices;
use crate::drain::Drain;
use crate::hot_tier::ClusterShards;
use crate::ingest::Intake;
use crate::subscribe::{Seats, Streams, Tokens};
use crate::{grpc, http, telemetry};

/// How long shards may take to be handed over when the node ends.
const RESIGN_DEADLINE: Duration = Duration::from_secs(3);

/// Where a node that started can be reached.
#[derive(Clone, Debug)]
pub struct Started {
    /// gRPC.
    pub grpc_addr: SocketAddr,
    /// HTTP.
    pub http_addr: SocketAddr,
    /// Its folder.
    pub data_dir: PathBuf,
}

/// Runs a node until `shutdown`, then drains it: unready, streams end, what is in flight is finished and archived.
///
/// # Errors
/// When it cannot start, or an actor failed.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
    started: impl FnOnce(&Started),
) -> anyhow::Result<()> {
    let redactions = Arc::new(Redactions::new(&config.redaction).context("redaction")?);
    let rates = config.limits.rates()?;
    let _lock = data_dir::lock(&config.data_dir)?;
    let metrics = telemetry::recorder()?;
    let listeners = Listeners::bind(&config).await?;
    let lake = lake::open(&config).await.context("lake")?;
    let node = start(&config, lake.clone()).await?;
    let engine = engine(&config, &node, lake.clone());
    node.aggregate_with(Arc::new(Slices::new(engine.clone())));
    let drain = Drain::new();
    let tokens = Tokens::new(cluster_id::number(&node.cluster().cluster_id)?);
    let intake = Intake { node: node.clone(), redactions, rates };
    let seats = Seats::new(config.streams.limits());
    let streams = Streams { node: node.clone(), tokens, drain: drain.clone(), seats, engine: engine.clone() };
    let http = http::Context {
        node: node.clone(),
        intake: intake.clone(),
        drain: drain.clone(),
        streams: streams.clone(),
        metrics,
        engine: engine.clone(),
    };
    let grpc = grpc::Context { node: node.clone(), intake, drain: drain.clone(), streams, engine, lake };
    let (http, grpc) = (http::router(http), grpc::routes(&grpc)?);
    started(&listeners.started(config.data_dir.clone())?);
    let servers = Servers::spawn(listeners, grpc, http).await;
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        reason = node.failed() => Err(anyhow::anyhow!("an actor failed: {reason}")),
    };
    tracing::info!("draining");
    drain.begin();
    if tokio::time::timeout(RESIGN_DEADLINE, node.operator().resign()).await.is_err() {
        tracing::info!("not everything was handed over in time");
    }
    servers.stop(config.drain_timeout.0).await;
    if ended.is_ok() && tokio::time::timeout(config.drain_timeout.0, node.flush()).await.is_err() {
        tracing::warn!("not everything was archived in time; the rest stays in the log");
    }
    node.stop().await;
    ended
}

fn engine(config: &Config, node: &Node, lake: Option<Arc<Lake>>) -> Engine {
    let limits = Limits { deadline: config.query_deadline.0, memory_bytes: config.query_memory.0, rows_max: config.query_rows };
    Engine::new(Arc::new(ClusterShards(node.clone())), lake, limits)
}

async fn start(config: &Config, lake: Option<Arc<Lake>>) -> anyhow::Result<Node> {
    let settings = Settings {
        data_dir: config.data_dir.join("shards"),
        shards: data_dir::shards(&config.data_dir, config.shards)?,
        high_volume: data_dir::spread(&config.data_dir, config.tenants()?)?,
        ingest_actors: std::thread::available_parallelism().map_or(1, usize::from),
        hot_retention: config.hot_retention.0,
        flush_interval: config.flush_interval.0,
        archive_rows: config.archive_rows,
        archive_bytes: config.archive_bytes.0,
        archive_attempts: config.archive_attempts,
        upkeep: config.lake.upkeep()?,
    };
    let membership = crate::cluster::membership(config, settings.shards).await?;
    Ok(Node::start(settings, membership, lake).await?)
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |key, address: SocketAddr| async move {
            TcpListener::bind(address).await.with_context(|| format!("{key} {address}"))
        };
        Ok(Self { grpc: bind("grpc_addr", config.grpc_addr).await?, http: bind("http_addr", config.http_addr).await? })
    }

    fn started(&self, data_dir: PathBuf) -> anyhow::Result<Started> {
        Ok(Started { grpc_addr: self.grpc.local_addr()?, http_addr: self.http.local_addr()?, data_dir })
    }
}

struct Servers {
    stop: Vec<oneshot::Sender<()>>,
    ended: tokio::task::JoinSet<anyhow::Result<()>>,
    health: tonic_health::server::HealthReporter,
}

impl Servers {
    async fn spawn(listeners: Listeners, grpc: tonic::service::Routes, http: axum::Router) -> Self {
        let (stop_grpc, grpc_stopped) = oneshot::channel::<()>();
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", ServingStatus::Serving).await;
        let mut ended = tokio::task::JoinSet::new();
        let incoming = tonic::transport::server::TcpIncoming::from(listeners.grpc).with_nodelay(Some(true));
        let server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .add_routes(grpc.add_service(health_service));
        ended.spawn(async move { Ok(server.serve_with_incoming_shutdown(incoming, gone(grpc_stopped)).await?) });
        ended.spawn(async move { Ok(axum::serve(listeners.http, http).with_graceful_shutdown(gone(http_stopped)).await?) });
        Self { stop: vec![stop_grpc, stop_http], ended, health }
    }

    async fn stop(mut self, deadline: Duration) {
        self.health.set_service_status("", ServingStatus::NotServing).await;
        self.stop.clear();
        let all = async {
            while let Some(ended) = self.ended.join_next().await {
                if let Ok(Err(error)) = ended {
                    tracing::warn!(%error, "a server ended badly");
                }
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }
    }
}

/// Returns when the other end is dropped.
async fn gone(stopped: oneshot::Receiver<()>) {
    drop(stopped.await);
}
