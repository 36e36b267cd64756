//! An event as tests of analytics say it.

use watershed_schema::{Column, EventWriter};

pub(crate) const SHARDS: u16 = 3;
pub(crate) const MINUTE_US: i64 = 60_000_000;
pub(crate) const HOUR_US: i64 = 60 * MINUTE_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;
/// 2026-03-04 00:00, a Wednesday.
pub(crate) const DAY0_US: i64 = 1_772_582_400_000_000;

/// What a test says of an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) at_us: i64,
    pub(crate) name: String,
    pub(crate) actor: Option<String>,
    pub(crate) anonymous: Option<String>,
    pub(crate) shard: u16,
    pub(crate) properties: Option<String>,
}

impl Event {
    /// What it says, without id and owner.
    pub(crate) fn write(&self, row: &mut EventWriter<'_>) {
        row.str(Column::EventType, "track");
        row.str(Column::EventName, &self.name);
        row.int(Column::Timestamp, self.at_us);
        self.actor.iter().for_each(|actor| row.str(Column::ActorId, actor));
        self.anonymous.iter().for_each(|anonymous| row.str(Column::AnonymousId, anonymous));
        self.properties.iter().for_each(|properties| row.json(Column::Properties, properties));
    }
}
