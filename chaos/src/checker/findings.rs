//! What a checker has to say.

use std::fmt;

use serde::Serialize;

/// What is wrong with an event or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Acknowledged, and not there.
    Lost,
    /// There more than once.
    Duplicated,
    /// Never sent, or another tenant's.
    Phantom,
    /// Readers do not agree whether, or where, it is there.
    Disputed,
    /// A number of a shard that no event has.
    Hole,
    /// A number of a shard that several events have.
    Shared,
}

/// One event, or one place, that breaks the promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub trouble: Trouble,
    /// Who saw it.
    pub reader: String,
    /// Whose event; empty when it is about a number.
    pub tenant: String,
    /// The event.
    pub id: Option<u64>,
    /// Where it is, as (shard, seq).
    pub places: Vec<(u32, u64)>,
    /// When it was acknowledged, microseconds after the start.
    pub acknowledged_us: Option<u64>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, reader, tenant, id, places, acknowledged_us } = self;
        write!(f, "{trouble:?}: {reader}")?;
        if let Some(id) = id {
            write!(f, ", event {id:#x} of {tenant}")?;
        }
        for (shard, seq) in places {
            write!(f, ", shard {shard} seq {seq}")?;
        }
        match acknowledged_us {
            Some(us) => write!(f, ", acknowledged at {}.{:03} s", us / 1_000_000, us / 1_000 % 1_000),
            None => Ok(()),
        }
    }
}
