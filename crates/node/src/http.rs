//! The HTTP face: every source, health, metrics.

mod answer;
mod body;
mod health;
mod otlp;
mod sources;
mod stream;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use watershed_actors::Node;

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
}

/// Every route of this face.
pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .merge(otlp::routes())
        .merge(sources::routes())
        .merge(stream::routes())
        .merge(health::routes())
        .with_state(context)
}
