//! Every source by name. A new one is a file of its own and a line here.

use crate::otlp::Signal;
use crate::{
    Context, InvalidRequest, Transformed, cdc, do_action, do_event, native_json, otlp, replay, segment, snippet, tail, web_vitals,
};
use watershed_schema::limits::MESSAGE_BYTES_MAX;

/// A source of events.
#[derive(Debug)]
pub struct Source {
    /// Its name: what stands in `event_source`.
    pub name: &'static str,
    /// What it takes, in a few words.
    pub about: &'static str,
    /// Where it is sent to.
    pub endpoints: &'static [Endpoint],
    /// A payload to try with the first endpoint.
    pub example: &'static str,
    /// Who speaks to it.
    pub face: Face,
}

/// A path that requests are posted to.
#[derive(Debug)]
pub struct Endpoint {
    /// Its path.
    pub path: &'static str,
    /// Largest request, bytes, compressed or not.
    pub bytes_max: usize,
    transform: Transform,
}

/// What all transformers are.
pub type Transform = fn(&[u8], &Context) -> Result<Transformed, InvalidRequest>;

/// How a request is received and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// By the OTLP specification; gRPC, too.
    Otlp,
    /// As Segment's libraries expect it, from browsers, too.
    Segment,
    /// JSON with a count as the answer.
    Json,
    /// The same, from browsers, too: any origin, `text/plain` of `sendBeacon`.
    Browser,
}

impl Face {
    /// Whether pages of any origin may send.
    #[must_use]
    pub fn is_open_to_browsers(self) -> bool {
        matches!(self, Self::Segment | Self::Browser)
    }
}

impl Endpoint {
    const fn new(path: &'static str, bytes_max: usize, transform: Transform) -> Self {
        Self { path, bytes_max, transform }
    }

    /// Events of a request.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the request is too big or not what it should be.
    pub fn transform(&self, request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
        if request.len() > self.bytes_max {
            return Err(InvalidRequest::TooManyBytes { has: request.len(), max: self.bytes_max });
        }
        (self.transform)(request, context)
    }
}

/// The source with a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Source> {
    ALL.iter().find(|source| source.name == name)
}

/// The endpoint with a path, and whose it is.
#[must_use]
pub fn by_path(path: &str) -> Option<(&'static Source, &'static Endpoint)> {
    let endpoints = ALL.iter().flat_map(|source| source.endpoints.iter().map(move |endpoint| (source, endpoint)));
    endpoints.into_iter().find(|(_, endpoint)| endpoint.path == path)
}

