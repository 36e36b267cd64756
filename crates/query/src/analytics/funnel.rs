//! How far actors get through steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::logical_expr::{AggregateUDF, Expr};
use datafusion::prelude::{DataFrame, col};
use watershed_schema::{Column, proto};

use super::attempt::{Mode, Rules, STEPS_MAX, Window};
use super::field::{Field, actor};
use super::range::Range;
use super::run::Analysis;
use super::source::Source;
use super::step::{Step, any_name};
use super::{POINTS_MAX, duration, filter};
use crate::QueryError;
use crate::functions::WindowFunnel;
use crate::functions::percentile::percentile;

#[derive(Debug)]
pub(crate) struct Funnel {
    steps: Vec<Step>,
    rules: Rules,
    actor: Expr,
    by: Option<Field>,
    filters: Vec<String>,
    pub(crate) range: Range,
}

/// Groups so far; whoever has no value is last.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<(bool, String), Group>,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Who got to each step, and not further.
    ended: Vec<u64>,
    /// Microseconds from the step before to each step.
    took_us: Vec<Vec<i64>>,
}

const ATTEMPT: &str = "_attempt";

fn word<T: Default>(what: &str, word: &str, of: fn(&str) -> Option<T>, words: &str) -> Result<T, QueryError> {
    if word.is_empty() {
        return Ok(T::default());
    }
    of(word).ok_or_else(|| QueryError::invalid(what, format!("{word:?} is none of {words}")))
}

impl Funnel {
    pub(crate) fn of(request: &proto::FunnelRequest, now_us: i64) -> Result<Self, QueryError> {
        if !(1..=STEPS_MAX).contains(&request.steps.len()) {
            return Err(QueryError::invalid("steps", format!("{} of them; 1 to {STEPS_MAX} are possible", request.steps.len())));
        }
        let steps = request.steps.iter().enumerate();
        let steps = steps.map(|(index, step)| Step::of(&format!("steps[{index}]"), Some(step))).collect::<Result<Vec<_>, _>>()?;
        let within_us = duration::parse(&request.within)
            .ok_or_else(|| QueryError::invalid("within", format!("{:?} is no duration: {}", request.within, duration::FORM)))?;
        let window = word("window", &request.window, Window::from_word, Window::WORDS)?;
        let mode = word("mode", &request.mode, Mode::from_word, Mode::WORDS)?;
        Ok(Self {
            rules: Rules { steps: steps.len(), within_us, window, mode },
            steps,
            actor: actor(&request.actor)?,
            by: if request.by.is_empty() { None } else { Some(Field::of("by", &request.by)?) },
            filters: filter::check("filters", &request.filters)?,
            range: Range::of(&request.since, &request.from, &request.to, now_us)?,
        })
    }

    fn conditions(&self, source: &Source) -> Result<Expr, QueryError> {
        let known = self.actor.clone().is_not_null();
        // Where nothing may lie between two steps, everything counts.
        let named = (self.rules.mode != Mode::StrictOrder).then(|| any_name(&self.steps));
        let filters = filter::all_of("filters", &self.filters, source)?;
        Ok(named.into_iter().chain(self.range.condition()).chain(filters).fold(known, |all, one| one.and(all)))
    }

    pub(crate) fn answer(&self, groups: Groups) -> Vec<proto::FunnelGroup> {
        let mut groups = groups.groups;
        if self.by.is_none() {
            groups.entry((true, String::new())).or_insert_with(|| self.nobody());
        }
        groups.into_iter().map(|((is_none, text), group)| self.told((!is_none).then_some(text), group)).collect()
    }

    fn nobody(&self) -> Group {
        Group { ended: vec![0; self.steps.len()], took_us: vec![Vec::new(); self.steps.len()] }
    }

    fn told(&self, group: Option<String>, mut counts: Group) -> proto::FunnelGroup {
        let reached = |step: usize| counts.ended[step..].iter().sum::<u64>();
        let share = |part: u64, all: u64| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let first = reached(0);
        let actors: Vec<u64> = (0..self.steps.len()).map(reached).collect();
        let told = |(step, name): (usize, &Step)| {
            let mut took: Vec<f64> =
                std::mem::take(&mut counts.took_us[step]).into_iter().map(|us| us as f64 / 1_000.0).collect();
            took.sort_unstable_by(f64::total_cmp);
            proto::FunnelStep {
                event: name.event.clone(),
                actors: actors[step],
                from_first: share(actors[step], first),
                from_previous: share(actors[step], if step == 0 { first } else { actors[step - 1] }),
                median_ms: percentile(&took, 0.5),
                p90_ms: percentile(&took, 0.9),
            }
        };
        proto::FunnelGroup { group, steps: self.steps.iter().enumerate().map(told).collect() }
    }
}

impl Analysis for Funnel {
    type Fold = Groups;

    fn plan(&self, source: &Source) -> Result<DataFrame, QueryError> {
        let of = |error| QueryError::of(error, 0);
        let steps = self.steps.iter().map(|step| step.condition(source)).collect::<Result<Vec<_>, _>>()?;
        let place = [Column::Timestamp, Column::Shard, Column::Sequence].map(|column| col(column.name()));
        let arguments = place.into_iter().chain(self.by.as_ref().map(Field::text)).chain(steps).collect();
        let attempt = Arc::new(AggregateUDF::from(WindowFunnel::attempt(self.rules, self.by.is_some())));
        let aggregates = std::iter::once(attempt.call(arguments).alias(ATTEMPT)).chain(source.tallies()).collect();
        let events = source.events.clone().filter(self.conditions(source)?).map_err(of)?;
        events.aggregate(vec![self.actor.clone().alias("_actor")], aggregates).map_err(of)
    }

    fn take(&self, groups: &mut Groups, rows: &RecordBatch) -> Result<(), QueryError> {
        let missing = || QueryError::Internal("the attempts are missing".to_owned());
        let attempts = rows.column_by_name(ATTEMPT).ok_or_else(missing)?.as_struct();
        let (times, splits) = (attempts.column(0).as_list::<i32>(), attempts.column(1).as_string::<i32>());
        let all = times.values().as_primitive::<Int64Type>().values();
        for (row, ends) in times.value_offsets().windows(2).enumerate() {
            let place = |end: i32| usize::try_from(end).expect("invariant: offsets are not negative");
            let times = &all[place(ends[0])..place(ends[1])];
            let Some(last) = times.len().checked_sub(1) else { continue };
            let key = if splits.is_valid(row) { (false, splits.value(row).to_owned()) } else { (true, String::new()) };
            groups.bytes += 8 * last;
            let group = groups.groups.entry(key).or_insert_with(|| {
                groups.bytes += 512 + self.steps.len() * 64;
                self.nobody()
            });
            group.ended[last] += 1;
            times.windows(2).enumerate().for_each(|(step, pair)| group.took_us[step + 1].push(pair[1] - pair[0]));
        }
        if groups.groups.len() * self.steps.len() <= POINTS_MAX {
            return Ok(());
        }
        Err(QueryError::invalid("by", format!("more than {} groups", POINTS_MAX / self.steps.len())))
    }

    /// Vectors grow to twice of what is in them, and are copied once to be put in order.
    fn bytes(&self, groups: &Groups) -> usize {
        groups.bytes * 3
    }
}
