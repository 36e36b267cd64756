//! How many streams there may be, and how fast each is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watershed_schema::TenantId;

use super::pace::Pace;
use crate::refusal::Refusal;

/// A stream ends when its client likes: there is nothing that would say when.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What streams may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Streams of a node.
    pub(crate) per_node: u32,
    /// Streams of one tenant on a node.
    pub(crate) per_tenant: u32,
    /// Events a second to one stream; 0 = no limit.
    pub(crate) rate: u32,
    /// Events at once to a stream that rested.
    pub(crate) burst: u32,
    /// Bytes to a client that acknowledges and has not yet.
    pub(crate) window_bytes: usize,
}

/// Places for streams. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    taken: Mutex<HashMap<TenantId, u32>>,
}

/// The place of one stream; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    tenant: TenantId,
}

impl Limits {
    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.rate, self.burst)
    }
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, taken: Mutex::default() }))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Takes a place.
    pub(super) fn take(&self, tenant: &TenantId) -> Result<Seat, Refusal> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (taken.values().sum::<u32>(), taken.get(tenant).copied().unwrap_or_default());
        let Limits { per_node, per_tenant, .. } = self.0.limits;
        for (open, limit, whose) in [(own, per_tenant, "this tenant"), (all, per_node, "this node")] {
            if open >= limit {
                let reason = format!("streams: {whose} has {open} open, limit {limit}");
                return Err(Refusal::Overloaded { reason, retry_after: RETRY_AFTER });
            }
        }
        taken.insert(tenant.clone(), own + 1);
        gauge(all + 1);
        Ok(Seat { seats: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
        gauge(taken.values().sum());
    }
}

fn gauge(open: u32) {
    metrics::gauge!("watershed_streams_open").set(open);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again() {
        let seats = Seats::new(Limits { per_node: 3, per_tenant: 2, rate: 0, burst: 0, window_bytes: 0 });
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        let first = seats.take(&a).unwrap();
        let _second = seats.take(&a).unwrap();
        assert!(seats.take(&a).unwrap_err().to_string().contains("this tenant has 2 open, limit 2"));
        let _third = seats.take(&b).unwrap();
        assert!(seats.take(&b).unwrap_err().to_string().contains("this node has 3 open, limit 3"));
        drop(first);
        assert!(seats.take(&b).is_ok());
    }
}
