//! The gRPC face: OTLP, `watershed.v1`, health, reflection.

mod analytics;
mod cluster;
mod follow;
mod lake;
mod lake_contents;
mod letters;
mod live;
mod otlp;
mod publish;
mod query;
pub(crate) mod raw;
mod subscribe;

use std::sync::Arc;

use tonic::service::Routes;
use watershed_actors::Node;
use watershed_client::services::analytics_service_server::AnalyticsServiceServer;
use watershed_client::services::cluster_service_server::ClusterServiceServer;
use watershed_client::services::lake_service_server::LakeServiceServer;
use watershed_client::services::query_service_server::QueryServiceServer;
use watershed_lake::Lake;
use watershed_query::Engine;
use watershed_schema::limits::MESSAGE_BYTES_MAX;

use crate::drain::Drain;
use crate::ingest::Intake;
use crate::subscribe::Streams;

/// First in reflection: its `common.proto` is whole, ours of the same name is the part that `watershed.v1` needs.
const OTLP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/otlp.bin"));

/// What the services share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) node: Node,
    pub(crate) intake: Intake,
    pub(crate) drain: Drain,
    pub(crate) streams: Streams,
    pub(crate) engine: Engine,
    pub(crate) lake: Option<Arc<Lake>>,
}

/// Every service of this face but health.
pub(crate) fn routes(context: &Context) -> anyhow::Result<Routes> {
    let router = otlp::routes(context).merge(publish::routes(context)).merge(subscribe::routes(context));
    let router = router.merge(follow::routes(context));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(OTLP)
        .register_encoded_file_descriptor_set(watershed_schema::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let query = QueryServiceServer::new(query::Query(context.clone())).max_encoding_message_size(MESSAGE_BYTES_MAX * 4);
    let lake = LakeServiceServer::new(lake::Keeper(context.node.clone(), context.lake.clone()));
    let analytics = AnalyticsServiceServer::new(analytics::Analytics(context.engine.clone()));
    let cluster = ClusterServiceServer::new(cluster::Cluster(context.node.clone()));
    let routes = Routes::from(router).add_service(reflection).add_service(query).add_service(analytics);
    Ok(routes.add_service(lake).add_service(cluster))
}
