//! Filters of many streams as one index: an event costs what matches it, not what is there.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use watershed_schema::EventBatch;
use watershed_schema::batch::FILTERED;
use watershed_schema::topic::Trie;
use watershed_schema::wire::Malformed;

use super::filter::{Filter, topic_of};

/// A filter is filed under one of its parts, the one that fewest events have ([`part`]). Who leaves costs the same however many
/// are filed under the same.
#[derive(Debug, Default)]
pub(super) struct Index {
    filters: HashMap<u64, Arc<Filter>>,
    topics: Trie<u64>,
    /// By place in [`FILTERED`], like [`Filter::any_of`].
    values: [HashMap<Box<str>, BTreeSet<u64>>; FILTERED.len()],
    everything: BTreeSet<u64>,
}

/// Where a filter is filed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Under each value of the list at this place.
    Values(usize),
    Topics,
    Everything,
}

/// Traces, sessions and names before topics, of which one may mean any number of events; then services and types.
const PLACES: [Part; 6] = [Part::Values(3), Part::Values(4), Part::Values(1), Part::Topics, Part::Values(2), Part::Values(0)];

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Once is as good as often.
    pub(super) fn insert(&mut self, id: u64, filter: Arc<Filter>) {
        if self.filters.contains_key(&id) {
            return;
        }
        match part(&filter) {
            Part::Values(place) => values(&filter, place).for_each(|value| {
                self.values[place].entry(value.as_str().into()).or_default().insert(id);
            }),
            Part::Topics => filter.topics.iter().for_each(|pattern| self.topics.insert(pattern, id)),
            Part::Everything => drop(self.everything.insert(id)),
        }
        self.filters.insert(id, filter);
    }

    pub(super) fn remove(&mut self, id: u64) {
        let Some(filter) = self.filters.remove(&id) else { return };
        match part(&filter) {
            Part::Values(place) => values(&filter, place).for_each(|value| forget(&mut self.values[place], value, id)),
            Part::Topics => filter.topics.iter().for_each(|pattern| self.topics.remove(pattern, id)),
            Part::Everything => drop(self.everything.remove(&id)),
        }
    }

    /// The streams that want an event of a batch, each once.
    pub(super) fn find(&self, batch: &EventBatch, row: usize, found: &mut Vec<u64>) -> Result<(), Malformed> {
        found.clear();
        found.extend(&self.everything);
        if self.everything.len() == self.filters.len() {
            return Ok(());
        }
        let text = batch.texts(row)?;
        for (place, by_value) in self.values.iter().enumerate() {
            found.extend(by_value.get(text(place)).into_iter().flatten());
        }
        if !self.topics.is_empty() {
            self.topics.find(&topic_of(text), found);
        }
        found.sort_unstable();
        found.dedup();
        // By what it is filed under it matches; the rest is still to be looked at.
        let topic = std::cell::OnceCell::new();
        found.retain(|id| {
            let wants = |filter: &Arc<Filter>| {
                let topics_want = || filter.topics_want(topic.get_or_init(|| topic_of(text)));
                let is_sure = matches!(part(filter), Part::Topics) || filter.topics.is_empty();
                filter.lists_want(text) && (is_sure || topics_want())
            };
            self.filters.get(id).is_some_and(wants)
        });
        Ok(())
    }
}

/// A list of nothing comes first: who wants nothing is filed nowhere.
fn part(filter: &Filter) -> Part {
    let has = |part: &Part| match part {
        Part::Values(place) => filter.any_of[*place].is_some(),
        Part::Topics => !filter.topics.is_empty(),
        Part::Everything => true,
    };
    let nothing = filter.any_of.iter().position(|any| any.as_ref().is_some_and(std::collections::HashSet::is_empty));
    nothing.map(Part::Values).or_else(|| PLACES.into_iter().find(has)).unwrap_or(Part::Everything)
}

fn values(filter: &Filter, place: usize) -> impl Iterator<Item = &String> {
    filter.any_of[place].iter().flatten()
}

