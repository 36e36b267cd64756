//! What can be done to a cluster, and to whom.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A sort of fault, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `kill -9`: of a leader, a follower, or of all.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Stop,
    /// No packet between a node and the others.
    Partition,
    /// Packets between a node and the others go one way only.
    Oneway,
    /// The disk is lost: the node comes back as a new one.
    Wipe,
    /// The disk is full for a while.
    Full,
    /// The power fails: what was not synced to disk is gone, of one node or of all.
    Power,
    /// SIGTERM and start, one node after the other.
    Restart,
    /// Nodes die, or hang, between the steps of archiving and committing (fail points).
    Committer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Kill,
        Self::Stop,
        Self::Partition,
        Self::Oneway,
        Self::Wipe,
        Self::Full,
        Self::Power,
        Self::Restart,
        Self::Committer,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Partition => "partition",
            Self::Oneway => "oneway",
            Self::Wipe => "wipe",
            Self::Full => "full",
            Self::Power => "power",
            Self::Restart => "restart",
            Self::Committer => "committer",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("no fault {name:?}, there are {known}"))
    }
}

/// Whom a fault hits; leaders are looked up when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Who leads the shard.
    Leader(u32),
    /// Somebody who does not.
    Follower(u32),
    /// Who leads the control group, and so commits to the lake.
    Committer,
    /// A node, whatever it is.
    Place(usize),
    /// Every node at once.
    All,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader(shard) => write!(f, "the leader of shard {shard}"),
            Self::Follower(shard) => write!(f, "a follower of shard {shard}"),
            Self::Committer => f.write_str("the committer"),
            Self::Place(place) => write!(f, "node {place}"),
            Self::All => f.write_str("all nodes"),
        }
    }
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// When it begins, milliseconds after the load.
    pub at_ms: u64,
    /// How long it lasts; for a death, until the node is started again.
    pub lasts_ms: u64,
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// One-way partitions: the node is not heard, else it does not hear.
    pub is_mute: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, lasts_ms, kind, target, is_mute } = self;
        let way = match (kind, is_mute) {
            (Kind::Oneway, true) => " (is not heard)",
            (Kind::Oneway, false) => " (does not hear)",
            _ => "",
        };
        write!(f, "at {:.1} s for {:.1} s: {} {target}{way}", seconds(*at_ms), seconds(*lasts_ms), kind.name())
    }
}

/// For people.
#[expect(clippy::cast_precision_loss, reason = "times of a run")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
