//! A JSON source as fast as it is acknowledged; what counts is the node's CPU time for each event.

use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use watershed_client::Client;
use watershed_sample as sample;
use watershed_schema::{EventBatch, TenantId};
use watershed_sources::Context;
use watershed_sources::registry::{self, Face, Source};

use super::Subject;
use super::load::{Connection, Load};
use crate::out::Failure;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Name of the source; `watershed sources` lists them.
    name: String,
    /// How long, at most 900.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
    /// Records in a request.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Send what the records become, as native events over gRPC.
    #[arg(long)]
    events: bool,
}

/// Records of one connection at most. Their numbers become milliseconds, too: times of the examples must stay in the past.
const APART: usize = 100_000_000;

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let source = registry::by_name(&flags.name).filter(|source| source.face != Face::Otlp);
    let source = source.ok_or_else(|| Failure::usage("a JSON source is wanted: `watershed sources` lists them"))?;
    let (path, record) = (path(source), record(source)?);
    let mut load = Load::begin(subject, flags.seconds).await?;
    for number in 0..flags.connections.max(1) {
        let client = subject.target.connect().await?;
        let records = Records { path, record: record.clone(), next: number * APART };
        let sender = Sender { client, records, batch: flags.batch };
        if flags.events { load.add(Events(sender)) } else { load.add(sender) }
    }
    let (_, mut report) = load.report(subject).await?;
    report["bench"] = "source".into();
    (report["source"], report["path"]) = (source.name.into(), if flags.events { "Publish".into() } else { path.into() });
    report["record_bytes"] = record.to_string().len().into();
    (report["batch"], report["connections"]) = (flags.batch.into(), flags.connections.into());
    (report["compression"], report["lake"]) = ("none".into(), Value::Null);
    Ok(report)
}

/// One connection: the source's own format.
struct Sender {
    client: Client,
    records: Records,
    batch: usize,
}

impl Connection for Sender {
    async fn send(&mut self) -> (Instant, Result<u64, String>) {
        let body = self.records.request(self.batch).into_bytes();
        let sent = Instant::now();
        let answer = self.client.send(self.records.path, body).await;
        (sent, answer.map(|published| published.accepted).map_err(|error| error.to_string()))
    }
}

/// One connection: what the source's format becomes, as native events.
struct Events(Sender);

impl Connection for Events {
    async fn send(&mut self) -> (Instant, Result<u64, String>) {
        let Sender { client, records, batch } = &mut self.0;
        let batch = match events(records, *batch) {
            Ok(batch) => batch,
            Err(reason) => return (Instant::now(), Err(reason)),
        };
        let sent = Instant::now();
        let answer = client.publish(batch).await;
        (sent, answer.map(|published| published.accepted).map_err(|error| error.to_string()))
    }
}

fn events(records: &mut Records, batch: usize) -> Result<EventBatch, String> {
    let (_, endpoint) = registry::by_path(records.path).ok_or("invariant: the path is the registry's")?;
    let request = records.request(batch);
    let received_at_us = i64::try_from(sample::now_ns() / 1_000).unwrap_or(i64::MAX);
    let context = Context { tenant: TenantId::default(), received_at_us, batch_id: String::new() };
    let transformed = endpoint.transform(request.as_bytes(), &context).map_err(|error| error.to_string())?;
    transformed.batch.ok_or_else(|| transformed.rejects.summary())
}

/// Segment's batches have a path of their own.
fn path(source: &'static Source) -> &'static str {
    if source.face == Face::Segment { "/v1/batch" } else { source.endpoints[0].path }
}

/// The example's first record.
fn record(source: &Source) -> Result<Value, Failure> {
    let example = serde_json::Deserializer::from_str(source.example).into_iter::<Value>().next();
    let example = example.context("an example is never empty")?.map_err(anyhow::Error::from)?;
    let mut first = match example {
        Value::Array(mut list) => list.swap_remove(0),
        other => other,
    };
    if source.face == Face::Segment && first.get("type").is_none() {
        first["type"] = "track".into();
    }
    Ok(first)
}

/// What one connection sends.
struct Records {
    path: &'static str,
    record: Value,
    next: usize,
}

impl Records {
    fn request(&mut self, batch: usize) -> String {
        let records: Vec<_> = (0..batch).map(|_| self.new_record().to_string()).collect();
        if self.path == "/v1/batch" { format!("{{\"batch\":[{}]}}", records.join(",")) } else { records.join("\n") }
    }

    /// The same record under a new identity: a repeated one would only be recognised.
    fn new_record(&mut self) -> Value {
        self.next += 1;
        let mut record = self.record.clone();
        renew(&mut record, self.next);
        match self.path {
            "/v1/batch" => record["messageId"] = format!("message-{}", self.next).into(),
            "/v1/native" => record["id"] = format!("event-{}", self.next).into(),
            _ => {}
        }
        record
    }
}

/// Members that records are told apart by, in all sources.
const IDENTITIES: [&str; 8] = ["id", "messageId", "lsn", "startTime", "eventTimestamp", "timestamp", "ts_ms", "value"];

fn renew(value: &mut Value, number: usize) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| match member {
            Value::Number(_) if IDENTITIES.contains(&name.as_str()) => renew_number(member, number),
            Value::String(text) if name == "id" || name == "messageId" => *text = format!("{text}-{number}"),
            _ => renew(member, number),
        }),
        Value::Array(list) => list.iter_mut().for_each(|member| renew(member, number)),
        _ => {}
    }
}

fn renew_number(member: &mut Value, number: usize) {
    let renewed = match (member.as_u64(), member.as_f64()) {
        (Some(whole), _) => Value::from(whole + number as u64),
        (None, Some(fraction)) => Value::from(fraction + number as f64),
        _ => return,
    };
    *member = renewed;
}
