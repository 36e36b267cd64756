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
    let live = follow(&client, &session, stored as u64).await?;
    let text =
        format!("{}\n{sql}\n\n{live} events came by one subscription to the trace, {sent} were sent.\n", timeline(&found)?);
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
         coalesce(service_name, session_id, db_name) AS who\nFROM events\nWHERE trace_id = '{trace}'\nORDER BY timestamp, _shard, _seq",
        start = session.start_us(),
        trace = session.trace(),
    )
}

/// The trace's events from the beginning, until all that are stored were delivered.
async fn follow(client: &Client, session: &Session, stored: u64) -> Result<u64, Failure> {
    let filter = Filter { trace_ids: vec![session.trace().to_owned()], ..Filter::default() };
    let mut stream = client.subscribe(filter, Start::Earliest);
    let mut seen = 0;
    while seen < stored {
        let Some(item) = stream.try_next().await? else { break };
        seen += item.events.len() as u64;
    }
    Ok(seen)
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
