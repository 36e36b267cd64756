//! Which events of a step a subscription wants.

use std::sync::Arc;

use watershed_actors::Filter;
use watershed_query::Condition;
use watershed_schema::wire::Malformed;
use watershed_schema::{EventBatch, Row, Seq, ShardId};

use crate::refusal::Refusal;

/// Events of one batch.
pub(crate) struct Found {
    /// Number of the batch's first event.
    pub(super) first: Seq,
    pub(super) batch: Arc<EventBatch>,
    /// Which rows, in order; there is at least one.
    pub(super) wanted: Vec<usize>,
}

impl Found {
    /// The events with their places.
    pub(super) fn rows(&self, shard: ShardId) -> impl Iterator<Item = (ShardId, Seq, Row<'_>)> {
        self.wanted.iter().map(move |index| (shard, Seq(self.first.0 + *index as u64), self.batch.row(*index)))
    }
}

/// What a subscription wants.
pub(super) struct Wanted {
    pub(super) filter: Arc<Filter>,
    pub(super) condition: Option<Condition>,
}

impl Wanted {
    /// Events of `[from, to)` that match.
    pub(super) fn found(
        &self,
        shard: ShardId,
        (from, to): (Seq, Seq),
        blocks: Vec<(Seq, Arc<EventBatch>)>,
    ) -> Result<Vec<Found>, Refusal> {
        let mut all = Vec::new();
        for (first, batch) in blocks {
            let wanted = self.filtered(from.0.saturating_sub(first.0), to.0.saturating_sub(first.0), &batch)?;
            let mut found = Found { first, batch, wanted };
            self.meet(shard, &mut found)?;
            if !found.wanted.is_empty() {
                all.push(found);
            }
        }
        Ok(all)
    }

    fn filtered(&self, from: u64, to: u64, batch: &EventBatch) -> Result<Vec<usize>, Refusal> {
        let damaged = |error: Malformed| Refusal::Internal(format!("row in the log: {error}"));
        let inside = |index: &usize| (from..to).contains(&(*index as u64));
        let mut wanted = Vec::new();
        for index in (0..batch.len()).filter(inside) {
            if self.filter.is_everything() || self.filter.wants(batch.texts(index).map_err(damaged)?) {
                wanted.push(index);
            }
        }
        Ok(wanted)
    }

    /// Keeps what meets the condition.
    fn meet(&self, shard: ShardId, found: &mut Found) -> Result<(), Refusal> {
        let Some(condition) = self.condition.as_ref().filter(|_| !found.wanted.is_empty()) else { return Ok(()) };
        let truth = condition.matches(found.rows(shard));
        let mut truth = truth.map_err(|error| Refusal::Invalid(format!("filter.where_sql: {error}")))?.into_iter();
        found.wanted.retain(|_| truth.next() == Some(true));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watershed_schema::batch::FILTERED;
    use watershed_schema::{BatchBuilder, Column, TenantId, proto};

    use super::*;

    const WORDS: [&[&str]; FILTERED.len()] =
        [&["log", "trace"], &["a", "b.c", ""], &["s1", "s2", ""], &["t1", "t2", ""], &["v1", ""]];

    /// Conditions that say something of the columns that filters look at, and of others.
    fn condition() -> impl Strategy<Value = String> {
        let place = 0..FILTERED.len();
        let atom = place.prop_flat_map(|place| {
            let (name, word) = (FILTERED[place].name(), prop::sample::select(WORDS[place]));
            prop_oneof![
                word.clone().prop_map(move |word| format!("{name} = '{word}'")),
                word.clone().prop_map(move |word| format!("'{word}' = {name}")),
                (word.clone(), word.clone()).prop_map(move |(one, other)| format!("{name} IN ('{one}', '{other}', NULL)")),
                (word.clone(), word.clone()).prop_map(move |(one, other)| format!("({name} = '{one}' OR {name} = '{other}')")),
                word.clone().prop_map(move |word| format!("{name} NOT IN ('{word}')")),
                word.prop_map(move |word| format!("{name} <> '{word}'")),
                Just(format!("{name} IS NULL")),
                Just("duration_ms > 1".to_owned()),
            ]
        });
        atom.prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} AND {right})")),
                2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} OR {right})")),
                1 => inner.prop_map(|one| format!("NOT ({one})")),
            ]
        })
    }

    fn filter() -> impl Strategy<Value = proto::Filter> {
        let topics = prop::sample::select(&[None, Some("*"), Some("log.**"), Some("trace.a"), Some("trace.b.>")][..]);
        let types = prop::sample::select(&[None, Some("log"), Some("trace")][..]);
        let list = |one: Option<&str>| one.map(str::to_owned).into_iter().collect::<Vec<_>>();
        (topics, types, condition()).prop_map(move |(topics, types, where_sql)| proto::Filter {
            topics: list(topics),
            event_types: list(types),
            where_sql,
            ..proto::Filter::default()
        })
    }

    /// Texts by place, and a duration; an empty text is there or is missing.
    type Event = ([&'static str; FILTERED.len()], bool, u8);

    fn event() -> impl Strategy<Value = Event> {
        let [kinds, names, services, traces, sessions] = WORDS.map(prop::sample::select);
        let texts = (kinds, names, services, traces, sessions).prop_map(|(a, b, c, d, e)| [a, b, c, d, e]);
        (texts, any::<bool>(), 0..3_u8)
    }

    fn batch(events: &[Event]) -> Arc<EventBatch> {
        let mut builder = BatchBuilder::new(TenantId::default(), 1_024);
        for (texts, empty_is_there, duration) in events {
            builder.row(None, |row| {
                for (column, text) in FILTERED.iter().zip(texts) {
                    if !text.is_empty() || *empty_is_there || *column == Column::EventName {
                        row.str(*column, text);
                    }
                }
                row.str(Column::Id, "x");
                row.int(Column::Timestamp, 1);
                row.float(Column::DurationMs, f64::from(*duration));
            });
        }
        Arc::new(builder.finish().unwrap())
    }

    /// What the hub's index finds by the narrowed filter is shown beside it; here, that nothing is narrowed away.
    fn found(filter: Filter, condition: &Condition, batch: &Arc<EventBatch>) -> Vec<usize> {
        let wanted = Wanted { filter: Arc::new(filter), condition: Some(condition.clone()) };
        let found = wanted.found(ShardId(0), (Seq(1), Seq(1_000)), vec![(Seq(1), Arc::clone(batch))]).unwrap();
        found.into_iter().flat_map(|one| one.wanted).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn a_filter_narrowed_by_its_condition_finds_what_both_find(
            wanted in filter(),
            events in prop::collection::vec(event(), 1..20),
        ) {
            let (condition, batch) = (Condition::compile(&wanted.where_sql).unwrap(), batch(&events));
            let plain = Filter::new(&wanted).unwrap();
            let narrowed = plain.clone().narrowed(condition.needs().iter().cloned());
            prop_assert_eq!(found(narrowed, &condition, &batch), found(plain, &condition, &batch));
        }
    }

    #[test]
    fn what_a_condition_asks_for_is_what_a_stream_is_woken_for() {
        let condition = Condition::compile("service_name = 's2' AND duration_ms >= 0").unwrap();
        let filter = Filter::new(&proto::Filter::default()).unwrap().narrowed(condition.needs().iter().cloned());
        let texts =
            |service: &'static str| move |place: usize| if FILTERED[place] == Column::ServiceName { service } else { "x" };
        assert!(filter.wants(texts("s2")) && !filter.wants(texts("s1")) && !filter.is_everything());
    }
}
