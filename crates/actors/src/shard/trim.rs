//! Letting go of entries that are archived and older than the hot retention.

use std::sync::Arc;
use std::time::Duration;

use watershed_cluster::Group;

use super::machine::Committed;

/// Ids of the last ten minutes of the log recognise retries, so those entries stay whatever the retention.
const DEDUPE_WINDOW: Duration = Duration::from_secs(600);

/// Purges what may go, in the background; readers are told first.
pub(crate) fn run(group: &Group, committed: &Arc<Committed>, hot_retention: Duration) {
    let last = {
        let mut state = committed.state();
        let archived = state.positions.archived();
        state.ages.forget(kept(hot_retention), archived)
    };
    if let Some(entry) = last {
        committed.trimmed(entry.tail);
        let group = group.clone();
        tokio::spawn(async move {
            if let Err(error) = group.purge_upto(entry.lsn).await {
                tracing::warn!(%error, lsn = %entry.lsn, "trim failed, entries stay");
            }
        });
    }
}

fn kept(hot_retention: Duration) -> Duration {
    fail::fail_point!("trim::without_dedupe_window", |_| hot_retention);
    hot_retention.max(DEDUPE_WINDOW)
}