fn forget<S: BuildHasher>(by_value: &mut HashMap<Box<str>, BTreeSet<u64>, S>, value: &str, id: u64) {
    let Some(ids) = by_value.get_mut(value) else { return };
    ids.remove(&id);
    if ids.is_empty() {
        by_value.remove(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watershed_schema::batch::FILTERED;
    use watershed_schema::{BatchBuilder, Column, TenantId, proto};

    use super::*;

    fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 0..3)
    }

    fn filter() -> impl Strategy<Value = Filter> {
        (wanted(), needs()).prop_map(|(wanted, needs)| Filter::new(&wanted).unwrap().narrowed(needs))
    }

    /// What a condition asks for, which may contradict the lists, and be nothing.
    fn needs() -> impl Strategy<Value = Vec<(Column, BTreeSet<String>)>> {
        let texts = some(&["log", "trace", "a", "b.c", "s1", "t1", "v1", ""]).prop_map(BTreeSet::from_iter);
        prop::collection::vec((prop::sample::select(&FILTERED[..]), texts), 0..3)
    }

    fn wanted() -> impl Strategy<Value = proto::Filter> {
        let topics = some(&["*", "log.**", "log.*", "trace.a", "trace.b.>", "track.*"]);
        (topics, some(&["log", "trace"]), some(&["s1", "s2"]), some(&["t1", "t2"]), some(&["v1"])).prop_map(
            |(topics, event_types, service_names, trace_ids, session_ids)| proto::Filter {
                topics,
                event_types,
                service_names,
                trace_ids,
                session_ids,
                ..proto::Filter::default()
            },
        )
    }

    fn event() -> impl Strategy<Value = [&'static str; 5]> {
        let word = |of: &'static [&'static str]| prop::sample::select(of);
        (word(&["log", "trace"]), word(&["a", "b.c", "b"]), word(&["", "s1"]), word(&["", "t1", "t2"]), word(&["", "v1"]))
            .prop_map(|(kind, name, service, trace, session)| [kind, name, service, trace, session])
    }

    /// A look at each of the others for each one that leaves would be 10 000 million looks.
    #[test]
    fn to_leave_costs_the_same_however_many_are_filed_under_the_same() {
        const COUNT: u64 = 100_000;
        let session = proto::Filter { session_ids: vec!["s".to_owned()], ..proto::Filter::default() };
        for wanted in [session, proto::Filter::default()] {
            let (mut index, filter) = (Index::default(), Arc::new(Filter::new(&wanted).unwrap()));
            (0..COUNT).for_each(|id| index.insert(id, Arc::clone(&filter)));
            let began = std::time::Instant::now();
            (0..COUNT).for_each(|id| index.remove(id));
            assert!(index.is_empty() && began.elapsed().as_secs() < 10, "{wanted:?} took {:?}", began.elapsed());
        }
    }

    #[test]
    fn who_wants_nothing_is_not_looked_at() {
        let mut index = Index::default();
        let wanted = proto::Filter { event_types: vec!["log".to_owned()], ..proto::Filter::default() };
        let nothing = Filter::new(&wanted).unwrap().narrowed([(Column::EventType, BTreeSet::from(["trace".to_owned()]))]);
        index.insert(1, Arc::new(nothing));
        assert!(!index.is_empty() && index.values.iter().all(HashMap::is_empty) && index.everything.is_empty());
    }

    proptest! {
        #[test]
        fn it_finds_what_each_filter_by_itself_would_take(
            filters in prop::collection::vec(filter(), 1..30),
            events in prop::collection::vec(event(), 1..30),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let filters: Vec<_> = filters.into_iter().map(Arc::new).collect();
            let mut index = Index::default();
            (0..).zip(&filters).for_each(|(id, filter)| index.insert(id, Arc::clone(filter)));
            let gone: Vec<_> = gone.iter().map(|one| one.index(filters.len())).collect();
            gone.iter().for_each(|id| index.remove(*id as u64));
            let mut builder = BatchBuilder::new(TenantId::default(), 1_024);
            for event in &events {
                builder.row(None, |row| {
                    FILTERED.iter().zip(event).filter(|(_, text)| !text.is_empty()).for_each(|(column, text)| row.str(*column, text));
                    row.str(Column::Id, "x");
                    row.int(Column::Timestamp, 1);
                });
            }
            let batch = builder.finish().unwrap();
            let mut found = Vec::new();
            for row in 0..batch.len() {
                index.find(&batch, row, &mut found).unwrap();
                let takes = |id: &usize| !gone.contains(id) && filters[*id].wants(batch.texts(row).unwrap());
                let expected: Vec<_> = (0..filters.len()).filter(takes).map(|id| id as u64).collect();
                prop_assert_eq!(&found, &expected);
            }
            (0..filters.len()).for_each(|id| index.remove(id as u64));
            prop_assert!(index.is_empty() && index.topics.is_empty() && index.values.iter().all(HashMap::is_empty));
        }
    }
}
