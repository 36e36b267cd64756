//! How fast a stream may be told events: a token bucket that delays and never drops.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The bucket of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    /// Events a second; 0 = no limit.
    rate: u32,
    /// Events that may come at once after a rest.
    burst: u32,
    /// When the bucket would be full again if nothing were taken any more.
    full_at: Instant,
}

impl Pace {
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst: burst.max(1), full_at: Instant::now() }
    }

    /// Waits until so many events may go out. More than the bucket holds go out at once, and what follows waits for them.
    pub(super) async fn take(&mut self, events: usize) {
        if self.rate == 0 || events == 0 {
            return;
        }
        let now = Instant::now();
        let full_at = self.full_at.max(now);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let wait = (full_at + self.time_for(events.min(self.burst))).saturating_duration_since(now + self.time_for(self.burst));
        sleep(wait).await;
        self.full_at = full_at + self.time_for(events);
    }

    fn time_for(&self, events: u32) -> Duration {
        Duration::from_secs_f64(f64::from(events) / f64::from(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock's steps are a millisecond long and not shorter than asked for.
    fn hundredths(began: Instant) -> u128 {
        began.elapsed().as_millis() / 10
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let (mut pace, began) = (Pace::new(100, 50), Instant::now());
        pace.take(50).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        pace.take(50).await;
        assert_eq!(hundredths(began), 50);
        pace.take(500).await;
        assert_eq!(hundredths(began), 100, "more than the bucket holds waits for a full one");
        pace.take(1).await;
        assert_eq!(hundredths(began), 551, "and what follows waits for it");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let (mut pace, began) = (Pace::new(0, 1), Instant::now());
        pace.take(1_000_000).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
