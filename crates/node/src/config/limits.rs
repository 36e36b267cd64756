//! What tenants may send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watershed_schema::TenantId;

use super::{Bytes, ConfigError, Span, range};
use crate::rate::{Rate, Rates};

/// Limits of every tenant; `WATERSHED_LIMITS_EVENTS_PER_SECOND` is `events_per_second`. 0 = no limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Events a second of a tenant on this node; more is refused with `RESOURCE_EXHAUSTED`.
    pub events_per_second: u64,
    /// Bytes a second, uncompressed.
    pub bytes_per_second: Bytes,
    /// So many seconds' worth may come at once after a rest.
    pub burst: Span,
    /// Limits of single tenants: `[limits.tenants.NAME]`, in the file only.
    pub tenants: BTreeMap<String, TenantLimits>,
}

/// Limits of one tenant instead of the usual ones.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantLimits {
    /// Events a second.
    pub events_per_second: u64,
    /// Bytes a second, uncompressed.
    pub bytes_per_second: Bytes,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let TenantLimits { events_per_second, bytes_per_second } = TenantLimits::default();
        Self { events_per_second, bytes_per_second, burst: Span::from_secs(2), tenants: BTreeMap::new() }
    }
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { events_per_second: 0, bytes_per_second: Bytes(0) }
    }
}

impl LimitsConfig {
    pub(crate) fn rates(&self) -> Result<Rates, ConfigError> {
        let rate = |events: u64, bytes: Bytes| Rate { events, bytes: bytes.0 as u64 };
        let of_one = |(name, limits): (&String, &TenantLimits)| match TenantId::new(name) {
            Ok(tenant) => Ok((tenant, rate(limits.events_per_second, limits.bytes_per_second))),
            Err(error) => range("limits.tenants", &format!("`{name}`: {error}")),
        };
        let tenants = self.tenants.iter().map(of_one).collect::<Result<_, _>>()?;
        if self.burst.0.is_zero() {
            return range("limits.burst", "must be more than 0s");
        }
        Ok(Rates::new(rate(self.events_per_second, self.bytes_per_second), tenants, self.burst.0))
    }
}
