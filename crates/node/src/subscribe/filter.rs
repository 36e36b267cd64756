//! Which events a subscription wants.

use std::collections::HashSet;

use watershed_schema::topic::{self, Pattern};
use watershed_schema::wire::Malformed;
use watershed_schema::{Column, Projection, Row, TenantId, Value, proto};
use xxhash_rust::xxh3::xxh3_64;

use crate::refusal::Refusal;

const PATTERNS_MAX: usize = 1_000;
const VALUES_MAX: usize = 1_000;

const COLUMNS: [Column; 5] = [Column::EventType, Column::EventName, Column::ServiceName, Column::TraceId, Column::SessionId];

/// A compiled filter: topics AND types AND services AND traces AND sessions; an empty part is no condition.
pub(crate) struct Filter {
    topics: Vec<Pattern>,
    any_of: [HashSet<String>; 4],
    projection: Projection,
}

/// Where the parts of `any_of` stand among [`COLUMNS`].
const PLACES: [usize; 4] = [0, 2, 3, 4];

impl Filter {
    pub(crate) fn new(wanted: &proto::Filter) -> Result<Self, Refusal> {
        check("filter.topics", wanted.topics.len(), PATTERNS_MAX)?;
        let lists = [&wanted.event_types, &wanted.service_names, &wanted.trace_ids, &wanted.session_ids];
        let names = ["filter.event_types", "filter.service_names", "filter.trace_ids", "filter.session_ids"];
        for (list, name) in lists.iter().zip(names) {
            check(name, list.len(), VALUES_MAX)?;
        }
        let unknown = wanted.event_types.iter().find(|word| watershed_schema::EventType::from_word(word).is_none());
        if let Some(word) = unknown {
            return Err(Refusal::Invalid(format!("filter.event_types: `{word}` is no event type")));
        }
        let pattern = |text: &String| Pattern::parse(text).map_err(|error| Refusal::Invalid(format!("filter.topics: {error}")));
        let topics = wanted.topics.iter().map(pattern).collect::<Result<_, _>>()?;
        let any_of = lists.map(|list| list.iter().cloned().collect());
        Ok(Self { topics, any_of, projection: Projection::new(&COLUMNS) })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.topics.is_empty() && self.any_of.iter().all(HashSet::is_empty)
    }

    pub(crate) fn matches<'a>(&self, row: &Row<'a>, values: &mut Vec<Option<Value<'a>>>) -> Result<bool, Malformed> {
        row.project(&self.projection, values)?;
        let text = |place: usize| values[place].and_then(Value::as_str).unwrap_or("");
        let listed = self.any_of.iter().zip(PLACES).all(|(any, place)| any.is_empty() || any.contains(text(place)));
        if !listed || self.topics.is_empty() {
            return Ok(listed);
        }
        let topic = topic::of(text(0), text(1));
        Ok(self.topics.iter().any(|pattern| pattern.matches(&topic)))
    }
}

fn check(field: &str, count: usize, max: usize) -> Result<(), Refusal> {
    if count > max { Err(Refusal::Invalid(format!("{field} has {count} entries, limit {max}"))) } else { Ok(()) }
}

/// What a resume token is bound to: it resumes the same question only.
pub(crate) fn hash(tenant: &TenantId, wanted: &proto::Filter) -> u64 {
    let mut bytes = tenant.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.extend(prost::Message::encode_to_vec(wanted));
    xxh3_64(&bytes)
}
