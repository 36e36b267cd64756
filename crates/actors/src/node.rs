//! Everything local: the shards of this node, the ring, the budget, the actors.

mod lake;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use ractor::{Actor as _, ActorRef};
use tokio::sync::watch;
use watershed_cluster::{ControlView, Pulse, Ring};
use watershed_lake::Lake;
use watershed_schema::proto::control_command::Command;
use watershed_schema::proto::{FoundCluster, JoinNode};
use watershed_schema::{Column, EventBatch, GroupId, NodeId, Row, ShardId, TenantId, Value};

use crate::archive::{ArchiverHandle, Upkeep};
use crate::control::{ControlHandle, Controller};
use crate::ingest::{Ingest, Ingested};
use crate::keeper::Keeper;
use crate::operator::Operator;
use crate::peers::Alone;
use crate::route::Route;
use crate::shard::{AppendError, Appended, Opening, ReadError, Replica, ShardHandle, ShardSettings};
use crate::subscriber::{Cursor, Filter, Hub, OnLag, Subscriber};
use crate::supervisor::{self, Supervisor};
use crate::tick::{Now, Tick as _};
use crate::{Aggregates, Backlog, Budget, Gateway, Peers, Permit};

/// Replicas that a shard has, as soon as there are so many nodes.
const REPLICAS: u32 = 3;
const READY_AGAIN: Duration = Duration::from_millis(100);

/// How a node behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the shards' files.
    pub data_dir: PathBuf,
    /// Shards of the cluster.
    pub shards: u16,
    /// Tenants that are spread over all shards by trace.
    pub high_volume: Vec<TenantId>,
    /// Requests that are decoded at a time.
    pub ingest_actors: usize,
    /// How long archived events stay hot, at least.
    pub hot_retention: Duration,
    /// Longest time between an event's commit and its data file.
    pub flush_interval: Duration,
    /// Rows that close a file set early.
    pub archive_rows: u64,
    /// Bytes of rows that close a file set early.
    pub archive_bytes: usize,
    /// Attempts after which rows that the lake refuses for good become a dead letter.
    pub archive_attempts: u32,
    /// What keeps the lake in shape.
    pub upkeep: Upkeep,
}

/// Which node of which cluster this is, and its way to the others.
pub struct Membership {
    /// This node.
    pub me: NodeId,
    /// What others find of this node; holds the budget of bytes in flight.
    pub gateway: Gateway,
    /// The way to others.
    pub peers: Arc<dyn Peers>,
    /// For the node that founds the cluster, at every start until others have joined.
    pub founding: Option<FoundCluster>,
    /// What the others should know of this node; it may have moved since the last start.
    pub who: JoinNode,
}

