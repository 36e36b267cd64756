//! What keeps the lake in shape, from `[lake]`.

use std::collections::BTreeMap;
use std::time::Duration;

use watershed_actors::Upkeep;
use watershed_lake::{CompactionLimits, OrphanRule, SnapshotRetention};
use watershed_schema::TenantId;

use super::{Bytes, Catalog, ConfigError, LakeConfig, Span, range};

/// Shorter files are hardly fewer.
const TARGET_MIN: Bytes = Bytes(1 << 20);
/// A round holds its target twice.
const TARGET_MAX: Bytes = Bytes(1 << 30);
/// Of less, inputs have no batch of more than a row.
const MEMORY_MIN: Bytes = Bytes(1 << 20);
/// The archiver looks every second.
const INTERVAL_MIN: Span = Span::from_secs(1);
/// Longer than a file is on its way into a snapshot, and than clocks differ.
const ORPHAN_AGE_MIN: Span = Span::from_secs(3_600);

impl LakeConfig {
    /// The upkeep of these settings.
    pub(crate) fn upkeep(&self) -> Result<Upkeep, ConfigError> {
        if !(TARGET_MIN.0..=TARGET_MAX.0).contains(&self.compaction_target.0) {
            return range("lake.compaction_target", "must be 1MiB to 1GiB");
        }
        if self.compaction_memory.0 < MEMORY_MIN.0 {
            return range("lake.compaction_memory", "must be at least 1MiB");
        }
        for (key, span) in [
            ("lake.compaction_interval", self.compaction_interval),
            ("lake.expiry_interval", self.expiry_interval),
            ("lake.retention_interval", self.retention_interval),
            ("lake.upkeep_deadline", self.upkeep_deadline),
        ] {
            if span.0 < INTERVAL_MIN.0 {
                return range(key, "must be at least 1s");
            }
        }
        if self.orphan_age.0 < ORPHAN_AGE_MIN.0 {
            return range("lake.orphan_age", "must be at least 1h: younger files may be on their way into a snapshot");
        }
        if self.snapshots_kept == 0 {
            return range("lake.snapshots_kept", "must be at least 1");
        }
        let kept = |span: Span| Some(span.0).filter(|span| !span.is_zero());
        let tenant_retention = self.tenant_retention.iter().map(|(name, span)| Ok((tenant(name)?, kept(*span))));
        let tenant_retention: BTreeMap<String, Option<Duration>> = tenant_retention.collect::<Result<_, ConfigError>>()?;
        let deletes = !self.retention.0.is_zero() || tenant_retention.values().any(Option::is_some);
        let count = usize::try_from(self.snapshots_kept).unwrap_or(usize::MAX);
        let with_metadata = matches!(self.catalog()?, Catalog::Sqlite(_));
        Ok(Upkeep {
            compaction: self.compaction_limits(),
            compaction_interval: self.compaction.then_some(self.compaction_interval.0),
            snapshots: SnapshotRetention { age: self.snapshot_retention.0, count },
            expiry_interval: Some(self.expiry_interval.0),
            orphans: OrphanRule { age: self.orphan_age.0, with_metadata, dry_run: false },
            orphan_interval: Some(self.orphan_interval.0).filter(|interval| !interval.is_zero()),
            retention: kept(self.retention),
            tenant_retention,
            retention_interval: deletes.then_some(self.retention_interval.0),
            deadline: self.upkeep_deadline.0,
        })
    }

    fn compaction_limits(&self) -> CompactionLimits {
        let target_bytes = u64::try_from(self.compaction_target.0).unwrap_or(u64::MAX);
        CompactionLimits {
            target_bytes,
            bytes_max: 2 * target_bytes,
            decoded_bytes_max: self.compaction_memory.0,
            ..CompactionLimits::default()
        }
    }
}

fn tenant(name: &str) -> Result<String, ConfigError> {
    match TenantId::new(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(error) => range("lake.tenant_retention", &format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upkeep(text: &str) -> Result<Upkeep, ConfigError> {
        toml::from_str::<LakeConfig>(text).expect("is TOML").upkeep()
    }

    #[test]
    fn without_settings_there_is_compaction() {
        let upkeep_of = |text: &str| upkeep(text).expect("fits");
        assert_eq!(upkeep_of("").compaction, CompactionLimits::default());
        assert!(upkeep_of("").compaction_interval.is_some() && upkeep_of("").orphans.with_metadata);
        assert!(upkeep_of("compaction = false").compaction_interval.is_none());
        assert!(upkeep_of("orphan_interval = \"0s\"").orphan_interval.is_none());
        assert!(!upkeep_of("catalog = \"rest\"\nuri = \"https://x\"").orphans.with_metadata);
    }

    #[test]
    fn tenants_keep_rows_as_long_as_they_want() {
        let none = upkeep("").expect("fits");
        assert_eq!((none.retention, none.retention_interval), (None, None));
        let text = "retention = \"90d\"\n[tenant_retention]\nacme = \"1d\"\naudit = \"0s\"\n";
        let some = upkeep(text).expect("fits");
        let day = Duration::from_secs(24 * 3_600);
        assert_eq!((some.retention, some.retention_interval), (Some(90 * day), Some(day)));
        assert_eq!(some.tenant_retention, BTreeMap::from([("acme".to_owned(), Some(day)), ("audit".to_owned(), None)]));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        let cases = [
            ("compaction_target = \"1KiB\"", "lake.compaction_target"),
            ("compaction_target = \"2GiB\"", "lake.compaction_target"),
            ("compaction_memory = \"1KiB\"", "lake.compaction_memory"),
            ("compaction_interval = \"0s\"", "lake.compaction_interval"),
            ("expiry_interval = \"0s\"", "lake.expiry_interval"),
            ("orphan_age = \"1m\"", "lake.orphan_age"),
            ("retention_interval = \"0s\"", "lake.retention_interval"),
            ("[tenant_retention]\n\"a b\" = \"1d\"", "lake.tenant_retention"),
            ("snapshots_kept = 0", "lake.snapshots_kept"),
            ("upkeep_deadline = \"10ms\"", "lake.upkeep_deadline"),
        ];
        for (text, key) in cases {
            let refused = upkeep(text).expect_err(text).to_string();
            assert!(refused.starts_with(key), "{text}: {refused}");
        }
    }
}
