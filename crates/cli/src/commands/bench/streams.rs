//! Streams: what idle ones weigh, what those cost that an event does not match, and how fast one event reaches many.

use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use serde_json::{Value, json};
use tokio::time::sleep;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use watershed_client::services::subscribe_service_client::SubscribeServiceClient;
use watershed_client::{Filter, MESSAGE_BYTES_MAX};
use watershed_sample::{self as sample, Random};
use watershed_schema::proto::{SubscribeRequest, SubscribeResponse, subscribe_response::Message};

use super::{Subject, percentile};
use crate::commands::send;
use crate::otlp::{Method, Sender};
use crate::out::Failure;
use crate::procfs;

/// Streams of one connection.
const TOGETHER: usize = 100;
/// Longer than the allocator keeps memory that nobody uses (jemalloc: 10 s).
const SETTLED: Duration = Duration::from_secs(12);

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Streams that match nothing.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Streams whose SQL matches nothing.
    #[arg(long, default_value_t = 10_000)]
    sql: usize,
    /// Streams that one event reaches.
    #[arg(long, default_value_t = 1_000)]
    fan_out: usize,
    /// Requests of 500 spans to tell what streams cost that do not match.
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// Events that reach all of the fan-out, one after the other.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

type Stream = Streaming<SubscribeResponse>;

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let mut sender = send::connect(&subject.target).await?;
    let idle = idle(subject, flags.idle, Opened::OneByOne).await?;
    let at_once = self::idle(subject, flags.idle, Opened::AtOnce).await?;
    let few = open(subject, (10, Opened::AtOnce), |number| by_topic(&format!("track.never-{number}"))).await?;
    load(subject, &mut sender, flags.requests).await?;
    let cost_few = load(subject, &mut sender, flags.requests).await?;
    let more = (flags.idle.saturating_sub(few.len()), Opened::AtOnce);
    let many = open(subject, more, |number| by_topic(&format!("track.none-{number}"))).await?;
    let cost_many = load(subject, &mut sender, flags.requests).await?;
    drop((few, many));
    let cost_sql = sql(subject, &mut sender, flags).await?;
    let mut spread = fan_out(subject, &mut sender, flags).await?;
    Ok(json!({
        "bench": "streams", "idle": flags.idle, "streams_of_a_connection": TOGETHER,
        "idle_bytes_each": idle.bytes_each, "idle_cores": idle.cores,
        "idle_of": "opened one after the other on each connection; resident memory when it has settled",
        "idle_bytes_each_of_those_opened_at_once": at_once.bytes_each,
        "server_cpu_us_per_event": { "10_streams_that_do_not_match": cost_few, "all_that_do_not_match": cost_many, "ratio": cost_many / cost_few },
        "sql": {
            "streams": flags.sql, "where": sql_of(0),
            "server_cpu_us_per_event": { "10_streams_that_do_not_match": cost_sql[0], "all_that_do_not_match": cost_sql[1], "ratio": cost_sql[1] / cost_sql[0] },
        },
        "fan_out": {
            "streams": flags.fan_out, "events": flags.rounds, "from": "the event is sent",
            "until_all_have_it_ms": { "p50": percentile(&mut spread, 0.5), "p99": percentile(&mut spread, 0.99) },
        },
    }))
}

/// How streams of one connection come: h2 keeps the room that all of them took at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    OneByOne,
    AtOnce,
}

struct Idle {
    bytes_each: f64,
    cores: f64,
}

/// What streams weigh that sleep, and what they cost.
async fn idle(subject: &Subject, count: usize, opened: Opened) -> Result<Idle, Failure> {
    sleep(SETTLED).await;
    let before = procfs::resident_bytes(subject.pid).unwrap_or_default();
    let streams = open(subject, (count, opened), |number| by_topic(&format!("track.none-{number}"))).await?;
    let cpu = procfs::cpu_us(subject.pid).unwrap_or_default();
    sleep(SETTLED).await;
    let cores = (procfs::cpu_us(subject.pid).unwrap_or_default() - cpu) as f64 / SETTLED.as_micros() as f64;
    let after = procfs::resident_bytes(subject.pid).unwrap_or_default();
    drop(streams);
    Ok(Idle { bytes_each: after.saturating_sub(before) as f64 / count.max(1) as f64, cores })
}

fn by_topic(topic: &str) -> Filter {
    Filter { topics: vec![topic.to_owned()], ..Filter::default() }
}