impl Membership {
    /// A cluster of one node, with a budget of so many bytes in flight.
    #[must_use]
    pub fn alone(cluster_id: &str, shards: u16, budget_bytes: usize) -> Self {
        let founder = JoinNode { join_id: cluster_id.to_owned(), address: String::new(), zone: String::new() };
        let founding = FoundCluster {
            cluster_id: cluster_id.to_owned(),
            shards: u32::from(shards),
            replicas: REPLICAS,
            founder: Some(founder.clone()),
        };
        let me = NodeId(1);
        let gateway = Gateway::new(me, Budget::new(budget_bytes), Backlog::new(u64::MAX));
        Self { me, gateway, peers: Arc::new(Alone), founding: Some(founding), who: founder }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A shard's file.
    #[error("shard {shard}: {reason}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// What happened.
        reason: String,
    },
    /// The control group.
    #[error("control group: {0}")]
    Control(String),
    /// The data folder.
    #[error("data folder: {0}")]
    DataDir(#[from] std::io::Error),
    /// An actor.
    #[error("actor: {0}")]
    Actor(#[from] ractor::SpawnErr),
}

/// The shards of the cluster and the way to them.
pub(crate) struct Shards {
    view: watch::Receiver<Arc<ControlView>>,
    ring: Mutex<Arc<Ring>>,
    handles: Vec<ShardHandle>,
}

/// A handle on everything local. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    gateway: Gateway,
    control: ControlHandle,
    keeper: ActorRef<Now>,
    controller: ActorRef<Now>,
    operator: Operator,
    shards: Arc<Shards>,
    ingest: Ingest,
    hub: Hub,
    archiver: Option<Arc<ArchiverHandle>>,
    supervisor: ActorRef<supervisor::Message>,
    failed: watch::Receiver<Option<String>>,
}

impl Node {
    /// Joins the control group, opens every shard and starts the actors, the last consumer first. Returns when this node
    /// can serve: a leader is known for every shard, and what is committed is applied here.
    ///
    /// # Errors
    /// [`StartError`] when a file, folder or actor does not come up.
    pub async fn start(settings: Settings, cluster: Membership, lake: Option<Arc<Lake>>) -> Result<Self, StartError> {
        std::fs::create_dir_all(&settings.data_dir)?;
        let (tell, failed) = watch::channel(None);
        let supervisor = Supervisor::spawn(None, Supervisor, tell).await?.0;
        let Membership { me, gateway, peers, founding, who } = cluster;
        let opening = Opening {
            me,
            data_dir: settings.data_dir.clone().into(),
            settings: ShardSettings { hot_retention: settings.hot_retention },
            peers,
            gateway: gateway.clone(),
            supervisor: supervisor.get_cell(),
            pulse: Pulse::start(),
        };
        let control = join(&opening, founding).await?;
        control.tell_move(me, who);
        let keeper = Keeper::new(opening.clone(), control.clone());
        keeper.open().await?;
        let keeper = keeper.start(supervisor.get_cell()).await?;
        let shards = Arc::new(Shards::new(&opening, &control));
        let operator = Operator::new(control.clone(), shards.handles.clone());
        let controller = Controller::new(control.clone(), operator.clone()).start(supervisor.get_cell()).await?;
        control.spread(&settings.high_volume).await?;
        shards.ready().await;
        let archiver = match lake {
            Some(lake) => {
                let shards = shards.handles.clone();
                let cell = supervisor.get_cell();
                let archiver = Arc::new(ArchiverHandle::start(shards, control.clone(), lake, &settings, &cell).await?);
                gateway.open_lake(Arc::clone(&archiver));
                Some(archiver)
            }
            None => None,
        };
        let hub = Hub::start(shards.handles.clone(), supervisor.get_cell()).await?;
        let ingest = Ingest::start(settings.ingest_actors, &shards, &supervisor.get_cell()).await?;
        let inner = Inner { gateway, control, keeper, controller, operator, shards, ingest, hub, archiver, supervisor, failed };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Bytes in flight.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.inner.gateway.budget()
    }

    /// What waits for the lake.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        self.inner.gateway.backlog()
    }

    /// The cluster, as this node knows it.
    #[must_use]
    pub fn cluster(&self) -> Arc<ControlView> {
        self.inner.control.view()
    }

    /// This node's number, and that of the committer, as far as is known here: it leads the control group.
    #[must_use]
    pub fn me_and_committer(&self) -> (NodeId, Option<NodeId>) {
        self.inner.control.me_and_leader()
    }

    /// What can be done to the cluster.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.inner.operator
    }

    /// Which shard owns what.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        self.inner.shards.ring()
    }

    /// Which shard owns what, with everything that was decided before now.
    ///
    /// # Errors
    /// When the control group has no leader.
    pub async fn fresh_ring(&self) -> Result<Arc<Ring>, ReadError> {
        self.inner.control.fresh().await.map_err(|error| ReadError::NoLeader(error.to_string()))?;
        Ok(self.ring())
    }

    /// Replicas on this node, by shard.
    #[must_use]
    pub fn replicas(&self) -> Vec<Replica> {
        self.inner.gateway.replicas()
    }

    /// The shards of the cluster, by number.
    #[must_use]
    pub fn shards(&self) -> &[ShardHandle] {
        &self.inner.shards.handles
    }

    /// Routes a batch and appends its parts; returns when all are committed.
    ///
    /// # Errors
    /// [`AppendError`] of the first part that failed; other parts may be committed, a retry is recognised.
    pub async fn append(&self, batch: EventBatch, permit: Permit) -> Result<Appended, AppendError> {
        self.inner.shards.append(batch, permit).await
    }

    /// Decodes a request on an ingest actor and appends what comes of it; `None` when the node stops.
    pub async fn ingest<T: Send + 'static>(
        &self,
        decode: impl FnOnce() -> (T, Option<EventBatch>) + Send + 'static,
        permit: Permit,
    ) -> Option<Ingested<T>> {
        self.inner.ingest.run(decode, permit).await
    }

    /// A stream of a tenant's events from these cursors on, one for each shard that is to be followed.
    ///
    /// `filter` says what is worth waking it for: steps hold other events, too.
    #[must_use]
    pub fn subscribe(&self, tenant: TenantId, filter: Arc<Filter>, on_lag: OnLag, cursors: &[Cursor]) -> Subscriber {
        Subscriber::new(self.inner.hub.clone(), self.shards(), (tenant, filter, on_lag), cursors)
    }

    /// From now on other nodes may have events aggregated here.
    pub fn aggregate_with(&self, aggregates: Arc<dyn Aggregates>) {
        self.inner.gateway.open_aggregates(aggregates);
    }

    /// Returns with the reason when an actor failed: the process should end.
    pub async fn failed(&self) -> String {
        let mut failed = self.inner.failed.clone();
        let reason = failed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_else(|| "supervisor is gone".to_owned())
    }

    /// Finishes what is in flight and ends every actor; what is committed and not archived stays in the log.
    pub async fn stop(&self) {
        self.inner.ingest.stop().await;
        self.inner.hub.stop().await;
        if let Some(archiver) = &self.inner.archiver {
            archiver.stop().await;
        }
        supervisor::join(&self.inner.controller).await;
        supervisor::join(&self.inner.keeper).await;
        for replica in self.replicas() {
            replica.stop().await;
        }
        self.inner.control.stop().await;
        self.inner.gateway.close_door();
        supervisor::join(&self.inner.supervisor).await;
    }
}

