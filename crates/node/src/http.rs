//! The HTTP face: every source, SQL, analytics, streams, health, metrics.

mod analytics;
mod answer;
mod body;
mod health;
mod otlp;
mod sources;
mod sql;
mod stream;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use watershed_actors::Node;
use watershed_query::Engine;

use crate::drain::Drain;
use crate::ingest::Intake;
use crate::subscribe::Streams;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) node: Node,
    pub(crate) intake: Intake,
    pub(crate) drain: Drain,
    pub(crate) streams: Streams,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) engine: Engine,
}

/// Every route of this face.
pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .merge(otlp::routes())
        .merge(sources::routes())
        .merge(analytics::routes())
        .merge(sql::routes())
        .merge(stream::routes())
        .merge(health::routes())
        .with_state(context)
}
