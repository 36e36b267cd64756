//! How long to wait before trying again.

use std::time::Duration;

use backon::ExponentialBuilder;

/// Of a commit: 0.1 s, doubled, with jitter, for half a minute in all. Who asked comes again later.
pub(crate) fn commit() -> ExponentialBuilder {
    ExponentialBuilder::default().with_jitter().with_min_delay(Duration::from_millis(100)).with_max_times(8)
}

/// Of a read: short, for somebody waits for the answer.
pub(crate) fn read() -> ExponentialBuilder {
    ExponentialBuilder::default().with_jitter().with_min_delay(Duration::from_millis(50)).with_max_times(4)
}
