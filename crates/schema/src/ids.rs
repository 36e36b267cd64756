//! Newtypes for every number and name that crosses a function.

use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Dense event number inside one shard: 1, 2, 3 …, no holes.
    Seq(u64)
);
number!(
    /// Raft log index inside one shard; the first entry has 0 or 1 as the consensus library decides.
    Lsn(u64)
);
number!(
    /// Raft term.
    Term(u64)
);
number!(
    /// A number that only grows and fences old owners.
    Epoch(u64)
);
number!(
    /// A shard of the cluster, `0..shards`.
    ShardId(u16)
);
number!(
    /// A node of the cluster; never reused.
    NodeId(u64)
);
number!(
    /// A Raft group of the cluster: the control group, or a shard's.
    GroupId(u32)
);

impl GroupId {
    /// The group that keeps nodes, placement and tenants.
    pub const CONTROL: Self = Self(0);

    /// The group of a shard.
    #[must_use]
    pub const fn of_shard(shard: ShardId) -> Self {
        Self(shard.0 as u32 + 1)
    }

    /// Whose group it is; none for the control group.
    #[must_use]
    pub fn shard(self) -> Option<ShardId> {
        self.0.checked_sub(1).and_then(|shard| u16::try_from(shard).ok()).map(ShardId)
    }
}

impl Seq {
    /// The first number a shard gives out.
    pub const FIRST: Self = Self(1);

    /// The position `rows` events later.
    #[must_use]
    pub fn advanced_by(self, rows: u32) -> Self {
        Self(self.0 + u64::from(rows))
    }
}

/// The owner of events. 1 to [`crate::limits::TENANT_BYTES_MAX`] bytes of `[A-Za-z0-9_.-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenant must be 1 to {max} characters of [A-Za-z0-9_.-], got {got} bytes", max = crate::limits::TENANT_BYTES_MAX)]
pub struct InvalidTenant {
    /// Bytes of the refused text.
    pub got: usize,
}

impl TenantId {
    /// Checks and wraps.
    ///
    /// # Errors
    /// [`InvalidTenant`] for an empty, long or oddly spelled name.
    pub fn new(text: &str) -> Result<Self, InvalidTenant> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let fits = !text.is_empty() && text.len() <= crate::limits::TENANT_BYTES_MAX;
        if fits && text.bytes().all(allowed) { Ok(Self(text.into())) } else { Err(InvalidTenant { got: text.len() }) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_knows_its_shard() {
        for shard in [0, 1, u16::MAX].map(ShardId) {
            assert_eq!(GroupId::of_shard(shard).shard(), Some(shard));
            assert_ne!(GroupId::of_shard(shard), GroupId::CONTROL);
        }
        assert_eq!(GroupId::CONTROL.shard(), None);
        assert_eq!(GroupId(u32::MAX).shard(), None);
    }
}
