//! `watershed tail`: events as they are committed.

mod live;

use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use futures::TryStreamExt as _;
use watershed_client::{Event, Filter, GapReason, Item, LiveQuery, OnLag, Start};

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed tail --topic 'trace.**'
  watershed tail --type log --service checkout --from earliest
  watershed tail --where \"duration_ms > 100 AND http_status_code >= 500\"
  watershed tail --from 2026-11-24T12:00:00Z --format ndjson
  watershed tail --from TOKEN     (the token that was printed at the end)
  watershed tail --sql \"SELECT service_name, count(*), avg(duration_ms) FROM events GROUP BY 1\" --every 10s --lateness 2s";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    target: Target,
    /// Topic pattern: `*`, `trace.*`, `cdc.orders.**`; several are alternatives.
    #[arg(long = "topic", value_name = "PATTERN")]
    topics: Vec<String>,
    /// Event type.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Service name.
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,
    /// Trace id.
    #[arg(long = "trace", value_name = "ID")]
    traces: Vec<String>,
    /// Session id.
    #[arg(long = "session", value_name = "ID")]
    sessions: Vec<String>,
    /// A condition as behind SQL's WHERE.
    #[arg(long = "where", value_name = "SQL", default_value = "", hide_default_value = true)]
    condition: String,
    /// Pass over what is more than 10 000 events of a shard behind, and say so, instead of reading all of it.
    #[arg(long)]
    drop_on_lag: bool,
    /// now, earliest (also what only the lake has), a time (RFC 3339), or a token.
    #[arg(long, default_value = "now", value_name = "START")]
    from: String,
    /// Aggregates instead of events: `SELECT … FROM events [WHERE …] [GROUP BY …]` for each window of the events' own time.
    #[arg(long, value_name = "SQL", conflicts_with_all = ["condition", "drop_on_lag"])]
    sql: Option<String>,
    /// Length of a window, 100 ms to 24 h.
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "sql")]
    every: humantime::Duration,
    /// How long a window waits for events that come late.
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "sql")]
    lateness: humantime::Duration,
    /// How events are printed.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// End after so many events, or with --sql rows.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pretty,
    Ndjson,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let start: Start = flags.from.parse().map_err(|error| Failure::usage(&format!("--from: {error}")))?;
    let client = flags.target.connect().await?;
    let filter = Filter {
        topics: flags.topics,
        event_types: flags.types,
        service_names: flags.services,
        trace_ids: flags.traces,
        session_ids: flags.sessions,
        where_sql: flags.condition,
    };
    if let Some(sql) = flags.sql {
        let (every, lateness) = (*flags.every, *flags.lateness);
        let query = LiveQuery { sql, every, lateness, filter, start };
        return live::run(&client, query, flags.format == Format::Ndjson, flags.count.unwrap_or(u64::MAX)).await;
    }
    let on_lag = if flags.drop_on_lag { OnLag::Drop } else { OnLag::CatchUp };
    let mut stream = client.subscribe_with(filter, start, on_lag);
    let (mut token, mut left) = (bytes::Bytes::new(), flags.count.unwrap_or(u64::MAX));
    while left > 0 {
        let next = tokio::select! {
            next = stream.try_next() => next?,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(item) = next else { break };
        token = item.resume_token.clone();
        print(&item, flags.format, &mut left)?;
    }
    if !token.is_empty() {
        out::say(&format!("go on with:  watershed tail --from {}", URL_SAFE_NO_PAD.encode(&token)));
    }
    Ok(())
}

fn print(item: &Item, format: Format, left: &mut u64) -> Result<(), Failure> {
    if let Some(lost) = &item.lost {
        let (Range { start, end }, why) = (&lost.seqs, why(lost.reason));
        out::say(&format!("shard {}: events from {start} on and before {end} are not delivered: {why}", item.shard));
    }
    let mut text = String::new();
    for (seq, event) in item.events.iter().take(usize::try_from(*left).unwrap_or(usize::MAX)) {
        *left -= 1;
        match format {
            Format::Pretty => text.push_str(&pretty(event)),
            Format::Ndjson => write!(text, "{}", json(item.shard, *seq, event)).expect("invariant: a String takes every write"),
        }
        text.push('\n');
    }
    Ok(out::data(&text)?)
}

fn why(reason: GapReason) -> &'static str {
    match reason {
        GapReason::PassedOver => "the stream was too far behind",
        GapReason::Lost => "they are in neither tier any longer",
        GapReason::DeadLetter => "the lake refused them: see watershed lake dead-letters",
        GapReason::Unspecified => "the node does not say why",
    }
}

/// One line for people: time, type, service, name, what came of it, ids.
fn pretty(event: &Event) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(event.timestamp.unwrap_or_default().max(0).cast_unsigned());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut line = format!(
        "{} {:<6} {:<12} {}",
        humantime::format_rfc3339_millis(at),
        text(&event.event_type),
        text(&event.service_name),
        text(&event.event_name)
    );
    if let Some(took) = event.duration_ms {
        write!(line, " {took:.2}ms").expect("invariant: a String takes every write");
    }
    for (name, value) in [("", &event.log_level), ("", &event.log_message), ("", &event.outcome), ("trace=", &event.trace_id)] {
        if let Some(value) = value {
            write!(line, " {name}{}", value.replace(['\n', '\r'], " ")).expect("invariant: a String takes every write");
        }
    }
    line
}

/// The columns that are set, with their names.
fn json(shard: u32, seq: u64, event: &Event) -> serde_json::Value {
    let mut columns = crate::columns::of(event);
    columns.insert("_shard".to_owned(), shard.into());
    columns.insert("_seq".to_owned(), seq.into());
    serde_json::Value::Object(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let event = Event {
            timestamp: Some(1_000_000),
            event_type: Some("log".into()),
            service_name: Some("shop".into()),
            event_name: Some("otel.log".into()),
            log_level: Some("warn".into()),
            log_message: Some("two\nlines".into()),
            ..Event::default()
        };
        assert_eq!(pretty(&event), "1970-01-01T00:00:01.000Z log    shop         otel.log warn two lines");
    }
}
