//! SQL over hot and lake as one table.
//!
//! Must not know where hot rows come from.

mod analytics;
mod condition;
mod engine;
mod error;
mod events;
mod functions;
mod guard;
mod history;
mod hot;
mod hot_counts;
mod hot_scan;
mod lake_files;
mod lake_scan;
mod live;
mod lookup;
mod params;
mod predicates;
mod progress;
mod remote;
mod table;
mod time_travel;

pub use condition::Condition;
pub use engine::{Engine, Limits, Rows};
pub use error::{ErrorKind, QueryError};
pub use history::{History, HistoryStep};
pub use hot::{HotHead, HotPage, HotRange, HotRequest, HotTier, HotTierError};
pub use live::{LiveLimits, LiveQuery, Windows};
pub use params::Param;
pub use progress::Progress;
