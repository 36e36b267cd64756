//! One connection, and the verbs that answer once.

use futures::Stream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use watershed_schema::{EventBatch, limits, proto};

use crate::ClusterAdmin;
use crate::lake::LakeReader;
use crate::services::analytics_service_client::AnalyticsServiceClient;
use crate::services::cluster_service_client::ClusterServiceClient;
use crate::services::ingest_service_client::IngestServiceClient;
use crate::services::lake_service_client::LakeServiceClient;
use crate::services::query_service_client::QueryServiceClient;
use crate::services::subscribe_service_client::SubscribeServiceClient;
use crate::{Error, Filter, LiveQuery, LiveStream, OnLag, QueryStream, Start, Subscriber, Subscription, Subscriptions};

/// Largest message either way, bytes: a full batch fits.
pub const MESSAGE_BYTES_MAX: usize = limits::BATCH_BYTES_MAX;

const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// A connection to a node; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    tenant: Tenant,
}

/// What became of a published batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Events that are durable now.
    pub accepted: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// First reasons, each naming the record and the field.
    pub reasons: Vec<String>,
}

impl From<proto::PublishResponse> for Published {
    fn from(proto::PublishResponse { accepted, rejected, reasons }: proto::PublishResponse) -> Self {
        Self { accepted, rejected, reasons }
    }
}

fn request_of(batch: &EventBatch) -> proto::PublishRequest {
    let batch = prost::Message::decode(batch.body().clone()).expect("invariant: a batch is an encoded EventBatch");
    proto::PublishRequest { batch: Some(batch) }
}

fn outcome(ack: proto::PublishAck) -> Result<Published, Error> {
    use proto::publish_ack::Outcome;
    match ack.outcome {
        Some(Outcome::Done(response)) => Ok(response.into()),
        Some(Outcome::Refused(proto::Refused { code, message, .. })) => {
            Err(tonic::Status::new(tonic::Code::from_i32(code), message).into())
        }
        None => Err(Error::Protocol("an answer without an outcome")),
    }
}

/// Adds `x-scope-orgid` to every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tenant(Option<MetadataValue<Ascii>>);

impl Interceptor for Tenant {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(tenant) = &self.0 {
            request.metadata_mut().insert("x-scope-orgid", tenant.clone());
        }
        Ok(request)
    }
}

pub(crate) type Service = InterceptedService<Channel, Tenant>;

impl Client {
    /// Connects to a node, for example `http://127.0.0.1:4317`.
    ///
    /// # Errors
    /// [`Error::Endpoint`] for a bad address, [`Error::Unreachable`] when nobody answers.
    pub async fn connect(endpoint: &str) -> Result<Self, Error> {
        let address = Endpoint::from_shared(endpoint.to_owned()).map_err(|_invalid| Error::Endpoint(endpoint.to_owned()))?;
        let address = address.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let channel = address.connect().await.map_err(Error::Unreachable)?;
        Ok(Self { channel, tenant: Tenant::default() })
    }

    /// Speaks for `tenant` from now on.
    ///
    /// # Errors
    /// [`Error::Tenant`] when the name cannot stand in a header.
    pub fn with_tenant(mut self, tenant: &str) -> Result<Self, Error> {
        let value = tenant.parse().map_err(|_invalid| Error::Tenant(tenant.to_owned()))?;
        self.tenant = Tenant(Some(value));
        Ok(self)
    }

    /// Publishes events; they are durable when this returns. The tenant is the client's, not the batch's.
    ///
    /// ```no_run
    /// # async fn run(client: watershed_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use watershed_schema::{BatchBuilder, Column, TenantId};
    /// let mut batch = BatchBuilder::new(TenantId::new("shop")?, 1024);
    /// batch.row(None, |row| {
    ///     row.str(Column::Id, "order-1");
    ///     row.str(Column::EventType, "track");
    ///     row.str(Column::EventName, "order.placed");
    ///     row.int(Column::Timestamp, 1_700_000_000_000_000);
    /// });
    /// let published = client.publish(batch.finish()?).await?;
    /// assert_eq!(published.accepted, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Status`]; when [`Error::is_retryable`], publishing the same batch again is safe.
    pub async fn publish(&self, batch: EventBatch) -> Result<Published, Error> {
        Ok(self.ingest_service().publish(request_of(&batch)).await?.into_inner().into())
    }

