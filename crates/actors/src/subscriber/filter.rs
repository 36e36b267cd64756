//! Which events a subscription wants.

use std::collections::{BTreeSet, HashSet};

use watershed_schema::batch::FILTERED;
use watershed_schema::topic::{self, Pattern};
use watershed_schema::{Column, EventType, proto};

const PATTERNS_MAX: usize = 1_000;
const VALUES_MAX: usize = 1_000;

/// A filter that cannot be used; names the field and the limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

/// A compiled filter: one of the topics AND, of each column that filters look at, one of some texts; no topics and no list are
/// no condition.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) topics: Box<[Pattern]>,
    /// By place in [`FILTERED`]. A list of nothing: nothing is wanted.
    pub(super) any_of: [Option<HashSet<String>>; FILTERED.len()],
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
        let mut topics = wanted.topics.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        if topics.iter().any(Pattern::is_everything) {
            topics.clear();
        }
        let [types, services, traces, sessions] =
            lists.map(|list| (!list.is_empty()).then(|| list.iter().cloned().collect::<HashSet<_>>()));
        Ok(Self { topics: topics.into(), any_of: [types, None, services, traces, sessions] })
    }

    /// The same, of events that also have one of the values in each of these columns, as far as they are of [`FILTERED`]:
    /// what a condition that the filter does not know asks of an event, so that it is found by it.
    #[must_use]
    pub fn narrowed(mut self, needs: impl IntoIterator<Item = (Column, BTreeSet<String>)>) -> Self {
        for (column, values) in needs {
            let Some(place) = FILTERED.iter().position(|filtered| *filtered == column) else { continue };
            let is_known = |value: &String| self.any_of[place].as_ref().is_none_or(|known| known.contains(value));
            self.any_of[place] = Some(values.into_iter().filter(is_known).collect());
        }
        self
    }

    /// Whether there is no condition.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.topics.is_empty() && self.any_of.iter().all(Option::is_none)
    }

    /// Lists of which one value each must be there, for who can leave out events early; not those that want an event without
    /// one, too.
    pub fn lists(&self) -> impl Iterator<Item = (Column, &HashSet<String>)> {
        let lists = FILTERED.into_iter().zip(&self.any_of).filter_map(|(column, any)| Some((column, any.as_ref()?)));
        lists.filter(|(_, any)| !any.is_empty() && !any.contains(""))
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
        let wants = |(place, any): (usize, &Option<HashSet<String>>)| any.as_ref().is_none_or(|any| any.contains(text(place)));
        self.any_of.iter().enumerate().all(wants)
    }
}

pub(super) fn topic_of<'a>(text: impl Fn(usize) -> &'a str) -> String {
    topic::of(text(0), text(1))
}

fn check(field: &str, count: usize, max: usize) -> Result<(), FilterError> {
    if count > max { Err(FilterError(format!("{field} has {count} entries, limit {max}"))) } else { Ok(()) }
}
