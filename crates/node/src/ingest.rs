//! A request of telemetry on its way in, whatever face it came through.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use uuid::Uuid;
use watershed_actors::{Appended, Node, Permit};
use watershed_schema::TenantId;
use watershed_sources::otlp::{self, Signal};
use watershed_sources::redact::Redactions;
use watershed_sources::registry::{Endpoint, Source};
use watershed_sources::{Context, InvalidRequest, Rejects, Transformed, native};

use crate::clock::now_us;
use crate::rate::Rates;
use crate::refusal::Refusal;

/// A served request: what was not taken, in words for a `partial_success`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// What stands in the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// The word for a signal in metrics.
pub(crate) fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
    }
}

/// What is known of a request that arrives now.
pub(crate) fn context(tenant: TenantId) -> Context {
    Context { tenant, received_at_us: now_us(), batch_id: Uuid::now_v7().to_string() }
}

/// Where requests become rows of the log, without what the tenant does not want stored.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) node: Node,
    pub(crate) redactions: Arc<Redactions>,
    pub(crate) rates: Rates,
}

/// How many events are durable, and what was not taken.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) rejects: Rejects,
}

impl Intake {
    /// Takes a request of OTLP; returns when everything good in it is durable.
    pub(crate) async fn otlp(
        &self,
        (signal, encoding): (Signal, Encoding),
        body: Bytes,
        tenant: TenantId,
        permit: Permit,
    ) -> Result<Accepted, Refusal> {
        let bytes = body.len();
        let decode = move |context: &Context| match encoding {
            Encoding::Protobuf => otlp::transform(signal, &body, context),
            Encoding::Json => otlp::transform_json(signal, &body, context),
        };
        let taken = self.take((word(signal), bytes), decode, tenant, permit).await;
        let taken = taken.inspect_err(|refusal| refused(word(signal), refusal))?;
        Ok(Accepted { rejected: taken.rejects.count, message: message(&taken.rejects.summary(), taken.dropped_attributes) })
    }

    /// Takes a client's batch of native events.
    pub(crate) async fn native(&self, batch: Bytes, tenant: TenantId, permit: Permit) -> Result<Counts, Refusal> {
        let named = ("native", batch.len());
        counted(self.take(named, move |context| native::transform(&batch, context), tenant, permit).await, named.0)
    }

    /// Takes a request of any source in the registry.
    pub(crate) async fn source(
        &self,
        (source, endpoint): (&'static Source, &'static Endpoint),
        body: Bytes,
        tenant: TenantId,
        permit: Permit,
    ) -> Result<Counts, Refusal> {
        let named = (source.name, body.len());
        counted(self.take(named, move |context| endpoint.transform(&body, context), tenant, permit).await, named.0)
    }

    async fn take(
        &self,
        (signal, bytes): (&'static str, usize),
        decode: impl FnOnce(&Context) -> Result<Transformed, InvalidRequest> + Send + 'static,
        tenant: TenantId,
        permit: Permit,
    ) -> Result<Taken, Refusal> {
        let (since, owner) = (Instant::now(), tenant.clone());
        let (context, redactions) = (context(tenant), Arc::clone(&self.redactions));
        let split = move || match decode(&context).map(|transformed| redacted(&redactions, &context.tenant, transformed)) {
            Ok(Transformed { batch, rejects, dropped_attributes }) => (Ok((rejects, dropped_attributes)), batch),
            Err(error) => (Err(error), None),
        };
        let stopping = || Refusal::Unavailable("the node stops".to_owned());
        let ingested = self.node.ingest(split, permit).await.ok_or_else(stopping)?;
        let events = ingested
            .appended
            .as_ref()
            .and_then(|appended| appended.as_ref().ok())
            .map_or(0, |done| done.events + done.duplicates);
        self.rates.spent(&owner, events, bytes);
        let (rejects, dropped_attributes) = ingested.said.map_err(|error| Refusal::Invalid(error.to_string()))?;
        let appended = match ingested.appended {
            Some(appended) => appended?,
            None if rejects.count > 0 => return Err(Refusal::Invalid(format!("no record was taken: {}", rejects.summary()))),
            None => Appended::default(),
        };
        accepted(signal, appended, since);
        metrics::counter!("watershed_events_rejected_total", "signal" => signal).increment(rejects.count);
        metrics::counter!("watershed_attributes_dropped_total", "signal" => signal).increment(dropped_attributes);
        Ok(Taken { appended, rejects, dropped_attributes })
    }
}

/// Before anything is stored, forwarded or compared.
fn redacted(redactions: &Redactions, tenant: &TenantId, transformed: Transformed) -> Transformed {
    match redactions.for_tenant(tenant) {
        Some(redaction) => redaction.apply(transformed),
        None => transformed,
    }
}

fn counted(taken: Result<Taken, Refusal>, source: &'static str) -> Result<Counts, Refusal> {
    let counts = |Taken { appended, rejects, .. }| Counts { accepted: appended.events + appended.duplicates, rejects };
    taken.map(counts).inspect_err(|refusal| refused(source, refusal))
}

/// What became of a request.
struct Taken {
    appended: Appended,
    rejects: Rejects,
    dropped_attributes: u64,
}

fn message(rejects: &str, dropped: u64) -> String {
    let kept = watershed_schema::limits::ATTRIBUTES_MAX;
    let attributes = (dropped > 0).then(|| format!("{dropped} attributes beyond {kept} of a record were not kept"));
    [(!rejects.is_empty()).then(|| rejects.to_owned()), attributes].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn accepted(signal: &'static str, appended: Appended, since: Instant) {
    metrics::counter!("watershed_events_accepted_total", "signal" => signal).increment(appended.events);
    metrics::counter!("watershed_events_duplicate_total", "signal" => signal).increment(appended.duplicates);
    metrics::histogram!("watershed_ack_seconds", "signal" => signal).record(since.elapsed());
}

pub(crate) fn refused(signal: &'static str, refusal: &Refusal) {
    metrics::counter!("watershed_requests_refused_total", "signal" => signal, "reason" => refusal.word()).increment(1);
}

/// The answer of all three signals: their messages differ in the field's name only, not on the wire.
pub(crate) fn response(accepted: &Accepted) -> ExportTraceServiceResponse {
    let said = accepted.rejected > 0 || !accepted.message.is_empty();
    let partial_success = said.then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(accepted.rejected).unwrap_or(i64::MAX),
        error_message: accepted.message.clone(),
    });
    ExportTraceServiceResponse { partial_success }
}
