//! The ten kinds of event, and sets of them as a bit mask.

/// Kind of signal; the number is a bit position on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventType {
    /// A span.
    Trace = 0,
    /// A metric data point.
    Metric = 1,
    /// A log record.
    Log = 2,
    /// A database change.
    Cdc = 3,
    /// A product event.
    Track = 4,
    /// A page or screen view.
    Page = 5,
    /// A web vital.
    Vital = 6,
    /// A session replay event.
    Replay = 7,
    /// A worker's invocation.
    Tail = 8,
    /// A browser resource timing.
    Snippet = 9,
}

/// Every event type.
pub const EVENT_TYPES: [(EventType, &str); 10] = [
    (EventType::Trace, "trace"),
    (EventType::Metric, "metric"),
    (EventType::Log, "log"),
    (EventType::Cdc, "cdc"),
    (EventType::Track, "track"),
    (EventType::Page, "page"),
    (EventType::Vital, "vital"),
    (EventType::Replay, "replay"),
    (EventType::Tail, "tail"),
    (EventType::Snippet, "snippet"),
];

impl EventType {
    /// The word in the column `event_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        EVENT_TYPES[self as usize].1
    }

    /// The type of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        EVENT_TYPES.iter().find(|(_, name)| *name == word).map(|(event_type, _)| *event_type)
    }

    /// The set of this one.
    #[must_use]
    pub fn mask(self) -> u32 {
        1 << (self as u8)
    }
}
