//! How much a tenant may send: so that a noisy one does not take what the others need.
//!
//! What a request holds is known once it is decoded, and it must be refused before that. So a request goes through while
//! its tenant is not in debt, what it held is put down afterwards, and the next one waits until that is paid off.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use watershed_schema::TenantId;

use crate::refusal::{Refusal, Spent};

/// Tenants that are remembered; beyond, those without debt are forgotten.
const TENANTS_MAX: usize = 10_000;
/// No client is sent away for longer, however much it sent at once.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What a tenant may send; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Events a second.
    pub(crate) events: u64,
    /// Bytes a second, uncompressed.
    pub(crate) bytes: u64,
}

/// The limits of all tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    usual: Rate,
    tenants: BTreeMap<TenantId, Rate>,
    /// So much may be sent at once after a rest.
    burst: Duration,
    debts: Mutex<HashMap<TenantId, Debt>>,
}

/// When everything that was sent would be paid off.
#[derive(Clone, Copy, Debug)]
struct Debt {
    events: Instant,
    bytes: Instant,
}

impl Rates {
    pub(crate) fn new(usual: Rate, tenants: BTreeMap<TenantId, Rate>, burst: Duration) -> Self {
        Self(Arc::new(Inner { usual, tenants, burst, debts: Mutex::default() }))
    }

    fn of(&self, tenant: &TenantId) -> Rate {
        self.0.tenants.get(tenant).copied().unwrap_or(self.0.usual)
    }

    /// Lets a request of the tenant through, or says when to come again.
    pub(crate) fn check(&self, tenant: &TenantId) -> Result<(), Refusal> {
        let rate = self.of(tenant);
        let debts = self.0.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(debt) = debts.get(tenant) else { return Ok(()) };
        let now = Instant::now();
        for (what, limit, paid_off) in [("events", rate.events, debt.events), ("bytes", rate.bytes, debt.bytes)] {
            let over = paid_off.saturating_duration_since(now + self.0.burst);
            if limit > 0 && !over.is_zero() {
                return Err(self.refusal(tenant, what, limit, over.min(RETRY_MAX)));
            }
        }
        Ok(())
    }

    fn refusal(&self, tenant: &TenantId, what: &'static str, limit: u64, retry_after: Duration) -> Refusal {
        let reason = format!("tenant {} sends more than {limit} {what} a second", tenant.as_str());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a quota for people")]
        let quota = (limit as f64 * self.0.burst.as_secs_f64()) as u64;
        Refusal::Limited { reason, retry_after, spent: Spent { what, quota, window: self.0.burst } }
    }

    /// Puts down what a request held.
    pub(crate) fn spent(&self, tenant: &TenantId, events: u64, bytes: usize) {
        let rate = self.of(tenant);
        if rate == Rate::default() {
            return;
        }
        let now = Instant::now();
        let mut debts = self.0.debts.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= TENANTS_MAX {
            debts.retain(|_, debt| debt.events.max(debt.bytes) > now);
        }
        let debt = debts.entry(tenant.clone()).or_insert(Debt { events: now, bytes: now });
        debt.events = debt.events.max(now) + time_for(events, rate.events);
        debt.bytes = debt.bytes.max(now) + time_for(bytes as u64, rate.bytes);
    }
}

fn time_for(amount: u64, rate: u64) -> Duration {
    if rate == 0 { Duration::ZERO } else { Duration::from_secs_f64(amount as f64 / rate as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        let quiet = BTreeMap::from([(tenant("free"), Rate::default())]);
        Rates::new(Rate { events: 100, bytes: 1_000_000 }, quiet, Duration::from_secs(2))
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_in_debt_waits_and_the_others_do_not() {
        let (rates, noisy) = (rates(), tenant("noisy"));
        rates.spent(&noisy, 200, 0);
        assert_eq!(rates.check(&noisy), Ok(()), "a burst of two seconds");
        rates.spent(&noisy, 300, 0);
        let Err(Refusal::Limited { reason, retry_after, spent }) = rates.check(&noisy) else { panic!("through") };
        assert_eq!(reason, "tenant noisy sends more than 100 events a second");
        assert_eq!((retry_after, spent.what, spent.quota), (Duration::from_secs(3), "events", 200));
        assert_eq!(rates.check(&tenant("other")), Ok(()));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(rates.check(&noisy), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_too_and_who_has_no_limit_is_free() {
        let rates = rates();
        rates.spent(&tenant("big"), 1, 500_000_000);
        let Err(Refusal::Limited { retry_after, spent, .. }) = rates.check(&tenant("big")) else { panic!("through") };
        assert_eq!((retry_after, spent.what), (RETRY_MAX, "bytes"));
        rates.spent(&tenant("free"), u64::from(u32::MAX), 1 << 40);
        assert_eq!(rates.check(&tenant("free")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_without_debt_are_forgotten() {
        let rates = rates();
        for number in 0..TENANTS_MAX {
            rates.spent(&tenant(&format!("t{number}")), 1, 1);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        rates.spent(&tenant("one-more"), 1, 1);
        assert_eq!(rates.0.debts.lock().unwrap().len(), 1);
    }
}
