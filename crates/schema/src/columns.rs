//! The one registry of columns: protobuf numbers, Arrow and Iceberg types and documentation come from here.
//!
//! A test holds it against the unified schema. 165 event columns, 10 that storage computes, 2 of order.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How a column's values look. Arrow type, protobuf type and Iceberg type follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// UTF-8 text that is JSON.
    Json,
    /// JSON text in columns; in rows also OTLP key-values ([`crate::proto::Payload`]).
    Payload,
    /// 64-bit integer.
    Int,
    /// 32-bit integer.
    Int32,
    /// Double.
    Float,
    /// Boolean.
    Bool,
    /// Bytes.
    Bytes,
    /// Microseconds since the epoch, UTC.
    Time,
}

/// Who fills a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The event itself.
    Event,
    /// Storage.
    System,
}

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Protobuf field number and Iceberg field id.
    pub id: u16,
    /// Name in SQL.
    pub name: &'static str,
    /// Form of the values.
    pub kind: Kind,
    /// Never null.
    pub required: bool,
    /// Family it belongs to.
    pub group: &'static str,
    /// Who fills it.
    pub origin: Origin,
    /// Meaning.
    pub doc: &'static str,
}

macro_rules! is_required {
    (required) => {
        true
    };
    (optional) => {
        false
    };
}

macro_rules! columns {
    ($($id:literal $variant:ident $name:literal $kind:ident $required:ident $group:ident $origin:ident $doc:literal;)*) => {
        /// A column of `events`; its number is its field id.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Column {
            $(#[doc = $doc] $variant = $id,)*
        }

        impl Column {
            /// All, by field id.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            const SPECS: &'static [Spec] = &[$(Spec {
                id: $id,
                name: $name,
                kind: Kind::$kind,
                required: is_required!($required),
                group: stringify!($group),
                origin: Origin::$origin,
                doc: $doc,
            },)*];
        }
    };
}

impl Column {
    /// Everything the registry says of it.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        &Self::SPECS[usize::from(self.id()) - 1]
    }

    /// Field id.
    #[must_use]
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// Name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Form of the values.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.spec().kind
    }

    /// Whether it is never null.
    #[must_use]
    pub fn required(self) -> bool {
        self.spec().required
    }

    /// The column with this field id.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// The column with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        static BY_NAME: LazyLock<HashMap<&str, Column>> =
            LazyLock::new(|| Column::ALL.iter().map(|column| (column.name(), *column)).collect());
        BY_NAME.get(name).copied()
    }
}

