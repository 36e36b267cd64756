//! What subscriptions may use.

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::subscribe::Limits;

/// Settings of streams; `WATERSHED_STREAMS_RATE` is `rate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamsConfig {
    /// Streams of this node; more are refused with `RESOURCE_EXHAUSTED`.
    pub max: u32,
    /// Streams of one tenant on this node.
    pub max_per_tenant: u32,
    /// Events a second that a stream is told; what is more is delayed, never dropped. 0: as fast as it reads.
    pub rate: u32,
    /// Events that a stream is told at once after a rest.
    pub burst: u32,
    /// Bytes on their way to a client that acknowledges them (WebSocket, `acks`).
    pub window: Bytes,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self { max: 10_000, max_per_tenant: 10_000, rate: 10_000, burst: 10_000, window: Bytes(4 << 20) }
    }
}

impl StreamsConfig {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            per_node: self.max,
            per_tenant: self.max_per_tenant,
            rate: self.rate,
            burst: self.burst,
            window_bytes: self.window.0,
        }
    }
}
