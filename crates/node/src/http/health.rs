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

/// Ready: takes new requests. Dead letters and an archiver that fails are worth a word, they keep nobody out.
async fn ready(State(context): State<Context>) -> (StatusCode, String) {
    if context.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    if context.node.replicas().iter().any(watershed_actors::Replica::is_full) {
        return (StatusCode::SERVICE_UNAVAILABLE, "a disk is full\n".to_owned());
    }
    let backlog = context.node.backlog();
    let failing = backlog.failing().map_or_else(String::new, |failing| {
        format!("archiving fails for {} s: {}\n", failing.since.elapsed().as_secs(), failing.reason)
    });
    if backlog.is_full() {
        let (used, max) = (backlog.used(), backlog.max());
        let full = format!("{used} bytes wait for the lake, archive_backlog is {max}\n{failing}");
        return (StatusCode::SERVICE_UNAVAILABLE, full);
    }
    let letters = match context.node.dead_letter_count() {
        0 => String::new(),
        letters => format!("{letters} dead letters: watershed lake dead-letters list\n"),
    };
    (StatusCode::OK, format!("ok\n{failing}{letters}"))
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
    let backlog = context.node.backlog();
    metrics::gauge!("watershed_archive_backlog_bytes").set(backlog.used() as f64);
    metrics::gauge!("watershed_archive_backlog_max_bytes").set(backlog.max() as f64);
    let failing = backlog.failing().map_or(0.0, |failing| failing.since.elapsed().as_secs_f64());
    metrics::gauge!("watershed_archive_failing_seconds").set(failing);
    metrics::gauge!("watershed_dead_letters").set(context.node.dead_letter_count() as f64);
    for shard in context.node.replicas() {
        let (id, positions) = (shard.id().to_string(), shard.positions());
        let lag = positions.tail().0 - positions.archived().0;
        metrics::gauge!("watershed_archive_lag_events", "shard" => id.clone()).set(lag as f64);
        metrics::gauge!("watershed_archive_lag_seconds", "shard" => id.clone()).set(shard.archive_lag().as_secs_f64());
        metrics::gauge!("watershed_hot_events", "shard" => id.clone()).set((positions.tail().0 - positions.trimmed().0) as f64);
        metrics::gauge!("watershed_hot_bytes", "shard" => id.clone()).set(shard.hot_bytes() as f64);
        metrics::gauge!("watershed_disk_full", "shard" => id).set(f64::from(u8::from(shard.is_full())));
    }
}