columns! {
    1 Id "id" Text required CoreIdentity Event "unique key of the event row";
    2 EventType "event_type" Text required CoreIdentity Event "kind of signal; one of ten fixed words (trace metric log cdc track page vital replay tail snippet)";
    3 EventName "event_name" Text required CoreIdentity Event "what happened, free text such as noun.verb";
    4 Ns "ns" Text required CoreIdentity Event "tenant / source namespace; also the pub-sub topic in the hot tier";
    5 TraceId "trace_id" Text optional CausalityChain Event "id shared by all events of one distributed trace (32 hex for W3C)";
    6 SpanId "span_id" Text optional CausalityChain Event "id of this unit of work (16 hex for W3C)";
    7 ParentId "parent_id" Text optional CausalityChain Event "span_id of the caller";
    8 RootId "root_id" Text optional CausalityChain Event "span_id of the first span of the trace";
    9 SessionId "session_id" Text optional CausalityChain Event "user/browser session";
    10 WorkflowId "workflow_id" Text optional CausalityChain Event "durable workflow run";
    11 TransactionId "transaction_id" Text optional CausalityChain Event "database or business transaction";
    12 CorrelationId "correlation_id" Text optional CausalityChain Event "free cross-system link such as a request id";
    13 ActorId "actor_id" Text optional Actor Event "authenticated user or agent";
    14 ActorType "actor_type" Text optional Actor Event "user, agent, system, webhook ...";
    15 ActorName "actor_name" Text optional Actor Event "display name of the actor";
    16 AnonymousId "anonymous_id" Text optional Actor Event "device/visitor id before login";
    17 ResourceType "resource_type" Text optional Resource Event "type of the thing acted on";
    18 ResourceId "resource_id" Text optional Resource Event "id of the thing acted on; cold-tier SQL prefixes ns/ when it holds no slash";
    19 ResourceName "resource_name" Text optional Resource Event "display name of the thing";
    20 ResourceVersion "resource_version" Text optional Resource Event "revision of the thing";
    21 ResourceNs "resource_ns" Text optional Resource Event "namespace of the thing; cold-tier SQL falls back to ns";
    22 Timestamp "timestamp" Time optional Timing Event "when the event happened (ISO 8601 UTC, ms)";
    23 TimestampNs "timestamp_ns" Int optional Timing Event "same in nanoseconds since the epoch (64-bit)";
    24 StartedAt "started_at" Time optional Timing Event "operation start (ISO)";
    25 EndedAt "ended_at" Time optional Timing Event "operation end (ISO)";
    26 DurationMs "duration_ms" Float optional Timing Event "elapsed milliseconds, may be fractional";
    27 CpuTimeMs "cpu_time_ms" Float optional Timing Event "CPU milliseconds used";
    28 Outcome "outcome" Text optional Outcome Event "normalised result word: success error timeout canceled exceeded_cpu ...";
    29 OutcomeReason "outcome_reason" Text optional Outcome Event "short human reason";
    30 StatusCode "status_code" Int optional Outcome Event "protocol status number (HTTP, gRPC or OTel status depending on source)";
    31 ErrorType "error_type" Text optional Outcome Event "error class";
    32 ErrorMessage "error_message" Text optional Outcome Event "error text";
    33 ErrorStack "error_stack" Text optional Outcome Event "stack trace";
    34 HttpMethod "http_method" Text optional HttpContext Event "request method";
    35 HttpUrl "http_url" Text optional HttpContext Event "full URL";
    36 HttpHost "http_host" Text optional HttpContext Event "host part";
    37 HttpPath "http_path" Text optional HttpContext Event "path part";
    38 HttpQuery "http_query" Text optional HttpContext Event "query string (leading ? kept by transformers)";
    39 HttpStatus "http_status" Int optional HttpContext Event "response status";
    40 HttpProtocol "http_protocol" Text optional HttpContext Event "HTTP/1.1, HTTP/2 ...";
    41 HttpRequestSize "http_request_size" Int optional HttpContext Event "request body bytes";
    42 HttpResponseSize "http_response_size" Int optional HttpContext Event "response body bytes";
    43 HttpReferrer "http_referrer" Text optional HttpContext Event "referring URL";
    44 HttpUserAgent "http_user_agent" Text optional HttpContext Event "User-Agent header";
    45 HttpContentType "http_content_type" Text optional HttpContext Event "Content-Type header";
    46 GeoCountry "geo_country" Text optional GeoLocation Event "ISO 3166-1 alpha-2";
    47 GeoRegion "geo_region" Text optional GeoLocation Event "ISO 3166-2 subdivision";
    48 GeoCity "geo_city" Text optional GeoLocation Event "city";
    49 GeoColo "geo_colo" Text optional GeoLocation Event "edge data centre code (IATA-like)";
    50 GeoTimezone "geo_timezone" Text optional GeoLocation Event "IANA zone";
    51 GeoLatitude "geo_latitude" Float optional GeoLocation Event "degrees";
    52 GeoLongitude "geo_longitude" Float optional GeoLocation Event "degrees";
    53 GeoAsn "geo_asn" Int optional GeoLocation Event "autonomous system number";
    54 GeoAsOrg "geo_as_org" Text optional GeoLocation Event "autonomous system owner";
    55 GeoPostal "geo_postal" Text optional GeoLocation Event "postal code";
    56 ClientType "client_type" Text optional ClientDevice Event "browser, app, sdk, cli";
    57 ClientName "client_name" Text optional ClientDevice Event "client product";
    58 ClientVersion "client_version" Text optional ClientDevice Event "client product version";
    59 DeviceType "device_type" Text optional ClientDevice Event "desktop, mobile, tablet";
    60 DeviceModel "device_model" Text optional ClientDevice Event "model";
    61 DeviceBrand "device_brand" Text optional ClientDevice Event "maker";
    62 OsName "os_name" Text optional ClientDevice Event "operating system";
    63 OsVersion "os_version" Text optional ClientDevice Event "operating system version";
    64 BotScore "bot_score" Int optional ClientDevice Event "bot likelihood 0-100";
    65 BotVerified "bot_verified" Bool optional ClientDevice Event "known good crawler";
    66 ScreenSize "screen_size" Text optional ClientDevice Event "WIDTHxHEIGHT text";
    67 ServiceName "service_name" Text optional ServiceInfra Event "service or worker name";
    68 ServiceVersion "service_version" Text optional ServiceInfra Event "build or release";
    69 ServiceInstance "service_instance" Text optional ServiceInfra Event "instance id";
    70 ServiceNamespace "service_namespace" Text optional ServiceInfra Event "environment or stage";
    71 HostName "host_name" Text optional ServiceInfra Event "host name";
    72 HostId "host_id" Text optional ServiceInfra Event "host id";
    73 CloudProvider "cloud_provider" Text optional ServiceInfra Event "cloudflare, aws, gcp, azure";
    74 CloudRegion "cloud_region" Text optional ServiceInfra Event "region";
    75 CloudZone "cloud_zone" Text optional ServiceInfra Event "availability zone";
    76 ContainerId "container_id" Text optional ServiceInfra Event "container or isolate id";
    77 K8sNamespace "k8s_namespace" Text optional ServiceInfra Event "Kubernetes namespace";
    78 K8sPod "k8s_pod" Text optional ServiceInfra Event "Kubernetes pod";
    79 K8sDeployment "k8s_deployment" Text optional ServiceInfra Event "Kubernetes deployment";
    80 DbSystem "db_system" Text optional DatabaseCdc Event "database product";
    81 DbName "db_name" Text optional DatabaseCdc Event "database or schema";
    82 DbTable "db_table" Text optional DatabaseCdc Event "table or collection";
    83 DbOperation "db_operation" Text optional DatabaseCdc Event "INSERT UPDATE DELETE (select for queries)";
    84 DbStatement "db_statement" Text optional DatabaseCdc Event "sanitised statement";
    85 DbRowId "db_row_id" Text optional DatabaseCdc Event "primary key as text, composite key as JSON";
    86 DbLsn "db_lsn" Text optional DatabaseCdc Event "log position as text";
    87 DbVersion "db_version" Int optional DatabaseCdc Event "row version";
    88 DbBefore "db_before" Json optional DatabaseCdc Event "row before the change, JSON text";
    89 DbAfter "db_after" Json optional DatabaseCdc Event "row after the change, JSON text";
    90 MsgSystem "msg_system" Text optional MessagingQueue Event "broker product";
    91 MsgDestination "msg_destination" Text optional MessagingQueue Event "queue or topic";
    92 MsgOperation "msg_operation" Text optional MessagingQueue Event "publish, consume, ack, nack";
    93 MsgBatchSize "msg_batch_size" Int optional MessagingQueue Event "messages in the batch";
    94 MsgMessageId "msg_message_id" Text optional MessagingQueue Event "message id";
    95 RpcSystem "rpc_system" Text optional Rpc Event "grpc, capnproto ... (the span transformer puts server/client here)";
    96 RpcService "rpc_service" Text optional Rpc Event "RPC service";
    97 RpcMethod "rpc_method" Text optional Rpc Event "RPC method";
    98 RpcStatus "rpc_status" Text optional Rpc Event "RPC status word";
    99 PageTitle "page_title" Text optional WebMarketing Event "page title";
    100 PageSearch "page_search" Text optional WebMarketing Event "search string of the page";
    101 CampaignName "campaign_name" Text optional WebMarketing Event "utm_campaign";
    102 CampaignSource "campaign_source" Text optional WebMarketing Event "utm_source";
    103 CampaignMedium "campaign_medium" Text optional WebMarketing Event "utm_medium";
    104 CampaignTerm "campaign_term" Text optional WebMarketing Event "utm_term";
    105 CampaignContent "campaign_content" Text optional WebMarketing Event "utm_content";
    106 CampaignId "campaign_id" Text optional WebMarketing Event "campaign id";
    107 AbTestId "ab_test_id" Text optional WebMarketing Event "experiment id";
    108 AbVariant "ab_variant" Text optional WebMarketing Event "variant assigned";
    109 VitalName "vital_name" Text optional WebVitals Event "LCP FID CLS TTFB FCP INP";
    110 VitalValue "vital_value" Float optional WebVitals Event "value: ms, unitless for CLS";
    111 VitalRating "vital_rating" Text optional WebVitals Event "good, needs-improvement, poor";
    112 VitalDelta "vital_delta" Float optional WebVitals Event "change since the last report";
    113 VitalElement "vital_element" Text optional WebVitals Event "tag of the element responsible";
    114 VitalLoadState "vital_load_state" Text optional WebVitals Event "document load state";
    115 NavType "nav_type" Text optional WebVitals Event "navigate, reload, back_forward, prerender";
    116 ReplayType "replay_type" Text optional SessionReplay Event "rrweb event type name";
    117 ReplaySource "replay_source" Text optional SessionReplay Event "rrweb incremental source name";
    118 ReplaySequence "replay_sequence" Int optional SessionReplay Event "order within the session";
    119 ReplayTimestampOffset "replay_timestamp_offset" Float optional SessionReplay Event "ms since session start";
    120 ReplayData "replay_data" Bytes optional SessionReplay Event "encoded rrweb payload (JSON text or bytes)";
    121 MetricName "metric_name" Text optional OtelMetrics Event "metric name";
    122 MetricUnit "metric_unit" Text optional OtelMetrics Event "unit";
    123 MetricType "metric_type" Text optional OtelMetrics Event "gauge, counter, histogram, summary";
    124 MetricValue "metric_value" Float optional OtelMetrics Event "point value for gauge/counter";
    125 MetricCount "metric_count" Int optional OtelMetrics Event "sample count";
    126 MetricSum "metric_sum" Float optional OtelMetrics Event "sample sum";
    127 MetricMin "metric_min" Float optional OtelMetrics Event "smallest sample";
    128 MetricMax "metric_max" Float optional OtelMetrics Event "largest sample";
    129 MetricBuckets "metric_buckets" Json optional OtelMetrics Event "JSON: explicit bounds and counts";
    130 MetricQuantiles "metric_quantiles" Json optional OtelMetrics Event "JSON: list of quantile/value";
    131 LogLevel "log_level" Text optional Logging Event "lower-case level word";
    132 LogLevelNum "log_level_num" Int optional Logging Event "numeric severity (OTel 1-24 from the log transformer)";
    133 LogMessage "log_message" Text optional Logging Event "message text";
    134 LogLogger "log_logger" Text optional Logging Event "logger or category";
    135 DoClass "do_class" Text optional DoSpecific Event "Durable Object class";
    136 DoId "do_id" Text optional DoSpecific Event "Durable Object instance";
    137 DoMethod "do_method" Text optional DoSpecific Event "method invoked";
    138 ActionVerb "action_verb" Text optional DoSpecific Event "verb of the domain event or action";
    139 ActionDurability "action_durability" Text optional DoSpecific Event "send, try or do";
    140 ActionTarget "action_target" Text optional DoSpecific Event "target path Type/id";
    141 ActionInputVersion "action_input_version" Int optional DoSpecific Event "version of the input row";
    142 BizStep "biz_step" Text optional BusinessEpcis Event "EPCIS business step";
    143 BizDisposition "biz_disposition" Text optional BusinessEpcis Event "EPCIS disposition";
    144 BizTransaction "biz_transaction" Text optional BusinessEpcis Event "EPCIS business transaction";
    145 BizLocation "biz_location" Text optional BusinessEpcis Event "EPCIS business location";
    146 BizReadPoint "biz_read_point" Text optional BusinessEpcis Event "EPCIS read point";
    147 SnippetInitiator "snippet_initiator" Text optional SnippetProxy Event "Resource Timing initiatorType";
    148 SnippetRequestId "snippet_request_id" Text optional SnippetProxy Event "injected request id";
    149 SnippetStartTime "snippet_start_time" Float optional SnippetProxy Event "start relative to navigation, ms";
    150 SnippetDnsTime "snippet_dns_time" Float optional SnippetProxy Event "DNS ms";
    151 SnippetConnectTime "snippet_connect_time" Float optional SnippetProxy Event "connect+TLS ms";
    152 SnippetTtfb "snippet_ttfb" Float optional SnippetProxy Event "request to first byte ms";
    153 SnippetDownloadTime "snippet_download_time" Float optional SnippetProxy Event "first to last byte ms";
    154 SnippetBlockedTime "snippet_blocked_time" Float optional SnippetProxy Event "queued before DNS ms";
    155 SnippetResourceType "snippet_resource_type" Text optional SnippetProxy Event "resource type (transformer copies initiatorType)";
    156 SnippetTransferSize "snippet_transfer_size" Int optional SnippetProxy Event "bytes on the wire";
    157 SnippetDecodedSize "snippet_decoded_size" Int optional SnippetProxy Event "bytes after decoding";
    158 SnippetCacheState "snippet_cache_state" Text optional SnippetProxy Event "local or network (schema text says hit/miss/conditional)";
    159 SnippetPriority "snippet_priority" Text optional SnippetProxy Event "fetch priority";
    160 Data "data" Payload optional FlexiblePayloads Event "main payload of the event";
    161 Attributes "attributes" Payload optional FlexiblePayloads Event "OTel-style attributes";
    162 Labels "labels" Payload optional FlexiblePayloads Event "string-to-string tags";
    163 Context "context" Payload optional FlexiblePayloads Event "extra context (Segment context)";
    164 Properties "properties" Payload optional FlexiblePayloads Event "Segment properties";
    165 Traits "traits" Payload optional FlexiblePayloads Event "Segment user traits";
    166 Depth "depth" Int optional CausalityChain System "computed distance from the root span, root is 0";
    167 IsLeaf "is_leaf" Bool optional CausalityChain System "computed: no child span known";
    168 IsRoot "is_root" Bool optional CausalityChain System "computed: no parent span";
    169 Hour "hour" Int optional PartitionInternal System "UTC hour 0-23 of the event";
    170 Day "day" Text optional PartitionInternal System "UTC date YYYY-MM-DD of the event";
    171 EventSource "event_source" Text optional PartitionInternal System "which feed produced it (otel, segment, workers_tail, do_action)";
    172 Visibility "visibility" Text optional PartitionInternal System "access level; cold-tier SQL default is user";
    173 IngestedAt "ingested_at" Time optional PartitionInternal System "arrival time";
    174 BatchId "batch_id" Text optional PartitionInternal System "ingest batch";
    175 SchemaVersion "schema_version" Int optional PartitionInternal System "schema revision, 1";
    176 Shard "_shard" Int32 optional PartitionInternal System "shard that ordered the event";
    177 Sequence "_seq" Int optional PartitionInternal System "dense event number inside the shard";
}
