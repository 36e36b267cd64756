//! How a node keeps the lake in shape.

use std::collections::BTreeMap;
use std::time::Duration;

use watershed_lake::{CompactionLimits, Doomed, OrphanRule, SnapshotRetention};

/// What the committer does to keep the lake in shape, and how often.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// How much a round of compaction may do.
    pub compaction: CompactionLimits,
    /// From the end of a round that found nothing to do to the next; none: small files stay unless somebody asks.
    pub compaction_interval: Option<Duration>,
    /// Which snapshots stay.
    pub snapshots: SnapshotRetention,
    /// Between two looks for old snapshots; none: they stay unless somebody asks.
    pub expiry_interval: Option<Duration>,
    /// What counts as an orphan.
    pub orphans: OrphanRule,
    /// Between two looks for orphans; none: they stay unless somebody asks.
    pub orphan_interval: Option<Duration>,
    /// How long rows stay; none: for ever.
    pub retention: Option<Duration>,
    /// The same for single tenants.
    pub tenant_retention: BTreeMap<String, Option<Duration>>,
    /// Between two looks for rows that are too old; none: they stay.
    pub retention_interval: Option<Duration>,
    /// Longest time of a round that writes files: commits wait for it.
    pub deadline: Duration,
}

impl Default for Upkeep {
    /// Nothing is done by itself.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3_600);
        Self {
            compaction: CompactionLimits::default(),
            compaction_interval: None,
            snapshots: SnapshotRetention { age: 5 * day, count: 10 },
            expiry_interval: None,
            orphans: OrphanRule { age: day, with_metadata: false, dry_run: false },
            orphan_interval: None,
            retention: None,
            tenant_retention: BTreeMap::new(),
            retention_interval: None,
            deadline: Duration::from_secs(60),
        }
    }
}

impl Upkeep {
    /// What is too old now.
    pub(super) fn too_old(&self, now_us: i64) -> Doomed {
        let end = |kept: Duration| now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let of_tenants = self.tenant_retention.iter().map(|(name, kept)| (name.clone(), kept.map(end))).collect();
        Doomed::Older { than_us: self.retention.map(end), of_tenants }
    }
}