    /// Publishes batch after batch over one stream without waiting for each; the answers come in the order of the batches.
    /// A refused batch is an `Err` in its place, those behind it go on.
    ///
    /// # Errors
    /// [`Error::Status`] when the stream cannot begin.
    pub async fn publish_all<S>(&self, batches: S) -> Result<impl Stream<Item = Result<Published, Error>> + use<S>, Error>
    where
        S: Stream<Item = EventBatch> + Send + 'static,
    {
        use futures::StreamExt as _;
        let requests = batches.map(|batch| request_of(&batch));
        let acks = self.ingest_service().publish_stream(requests).await?.into_inner();
        Ok(acks.map(|ack| outcome(ack?)))
    }

    /// Sends a request in the format of another source, as it would be posted to `path`, for example `/v1/cdc`.
    ///
    /// # Errors
    /// [`Error::Status`]; when [`Error::is_retryable`], sending the same bytes again is safe.
    pub async fn send(&self, path: &str, body: Vec<u8>) -> Result<Published, Error> {
        let request = proto::SendRequest { path: path.to_owned(), body: body.into() };
        Ok(self.ingest_service().send(request).await?.into_inner().into())
    }

    /// Follows events; reconnects by itself.
    ///
    /// ```no_run
    /// # async fn run(client: watershed_client::Client) -> Result<(), watershed_client::Error> {
    /// use futures::TryStreamExt as _;
    /// use watershed_client::{Filter, Item, Start};
    /// let filter = Filter { topics: vec!["trace.*".into()], ..Filter::default() };
    /// let mut events = client.subscribe(filter, Start::Now);
    /// while let Some(Item { events, .. }) = events.try_next().await? {
    ///     println!("{} more", events.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self, filter: Filter, start: Start) -> Subscription {
        self.subscribe_with(filter, start, OnLag::CatchUp)
    }

    /// Like [`Self::subscribe`], and says what happens when the stream falls behind.
    #[must_use]
    pub fn subscribe_with(&self, filter: Filter, start: Start, on_lag: OnLag) -> Subscription {
        Subscription::new(self.subscribe_service(), filter, start, on_lag)
    }

    /// Any number of subscriptions over one stream, opened and closed while it runs; reconnects by itself.
    ///
    /// ```no_run
    /// # async fn run(client: watershed_client::Client) -> Result<(), watershed_client::Error> {
    /// use futures::TryStreamExt as _;
    /// use watershed_client::{Change, Filter, Start};
    /// let (subscriber, mut changes) = client.subscriptions();
    /// let errors = Filter { where_sql: "outcome = 'error'".into(), ..Filter::default() };
    /// subscriber.subscribe("errors", errors, Start::Now).await;
    /// while let Some((id, change)) = changes.try_next().await? {
    ///     if let Change::Events(item) = change {
    ///         println!("{id}: {} more", item.events.len());
    ///         subscriber.unsubscribe("errors").await;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscriptions(&self) -> (Subscriber, Subscriptions) {
        crate::subscriptions::open(self.subscribe_service())
    }

    /// Runs SQL and collects the result.
    ///
    /// # Errors
    /// [`Error::Status`] when the server refuses the statement, [`Error::Result`] for a damaged answer.
    pub async fn query(&self, sql: &str) -> Result<Vec<arrow::record_batch::RecordBatch>, Error> {
        futures::TryStreamExt::try_collect(self.query_stream(sql).await?).await
    }

    /// Runs SQL and yields the result in pieces as they come.
    ///
    /// # Errors
    /// [`Error::Status`] when the server refuses the statement.
    pub async fn query_stream(&self, sql: &str) -> Result<QueryStream, Error> {
        let request = proto::SqlRequest { sql: sql.to_owned(), deadline_ms: 0 };
        Ok(QueryStream::new(self.query_service().sql(request).await?.into_inner()))
    }

    /// Follows aggregates of events: rows for each window when it closes. The first item has none, it says that the server
    /// runs the query.
    ///
    /// ```no_run
    /// # async fn run(client: watershed_client::Client) -> Result<(), watershed_client::Error> {
    /// use futures::TryStreamExt as _;
    /// let query = watershed_client::LiveQuery::new("SELECT service_name, count(*) FROM events GROUP BY 1");
    /// let mut rows = client.live(query).await?;
    /// while let Some(now) = rows.try_next().await? {
    ///     println!("{} windows closed, {} events late so far", now.windows.len(), now.late);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Status`] when the server refuses it.
    pub async fn live(&self, query: LiveQuery) -> Result<LiveStream, Error> {
        LiveStream::open(self.query_service(), query).await
    }

    /// All events of a trace, ordered by time.
    ///
    /// ```no_run
    /// # async fn run(client: watershed_client::Client) -> Result<(), watershed_client::Error> {
    /// let spans = client.get_trace("4bf92f3577b34da6a3ce929d0e0e4736").await?;
    /// # drop(spans);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn get_trace(&self, trace_id: &str) -> Result<Vec<proto::Event>, Error> {
        let request = proto::GetTraceRequest { trace_id: trace_id.to_owned() };
        Ok(self.query_service().get_trace(request).await?.into_inner().events)
    }

    /// All events of a session, ordered by time.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn get_session(&self, session_id: &str) -> Result<Vec<proto::Event>, Error> {
        let request = proto::GetSessionRequest { session_id: session_id.to_owned() };
        Ok(self.query_service().get_session(request).await?.into_inner().events)
    }

    /// Version and shard positions of the node.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn status(&self) -> Result<proto::StatusResponse, Error> {
        Ok(self.query_service().status(proto::StatusRequest {}).await?.into_inner())
    }

    /// Keeps the lake in shape now: what was done, round by round. `dry_run`: only looks for orphans.
    ///
    /// # Errors
    /// [`Error::Status`]; a round that failed says so in its step.
    pub async fn maintain(&self, dry_run: bool) -> Result<Vec<proto::UpkeepStep>, Error> {
        Ok(self.lake_service().maintain(proto::MaintainRequest { dry_run }).await?.into_inner().steps)
    }

    /// Takes the tenant's rows out of the lake, or those of one actor: what was done, round by round.
    ///
    /// # Errors
    /// [`Error::Status`]; a round that failed says so in its step.
    pub async fn delete_rows(&self, actor: Option<&str>) -> Result<Vec<proto::UpkeepStep>, Error> {
        let request = proto::DeleteRowsRequest { actor: actor.unwrap_or_default().to_owned() };
        Ok(self.lake_service().delete_rows(request).await?.into_inner().steps)
    }

    /// What is in the lake.
    #[must_use]
    pub fn lake(&self) -> LakeReader {
        LakeReader::new(self.lake_service())
    }

    /// What the cluster is made of, and changes of it.
    #[must_use]
    pub fn cluster(&self) -> ClusterAdmin {
        ClusterAdmin::new(ClusterServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone()))
    }

    fn ingest_service(&self) -> IngestServiceClient<Service> {
        IngestServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn analytics_service(&self) -> AnalyticsServiceClient<Service> {
        AnalyticsServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn subscribe_service(&self) -> SubscribeServiceClient<Service> {
        SubscribeServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn lake_service(&self) -> LakeServiceClient<Service> {
        LakeServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone())
    }

    fn query_service(&self) -> QueryServiceClient<Service> {
        QueryServiceClient::with_interceptor(self.channel.clone(), self.tenant.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}