/// The control group, once it knows this node and this node knows all that it decided: nothing is opened by an old entry.
async fn join(opening: &Opening, founding: Option<FoundCluster>) -> Result<ControlHandle, StartError> {
    let control = ControlHandle::open(opening, founding.is_some()).await?;
    if let Some(found) = founding.filter(|_| control.is_alone()) {
        control.found(Command::Found(found)).await?;
    }
    opening.gateway.open_door(control.clone());
    let known = control.wait_for(|view| view.nodes.contains_key(&opening.me)).await;
    known.ok_or_else(|| StartError::Control("the replica stopped".to_owned()))?;
    control.tell_peers().await;
    while let Err(error) = control.fresh().await {
        tracing::info!(%error, "waiting for the control group");
        tokio::time::sleep(READY_AGAIN).await;
    }
    Ok(control)
}

impl Shards {
    fn new(opening: &Opening, control: &ControlHandle) -> Self {
        let view = control.view();
        let handle = |shard: u16| {
            let (gateway, peers) = (opening.gateway.clone(), Arc::clone(&opening.peers));
            ShardHandle::new(ShardId(shard), Route::new(GroupId::of_shard(ShardId(shard)), gateway, peers, Some(control.watch())))
        };
        let shards = u16::try_from(view.shards.len()).unwrap_or(u16::MAX);
        Self { view: control.watch(), ring: Mutex::new(Arc::new(Ring::new(shards))), handles: (0..shards).map(handle).collect() }
    }

    /// With every tenant that is spread by now; none ever comes back together.
    pub(crate) fn ring(&self) -> Arc<Ring> {
        let view = self.view.borrow().clone();
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in &view.spread {
            if !ring.is_high_volume(tenant) {
                Arc::make_mut(&mut ring).graduate(tenant.clone());
            }
        }
        Arc::clone(&ring)
    }

    /// Waits until every shard has a leader and what is committed is applied here: a resume token must not be ahead.
    async fn ready(&self) {
        for shard in &self.handles {
            while let Err(error) = shard.read_index().await {
                tracing::info!(shard = %shard.id(), %error, "waiting for the shard");
                tokio::time::sleep(READY_AGAIN).await;
            }
        }
    }

    pub(crate) async fn append(&self, batch: EventBatch, permit: Permit) -> Result<Appended, AppendError> {
        let permit = Arc::new(permit);
        let append = |(shard, part): (ShardId, EventBatch)| self.handles[usize::from(shard.0)].append(part, Arc::clone(&permit));
        let done = try_join_all(split(&self.ring(), batch).into_iter().map(append)).await?;
        let sum = |field: fn(&Appended) -> u64| done.iter().map(field).sum();
        Ok(Appended { events: sum(|one| one.events), duplicates: sum(|one| one.duplicates) })
    }
}

/// The routing key of an event: trace, else session, else actor, else the event itself.
fn key_of<'a>(row: &Row<'a>) -> &'a str {
    [Column::TraceId, Column::SessionId, Column::ActorId, Column::AnonymousId, Column::Id]
        .into_iter()
        .find_map(|column| row.get(column).ok().flatten().and_then(Value::as_str))
        .unwrap_or("")
}

fn split(ring: &Ring, batch: EventBatch) -> Vec<(ShardId, EventBatch)> {
    let tenant: TenantId = batch.tenant().clone();
    if !ring.is_high_volume(&tenant) {
        return vec![(ring.shard(&tenant, b""), batch)];
    }
    let mut parts = BTreeMap::<ShardId, Vec<usize>>::new();
    for (index, row) in batch.rows().enumerate() {
        parts.entry(ring.shard(&tenant, key_of(&row).as_bytes())).or_default().push(index);
    }
    parts.into_iter().filter_map(|(shard, rows)| Some((shard, batch.select(&rows)?))).collect()
}
