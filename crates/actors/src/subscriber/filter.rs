//! Which events a subscription wants.

use std::collections::HashSet;

use watershed_schema::batch::FILTERED;
use watershed_schema::topic::{self, Pattern};
use watershed_schema::{Column, EventType, proto};

const PATTERNS_MAX: usize = 1_000;
const VALUES_MAX: usize = 1_000;

/// Where the parts of [`Filter::any_of`] stand among [`FILTERED`].
pub(super) const PLACES: [usize; 4] = [0, 2, 3, 4];

/// A filter that cannot be used; names the field and the limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

/// A compiled filter: topics AND types AND services AND traces AND sessions; an empty part is no condition.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) topics: Box<[Pattern]>,
    /// Types, services, traces, sessions.
    pub(super) any_of: [HashSet<String>; 4],
}

impl Filter {
    /// Checks and compiles it.
    ///
    /// # Errors
    /// [`FilterError`] for a pattern that is none, an event type that does not exist, and a list that is too long.
    pub fn new(wanted: &proto::Filter) -> Result<Self, FilterError> {
        check("filter.topics", wanted.topics.len(), PATTERNS_MAX)?;
        let lists = [&wanted.event_types, &wanted.service_names, &wanted.trace_ids, &wanted.session_ids];
        let names = ["filter.event_types", "filter.service_names", "filter.trace_ids", "filter.session_ids"];
        for (list, name) in lists.iter().zip(names) {
            check(name, list.len(), VALUES_MAX)?;
        }
        if let Some(word) = wanted.event_types.iter().find(|word| EventType::from_word(word).is_none()) {
            return Err(FilterError(format!("filter.event_types: `{word}` is no event type")));
        }
        let pattern = |text: &String| Pattern::parse(text).map_err(|error| FilterError(format!("filter.topics: {error}")));
        let topics = wanted.topics.iter().map(pattern).collect::<Result<_, _>>()?;
        let any_of = lists.map(|list| list.iter().cloned().collect());
        Ok(Self { topics, any_of })
    }

    /// Whether there is no condition.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.topics.is_empty() && self.any_of.iter().all(HashSet::is_empty)
    }

    /// Lists of which one value each must be there, for who can leave out events early; not those that want an event without
    /// one, too.
    pub fn lists(&self) -> impl Iterator<Item = (Column, &HashSet<String>)> {
        let columns = PLACES.map(|place| FILTERED[place]);
        columns.into_iter().zip(&self.any_of).filter(|(_, any)| !any.is_empty() && !any.contains(""))
    }

    /// Whether it wants an event with these texts, by place in [`FILTERED`].
    #[must_use]
    pub fn wants<'a>(&self, text: impl Fn(usize) -> &'a str) -> bool {
        self.lists_want(&text) && (self.topics.is_empty() || self.topics_want(&topic_of(&text)))
    }

    pub(super) fn topics_want(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| pattern.matches(topic))
    }

    /// As far as they are no topic.
    pub(super) fn lists_want<'a>(&self, text: impl Fn(usize) -> &'a str) -> bool {
        self.any_of.iter().zip(PLACES).all(|(any, place)| any.is_empty() || any.contains(text(place)))
    }
}

pub(super) fn topic_of<'a>(text: impl Fn(usize) -> &'a str) -> String {
    topic::of(text(0), text(1))
}

fn check(field: &str, count: usize, max: usize) -> Result<(), FilterError> {
    if count > max { Err(FilterError(format!("{field} has {count} entries, limit {max}"))) } else { Ok(()) }
}