fn sql_of(number: usize) -> String {
    format!("service_name = 'none-{number}' AND event_type IN ('trace', 'log') AND duration_ms >= 0")
}

/// CPU time of the node for each span with few and with many streams whose SQL matches none.
async fn sql(subject: &Subject, sender: &mut Sender, flags: &Flags) -> Result<[f64; 2], Failure> {
    let by_sql = |number| Filter { where_sql: sql_of(number), ..Filter::default() };
    let few = open(subject, (10, Opened::AtOnce), by_sql).await?;
    load(subject, sender, flags.requests).await?;
    let cost_few = load(subject, sender, flags.requests).await?;
    let more = (flags.sql.saturating_sub(few.len()), Opened::AtOnce);
    let many = open(subject, more, |number| by_sql(10 + number)).await?;
    let cost_many = load(subject, sender, flags.requests).await?;
    drop((few, many));
    Ok([cost_few, cost_many])
}

/// Opens streams; returns when the node has set up all.
async fn open(
    subject: &Subject,
    (count, opened): (usize, Opened),
    filter: impl Fn(usize) -> Filter,
) -> Result<Vec<Stream>, Failure> {
    let mut streams = Vec::with_capacity(count);
    for first in (0..count).step_by(TOGETHER) {
        let channel = connect(&subject.target.endpoint).await?;
        let opening = (first..count.min(first + TOGETHER)).map(|number| open_one(channel.clone(), filter(number)));
        match opened {
            Opened::AtOnce => streams.extend(try_join_all(opening).await?),
            Opened::OneByOne => {
                for one in opening {
                    streams.push(one.await?);
                }
            }
        }
    }
    Ok(streams)
}

async fn connect(endpoint: &str) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).map_err(anyhow::Error::from)?;
    Ok(endpoint.tcp_nodelay(true).connect().await.map_err(anyhow::Error::from)?)
}

async fn open_one(channel: Channel, filter: Filter) -> Result<Stream, Failure> {
    let mut service = SubscribeServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let asked = SubscribeRequest { filter: Some(filter), ..SubscribeRequest::default() };
    let mut stream = service.subscribe(asked).await.map_err(anyhow::Error::from)?.into_inner();
    stream.message().await.map_err(anyhow::Error::from)?;
    Ok(stream)
}

/// CPU time of the node for each span.
async fn load(subject: &Subject, sender: &mut Sender, requests: usize) -> Result<f64, Failure> {
    const SPANS: usize = 500;
    let (mut random, before) = (Random::new(sample::now_ns()), procfs::cpu_us(subject.pid).unwrap_or_default());
    for _ in 0..requests {
        spans(sender, &mut random, SPANS).await?;
    }
    let used = procfs::cpu_us(subject.pid).unwrap_or_default() - before;
    Ok(used as f64 / (requests * SPANS) as f64)
}

async fn spans(sender: &Sender, random: &mut Random, count: usize) -> Result<(), Failure> {
    let answer = sender.send::<_, ExportTraceServiceResponse>(Method::Traces, sample::traces(random, count)).await;
    answer.map(drop).map_err(|error| anyhow::Error::from(error).into())
}

/// How long it takes until every stream has a span that is sent, milliseconds.
async fn fan_out(subject: &Subject, sender: &mut Sender, flags: &Flags) -> Result<Vec<f64>, Failure> {
    let mut streams = open(subject, (flags.fan_out, Opened::AtOnce), |_| by_topic("trace.**")).await?;
    let (mut random, mut took) = (Random::new(sample::now_ns()), Vec::new());
    for _ in 0..flags.rounds {
        // All of them sleep again.
        sleep(Duration::from_millis(300)).await;
        let since = Instant::now();
        let all = try_join_all(streams.iter_mut().map(next));
        let (_, _) = tokio::try_join!(spans(sender, &mut random, 1), all)?;
        took.push(since.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

/// The next message with an event.
async fn next(stream: &mut Stream) -> Result<(), Failure> {
    loop {
        let told = stream.message().await.map_err(anyhow::Error::from)?;
        match told.and_then(|told| told.message) {
            Some(Message::Delivery(delivery)) if !delivery.seqs.is_empty() => return Ok(()),
            Some(_) => {}
            None => return Err(anyhow::anyhow!("a stream ended").into()),
        }
    }
}
