//! Health and our own metrics.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;

use super::Context;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready: takes new requests.
async fn ready(State(context): State<Context>) -> (StatusCode, &'static str) {
    if context.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if context.node.shards().iter().any(|shard| shard.is_full()) {
        return (StatusCode::SERVICE_UNAVAILABLE, "a disk is full\n");
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(context): State<Context>) -> String {
    gauges(&context);
    context.metrics.render()
}

/// What is looked up when somebody asks.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; positions stay far below 2^53")]
fn gauges(context: &Context) {
    let budget = context.node.budget();
    metrics::gauge!("watershed_budget_used_bytes").set(budget.used() as f64);
    metrics::gauge!("watershed_budget_max_bytes").set(budget.max() as f64);
    for shard in context.node.shards() {
        let (id, positions) = (shard.id().to_string(), shard.positions());
        let lag = positions.tail().0 - positions.archived().0;
        metrics::gauge!("watershed_archive_lag_events", "shard" => id.clone()).set(lag as f64);
        metrics::gauge!("watershed_archive_lag_seconds", "shard" => id.clone()).set(shard.archive_lag().as_secs_f64());
        metrics::gauge!("watershed_hot_events", "shard" => id.clone()).set((positions.tail().0 - positions.trimmed().0) as f64);
        metrics::gauge!("watershed_hot_bytes", "shard" => id.clone()).set(shard.hot_bytes().unwrap_or_default() as f64);
        metrics::gauge!("watershed_disk_full", "shard" => id).set(f64::from(u8::from(shard.is_full())));
    }
}