/// All sources.
pub const ALL: &[Source] = &[
    Source {
        name: "otel",
        about: "OpenTelemetry traces, metrics and logs: OTLP over gRPC and HTTP",
        endpoints: &[
            Endpoint::new("/v1/traces", MESSAGE_BYTES_MAX, |request, context| otlp(Signal::Traces, request, context)),
            Endpoint::new("/v1/metrics", MESSAGE_BYTES_MAX, |request, context| otlp(Signal::Metrics, request, context)),
            Endpoint::new("/v1/logs", MESSAGE_BYTES_MAX, |request, context| otlp(Signal::Logs, request, context)),
        ],
        example: include_str!("../payloads/otel.json"),
        face: Face::Otlp,
    },
    Source {
        name: "segment",
        about: "Segment's tracking API: track, identify, page, screen, group, alias, batches",
        endpoints: SEGMENT,
        example: include_str!("../payloads/segment.json"),
        face: Face::Segment,
    },
    Source {
        name: "cdc",
        about: "Changes of a database: Debezium, wal2json, or plain",
        endpoints: &[Endpoint::new("/v1/cdc", cdc::REQUEST_BYTES_MAX, cdc::transform)],
        example: include_str!("../payloads/cdc.json"),
        face: Face::Json,
    },
    Source {
        name: "workers_tail",
        about: "Workers Tail: items as a Cloudflare tail worker receives them",
        endpoints: &[Endpoint::new("/v1/tail", tail::REQUEST_BYTES_MAX, tail::transform)],
        example: include_str!("../payloads/workers_tail.json"),
        face: Face::Json,
    },
    Source {
        name: "do_event",
        about: "Domain events with EPCIS fields; native events, too, when they have an `event_type`",
        endpoints: &[Endpoint::new("/v1/events", MESSAGE_BYTES_MAX, do_event::transform)],
        example: include_str!("../payloads/do_event.json"),
        face: Face::Json,
    },
    Source {
        name: "do_action",
        about: "Actions that ran to their end: who did what to what, and what came of it",
        endpoints: &[Endpoint::new("/v1/actions", MESSAGE_BYTES_MAX, do_action::transform)],
        example: include_str!("../payloads/do_action.json"),
        face: Face::Json,
    },
    Source {
        name: "native",
        about: "Events by the names of the columns; gRPC, too",
        endpoints: &[Endpoint::new("/v1/native", MESSAGE_BYTES_MAX, native_json::transform)],
        example: include_str!("../payloads/native.json"),
        face: Face::Json,
    },
    Source {
        name: "web_vitals",
        about: "Web vitals: metrics of the web-vitals library",
        endpoints: &[Endpoint::new("/v1/vitals", web_vitals::REQUEST_BYTES_MAX, web_vitals::transform)],
        example: include_str!("../payloads/web_vitals.json"),
        face: Face::Browser,
    },
    Source {
        name: "replay",
        about: "Session replay: events of rrweb",
        endpoints: &[Endpoint::new("/v1/replay", replay::REQUEST_BYTES_MAX, replay::transform)],
        example: include_str!("../payloads/replay.json"),
        face: Face::Browser,
    },
    Source {
        name: "snippet",
        about: "Requests of a page: resource timing entries, as /snippet.js sends them",
        endpoints: &[Endpoint::new("/v1/snippet", snippet::REQUEST_BYTES_MAX, snippet::transform)],
        example: include_str!("../payloads/snippet.json"),
        face: Face::Browser,
    },
];

/// Without a content type the first byte tells: no protobuf message begins like an object.
fn otlp(signal: Signal, request: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    match request.first() {
        Some(b'{') => otlp::transform_json(signal, request, context),
        _ => otlp::transform(signal, request, context),
    }
}

/// The short paths are those of `analytics.js`.
const SEGMENT: &[Endpoint] = &[
    Endpoint::new("/v1/track", segment::REQUEST_BYTES_MAX, segment::track),
    Endpoint::new("/v1/identify", segment::REQUEST_BYTES_MAX, segment::identify),
    Endpoint::new("/v1/page", segment::REQUEST_BYTES_MAX, segment::page),
    Endpoint::new("/v1/screen", segment::REQUEST_BYTES_MAX, segment::screen),
    Endpoint::new("/v1/group", segment::REQUEST_BYTES_MAX, segment::group),
    Endpoint::new("/v1/alias", segment::REQUEST_BYTES_MAX, segment::alias),
    Endpoint::new("/v1/batch", segment::REQUEST_BYTES_MAX, segment::batch),
    Endpoint::new("/v1/import", segment::REQUEST_BYTES_MAX, segment::batch),
    Endpoint::new("/v1/t", segment::REQUEST_BYTES_MAX, segment::track),
    Endpoint::new("/v1/i", segment::REQUEST_BYTES_MAX, segment::identify),
    Endpoint::new("/v1/p", segment::REQUEST_BYTES_MAX, segment::page),
    Endpoint::new("/v1/s", segment::REQUEST_BYTES_MAX, segment::screen),
    Endpoint::new("/v1/g", segment::REQUEST_BYTES_MAX, segment::group),
    Endpoint::new("/v1/a", segment::REQUEST_BYTES_MAX, segment::alias),
    Endpoint::new("/v1/b", segment::REQUEST_BYTES_MAX, segment::batch),
];
