//! `watershed send`: sample telemetry through the public door.

use std::time::Duration;

use clap::{Args, ValueEnum};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::transport::Endpoint;

use crate::Target;
use crate::otlp::{Method, Sender};
use crate::out::{self, Failure};
use watershed_sample::{self as sample, Random};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed send
  watershed send --kind log --count 1000 --rate 100";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    target: Target,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Kind::Trace)]
    kind: Kind,
    /// How many records.
    #[arg(long, default_value_t = 12)]
    count: usize,
    /// Records a second; 0 = as fast as it goes.
    #[arg(long, default_value_t = 0)]
    rate: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Trace,
    Log,
    Metric,
}

const BATCH: usize = 100;

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let sender = connect(&flags.target).await?;
    let mut random = Random::new(sample::now_ns());
    let (mut sent, mut trace) = (0, None);
    let batch = if flags.rate == 0 { BATCH } else { flags.rate.clamp(1, BATCH) };
    while sent < flags.count {
        let now = batch.min(flags.count - sent);
        let said = one(&sender, flags.kind, &mut random, now, &mut trace).await;
        let said = said.map_err(|status| Failure::refused(&format!("{:?}: {}", status.code(), status.message())))?;
        if let Some(partial) = said.partial_success {
            out::say(&format!("{} refused: {}", partial.rejected_spans, partial.error_message));
        }
        sent += now;
        if flags.rate > 0 && sent < flags.count {
            tokio::time::sleep(Duration::from_secs_f64(now as f64 / flags.rate as f64)).await;
        }
    }
    out::say(&format!("{sent} records are durable"));
    if let Some(trace) = trace {
        out::say(&format!("look at one:  watershed trace {trace}"));
    }
    Ok(())
}

async fn one(
    sender: &Sender,
    kind: Kind,
    random: &mut Random,
    count: usize,
    trace: &mut Option<String>,
) -> Result<ExportTraceServiceResponse, tonic::Status> {
    match kind {
        Kind::Trace => {
            let request = sample::traces(random, count);
            let id = &request.resource_spans[0].scope_spans[0].spans[0].trace_id;
            *trace = Some(id.iter().map(|byte| format!("{byte:02x}")).collect());
            sender.send(Method::Traces, request).await
        }
        Kind::Log => sender.send(Method::Logs, sample::logs(random, count)).await,
        Kind::Metric => sender.send(Method::Metrics, sample::metrics(random, count)).await,
    }
}

pub(crate) async fn connect(target: &Target) -> Result<Sender, Failure> {
    let endpoint = Endpoint::from_shared(target.endpoint.clone()).map_err(|error| Failure::Usage(error.into()))?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| Failure::Unreachable(anyhow::Error::from(error).context(target.endpoint.clone())))?;
    Ok(Sender { channel, compression: None, tenant: target.tenant.clone() })
}
