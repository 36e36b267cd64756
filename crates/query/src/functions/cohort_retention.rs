//! `cohort_retention('week 8', timestamp, is_anchor, is_activity)`: the cohort that the rows of a group belong to, and in
//! which periods after it there was activity.
//!
//! Words: day, week or month; how many periods; `rolling` to measure from the group's own first anchor.

mod groups;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};

use super::single::Single;
use super::time_bucket::time_type;
use super::words;
use crate::analytics::calendar::Grain;
use groups::CohortGroups;

/// How cohorts and their periods are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CohortRule {
    /// Day, week or month.
    pub(crate) grain: Grain,
    /// Periods that are looked at, the cohort's own included.
    pub(crate) periods: usize,
    /// From each actor's own anchor, not by the calendar.
    pub(crate) is_rolling: bool,
}

impl CohortRule {
    /// Most periods.
    pub(crate) const PERIODS_MAX: usize = 366;
    /// Words for the granularity.
    pub(crate) const GRAINS: &'static str = "day, week, month";

    /// The granularities that cohorts have.
    pub(crate) fn grain(word: &str) -> Option<Grain> {
        Grain::from_word(word).filter(|grain| matches!(grain, Grain::Day | Grain::Week | Grain::Month))
    }
}

/// The aggregate, for SQL and, with a rule that is checked already, for cohorts.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CohortRetention {
    signature: Signature,
    rule: Option<CohortRule>,
}

impl CohortRetention {
    pub(super) fn for_sql() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), rule: None }
    }

    /// Arguments are `timestamp, is_anchor, is_activity`.
    pub(crate) fn with(rule: CohortRule) -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), rule: Some(rule) }
    }

    /// Arguments before the time.
    fn first(&self) -> usize {
        usize::from(self.rule.is_none())
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<CohortGroups> {
        let rule = match self.rule {
            Some(rule) => rule,
            None => rule(&words::first(self.name(), args)?)?,
        };
        Ok(CohortGroups::new(rule, self.first()))
    }
}

fn rule(words: &str) -> Result<CohortRule> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let ([grain, periods] | [grain, periods, "rolling"]) = words[..] else {
        return exec_err!("cohort_retention: the first argument is like 'week 8' or 'week 8 rolling'");
    };
    let periods = periods.parse::<usize>().ok().filter(|periods| (1..=CohortRule::PERIODS_MAX).contains(periods));
    match (CohortRule::grain(grain), periods) {
        (Some(grain), Some(periods)) => Ok(CohortRule { grain, periods, is_rolling: words.len() == 3 }),
        _ => exec_err!(
            "cohort_retention: the first argument is {} and 1 to {} periods, like 'week 8'",
            CohortRule::GRAINS,
            CohortRule::PERIODS_MAX
        ),
    }
}

/// Beginning of the cohort's period, the first anchor, and whether there was activity in each period.
pub(super) fn fields() -> Fields {
    let active = Field::new_list("active", Field::new_list_field(DataType::Boolean, true), true);
    Fields::from(vec![Field::new("cohort", time_type(), true), Field::new("first", time_type(), true), active])
}

impl AggregateUDFImpl for CohortRetention {
    fn name(&self) -> &'static str {
        if self.rule.is_some() { "cohort_of" } else { "cohort_retention" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let mut types = vec![DataType::Utf8; self.first()];
        types.extend([time_type(), DataType::Boolean, DataType::Boolean]);
        if given.len() == types.len() {
            return Ok(types);
        }
        plan_err!("{}: takes 'week 8', timestamp, anchor and activity, not {} arguments", self.name(), given.len())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(self.groups(&args)?)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let named = |name| format_state_name(args.name, name);
        let activity = Field::new_list(named("activity"), Field::new_list_field(DataType::Int64, true), true);
        Ok(vec![Arc::new(Field::new(named("first"), DataType::Int64, true)), Arc::new(activity)])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }
}
