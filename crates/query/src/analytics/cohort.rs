//! Who comes back: cohorts by the period of the first anchor, and their activity afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::logical_expr::{AggregateUDF, Expr};
use datafusion::prelude::{DataFrame, col};
use watershed_schema::{Column, proto};

use super::calendar::Grain;
use super::field::actor;
use super::range::{self, Range};
use super::run::Analysis;
use super::source::Source;
use super::step::{Step, any_name};
use super::{POINTS_MAX, filter};
use crate::QueryError;
use crate::functions::{CohortRetention, CohortRule};

#[derive(Debug)]
pub(crate) struct CohortSpec {
    anchor: Step,
    activity: Step,
    rule: CohortRule,
    actor: Expr,
    filters: Vec<String>,
    pub(crate) range: Range,
}

/// By the beginning of their period, microseconds.
#[derive(Debug, Default)]
pub(crate) struct Cohorts(BTreeMap<i64, Counts>);

#[derive(Clone, Debug)]
struct Counts {
    actors: u64,
    /// The last actor's first anchor.
    newest_us: i64,
    active: Vec<u64>,
}

const COHORT: &str = "_cohort";

impl CohortSpec {
    pub(crate) fn of(request: &proto::CohortRequest, now_us: i64) -> Result<Self, QueryError> {
        let grain = match request.granularity.as_str() {
            "" => Grain::Week,
            word => CohortRule::grain(word)
                .ok_or_else(|| QueryError::invalid("granularity", format!("{word:?} is none of {}", CohortRule::GRAINS)))?,
        };
        let most = CohortRule::PERIODS_MAX;
        let periods = usize::try_from(request.periods).ok().filter(|periods| (1..=most).contains(periods));
        let periods =
            periods.ok_or_else(|| QueryError::invalid("periods", format!("{} is not between 1 and {most}", request.periods)))?;
        Ok(Self {
            anchor: Step::of("anchor", request.anchor.as_ref())?,
            activity: Step::of("activity", request.activity.as_ref())?,
            rule: CohortRule { grain, periods, is_rolling: request.rolling },
            actor: actor(&request.actor)?,
            filters: filter::check("filters", &request.filters)?,
            range: Range::of(&request.since, &request.from, &request.to, now_us)?,
        })
    }

    pub(crate) fn answer(&self, cohorts: Cohorts, now_us: i64) -> Vec<proto::Cohort> {
        let told = |(start_us, counts): (i64, Counts)| {
            let entry = |(period, active): (usize, &u64)| proto::CohortEntry {
                actors: *active,
                share: *active as f64 / counts.actors as f64,
                incomplete: self.end_us(start_us, counts.newest_us, period) > self.seen_below_us(now_us),
            };
            let entries = counts.active.iter().enumerate().map(entry).collect();
            proto::Cohort { start: range::text(start_us), actors: counts.actors, entries }
        };
        cohorts.0.into_iter().map(told).collect()
    }

    /// Behind the last moment whose events are all there.
    fn seen_below_us(&self, now_us: i64) -> i64 {
        self.range.to_us.map_or(now_us, |to_us| now_us.min(to_us.saturating_add(1)))
    }

    /// When a period is over for everybody in the cohort.
    fn end_us(&self, start_us: i64, newest_us: i64, period: usize) -> i64 {
        let (grain, after) = (self.rule.grain, i64::try_from(period).unwrap_or(i64::MAX) + 1);
        if self.rule.is_rolling {
            newest_us.saturating_add(after * grain.rolling_us())
        } else {
            grain.start(grain.index(start_us) + after)
        }
    }
}

impl Analysis for CohortSpec {
    type Fold = Cohorts;

    fn plan(&self, source: &Source) -> Result<DataFrame, QueryError> {
        let of = |error| QueryError::of(error, 0);
        let arguments = vec![col(Column::Timestamp.name()), self.anchor.condition(source)?, self.activity.condition(source)?];
        let cohort = Arc::new(AggregateUDF::from(CohortRetention::with(self.rule))).call(arguments).alias(COHORT);
        let filters = filter::all_of("filters", &self.filters, source)?;
        let known = self.actor.clone().is_not_null();
        let names = any_name([&self.anchor, &self.activity]);
        let conditions = self.range.condition().into_iter().chain(filters).fold(names, Expr::and).and(known);
        let aggregates = std::iter::once(cohort).chain(source.tallies()).collect();
        let events = source.events.clone().filter(conditions).map_err(of)?;
        events.aggregate(vec![self.actor.clone().alias("_actor")], aggregates).map_err(of)
    }

    fn take(&self, cohorts: &mut Cohorts, rows: &RecordBatch) -> Result<(), QueryError> {
        let missing = || QueryError::Internal("the cohorts are missing".to_owned());
        let found = rows.column_by_name(COHORT).ok_or_else(missing)?.as_struct();
        let (starts, firsts) = (found.column(0), found.column(1));
        let starts = starts.as_primitive::<TimestampMicrosecondType>();
        let firsts = firsts.as_primitive::<TimestampMicrosecondType>();
        let active = found.column(2).as_list::<i32>();
        for row in (0..rows.num_rows()).filter(|row| found.is_valid(*row)) {
            let empty = || Counts { actors: 0, newest_us: i64::MIN, active: vec![0; self.rule.periods] };
            let counts = cohorts.0.entry(starts.value(row)).or_insert_with(empty);
            counts.actors += 1;
            counts.newest_us = counts.newest_us.max(firsts.value(row));
            let periods = active.value(row);
            periods.as_boolean().values().set_indices().for_each(|period| counts.active[period] += 1);
        }
        if cohorts.0.len() * self.rule.periods <= POINTS_MAX {
            return Ok(());
        }
        Err(QueryError::invalid("periods", format!("more than {POINTS_MAX} values in the answer: ask for a shorter time")))
    }

    fn bytes(&self, cohorts: &Cohorts) -> usize {
        cohorts.0.len() * (size_of::<Counts>() + 64 + self.rule.periods * size_of::<u64>())
    }
}
