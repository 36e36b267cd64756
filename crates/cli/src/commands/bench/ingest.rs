//! OTLP/gRPC as fast as it is acknowledged; what counts is the node's CPU time for each record.

use std::time::Instant;

use clap::{Args, ValueEnum};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value;

use super::load::{Connection, Load};
use super::{Compression, Subject, lake};
use crate::commands::send;
use crate::otlp::{Method, Sender};
use crate::out::Failure;
use watershed_sample::{self as sample, Random};

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long, at most 900.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
    /// Records in a request.
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Signal::Traces)]
    signal: Signal,
    /// How requests are compressed.
    #[arg(long, value_enum, default_value_t = Compression::None)]
    compression: Compression,
    /// Wait until everything is in the lake, and weigh it there.
    #[arg(long)]
    until_archived: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Signal {
    Traces,
    Logs,
}

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let mut load = Load::begin(subject, flags.seconds).await?;
    for number in 0..flags.connections.max(1) {
        let mut sender = send::connect(&subject.target).await?;
        sender.compression = flags.compression.encoding();
        load.add(Otlp { sender, flags: flags.clone(), random: Random::new(sample::now_ns() ^ number as u64) });
    }
    let end = load.end;
    let (records, mut report) = load.report(subject).await?;
    report["bench"] = "ingest".into();
    report["signal"] = if flags.signal == Signal::Traces { "traces" } else { "logs" }.into();
    report["record_bytes"] = record_bytes(flags).into();
    (report["batch"], report["connections"]) = (flags.batch.into(), flags.connections.into());
    report["compression"] = flags.compression.word().into();
    report["lake"] = if flags.until_archived { lake::weigh(subject, records, end).await? } else { Value::Null };
    Ok(report)
}

struct Otlp {
    sender: Sender,
    flags: Flags,
    random: Random,
}

impl Connection for Otlp {
    async fn send(&mut self) -> (Instant, Result<u64, String>) {
        let batch = self.flags.batch;
        let (sent, answer) = match self.flags.signal {
            Signal::Traces => {
                let request = sample::traces(&mut self.random, batch);
                (Instant::now(), self.sender.send::<_, ExportTraceServiceResponse>(Method::Traces, request).await.map(drop))
            }
            Signal::Logs => {
                let request = sample::logs(&mut self.random, batch);
                (Instant::now(), self.sender.send::<_, ExportTraceServiceResponse>(Method::Logs, request).await.map(drop))
            }
        };
        (sent, answer.map(|()| batch as u64).map_err(|status| status.to_string()))
    }
}

fn record_bytes(flags: &Flags) -> usize {
    let mut random = Random::new(1);
    let bytes = match flags.signal {
        Signal::Traces => sample::traces(&mut random, flags.batch).encoded_len(),
        Signal::Logs => sample::logs(&mut random, flags.batch).encoded_len(),
    };
    bytes / flags.batch.max(1)
}
