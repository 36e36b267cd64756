//! `watershed demo`: a shop session from all sources, joined by its trace: one SQL statement, one subscription.

mod session;

use std::fmt::Write as _;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use clap::Args;
use futures::TryStreamExt as _;
use watershed_client::{Client, Filter, Start};

use super::spawned;
use crate::Target;
use crate::out::{self, Failure};
use session::Session;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed demo
  watershed demo --endpoint http://127.0.0.1:4317";

#[derive(Args)]
pub(crate) struct Flags {
    /// A node that runs already; without it one is started and ended again.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let node = if flags.endpoint.is_none() { Some(spawned::start(&[])?) } else { None };
    let own = || node.as_ref().map(|node| node.endpoint().to_owned());
    let endpoint = flags.endpoint.or_else(own).unwrap_or_default();
    let client = Target { endpoint, tenant: None }.connect().await?;
    let session = Session::now();
    let sent = play(&client, &session).await?;
    let sql = statement(&session);
    let found = client.query(&sql).await?;
    let stored: usize = found.iter().map(RecordBatch::num_rows).sum();
    let live = follow(&client, &session, stored).await?;
    if live != in_order_of_the_log(&found)? {
        return Err(Failure::refused("the subscription delivered something else than SQL finds"));
    }
    let text = format!(
        "{}\n{sql}\n\n{stored} events, {sent} were sent; a subscription to the trace delivered the same, in the order of the log.\n",
        timeline(&found)?
    );
    drop(node);
    Ok(out::data(&text)?)
}

/// How many events are durable.
async fn play(client: &Client, session: &Session) -> Result<u64, Failure> {
    let mut sent = 0;
    for (path, body) in session.requests()? {
        let published = client.send(&path, body.into_bytes()).await?;
        if published.rejected > 0 {
            return Err(Failure::refused(&format!("{path}: {}", published.reasons.join("; "))));
        }
        sent += published.accepted;
    }
    Ok(sent)
}

fn statement(session: &Session) -> String {
    format!(
        "SELECT CAST(timestamp AS BIGINT) - {start} AS at, event_source, event_type, event_name,\n       \
         coalesce(service_name, session_id, db_name) AS who, id, CAST(_seq AS BIGINT) AS seq\nFROM events\nWHERE trace_id = '{trace}'\nORDER BY timestamp, _shard, _seq",
        start = session.start_us(),
        trace = session.trace(),
    )
}

/// Ids of the trace's events from the beginning, until as many were delivered as are stored.
async fn follow(client: &Client, session: &Session, stored: usize) -> Result<Vec<String>, Failure> {
    let filter = Filter { trace_ids: vec![session.trace().to_owned()], ..Filter::default() };
    let mut stream = client.subscribe(filter, Start::Earliest);
    let mut seen = Vec::new();
    while seen.len() < stored {
        let Some(item) = stream.try_next().await? else { break };
        seen.extend(item.events.into_iter().map(|(_, event)| event.id.unwrap_or_default()));
    }
    Ok(seen)
}

/// Ids by the number in the log: a trace is in one shard.
fn in_order_of_the_log(found: &[RecordBatch]) -> Result<Vec<String>, Failure> {
    let mut rows = Vec::new();
    for batch in found {
        let seqs = batch.column(6).as_primitive_opt::<Int64Type>().ok_or_else(|| Failure::refused("`seq` is no number"))?;
        let ids = batch.column(5).as_string::<i32>();
        rows.extend((0..batch.num_rows()).map(|row| (seqs.value(row), ids.value(row).to_owned())));
    }
    rows.sort_unstable();
    Ok(rows.into_iter().map(|(_, id)| id).collect())
}

fn timeline(found: &[RecordBatch]) -> Result<String, Failure> {
    let mut text = String::from("      at  source       type    name                              who\n");
    for batch in found {
        let at = batch.column(0).as_primitive_opt::<Int64Type>().ok_or_else(|| Failure::refused("`at` is no number"))?;
        for row in 0..batch.num_rows() {
            let word = |column: usize| {
                let column = batch.column(column).as_string::<i32>();
                if column.is_null(row) { "" } else { column.value(row) }
            };
            let (ms, [source, kind, name, who]) = (at.value(row) / 1000, [1, 2, 3, 4].map(word));
            writeln!(text, "{ms:>5} ms  {source:<12} {kind:<7} {name:<33} {who}").expect("invariant: a String takes every write");
        }
    }
    Ok(text)
}
