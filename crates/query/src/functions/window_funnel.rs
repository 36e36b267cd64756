//! `window_funnel('1h', timestamp, _shard, _seq, step1, step2, …)`: how many steps the rows of a group reach in order.
//!
//! Behind the duration may stand a mode (`strict_order`, `strict_increase`) and `step`, for a window from step to step.

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
use crate::analytics::attempt::{Mode, Rules, STEPS_MAX, Window};
use crate::analytics::duration;
use groups::{FunnelGroups, Layout};

/// The aggregate, for SQL and, with rules that are checked already, for funnels.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowFunnel {
    signature: Signature,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Words first; the answer is the number of steps.
    Sql,
    /// The answer is the attempt: times of its steps and, if it is split by a text, the first step's.
    Attempt { rules: Rules, is_split: bool },
}

impl WindowFunnel {
    pub(super) fn for_sql() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), form: Form::Sql }
    }

    /// Arguments are `timestamp, _shard, _seq`, the text to split by if there is one, and the steps.
    pub(crate) fn attempt(rules: Rules, is_split: bool) -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), form: Form::Attempt { rules, is_split } }
    }

    fn layout(&self) -> Layout {
        match self.form {
            Form::Sql => Layout { first: 1, is_split: false, is_attempt: false },
            Form::Attempt { is_split, .. } => Layout { first: 0, is_split, is_attempt: true },
        }
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<FunnelGroups> {
        let rules = match self.form {
            Form::Attempt { rules, .. } => rules,
            Form::Sql => rules(&words::first(self.name(), args)?, args.exprs.len() - self.layout().steps())?,
        };
        Ok(FunnelGroups::new(rules, self.layout()))
    }
}

/// Times of the steps, and the text of the first one's event.
pub(super) fn attempt_fields() -> Fields {
    let times = Field::new_list("times", Field::new_list_field(DataType::Int64, true), false);
    Fields::from(vec![times, Field::new("split", DataType::Utf8, true)])
}

fn rules(words: &str, steps: usize) -> Result<Rules> {
    let mut words = words.split_whitespace();
    let Some(within_us) = words.next().and_then(duration::parse) else {
        return exec_err!("window_funnel: the first word is a duration, {}", duration::FORM);
    };
    let mut rules = Rules { steps, within_us, window: Window::First, mode: Mode::Ordered };
    for word in words {
        match (Mode::from_word(word), Window::from_word(word)) {
            (Some(mode), _) => rules.mode = mode,
            (None, Some(window)) => rules.window = window,
            (None, None) => {
                return exec_err!("window_funnel: {word:?} is neither a mode ({}) nor a window ({})", Mode::WORDS, Window::WORDS);
            }
        }
    }
    Ok(rules)
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &'static str {
        match self.form {
            Form::Sql => "window_funnel",
            Form::Attempt { .. } => "funnel_attempt",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let mut types = vec![DataType::Utf8; self.layout().first];
        types.extend([time_type(), DataType::Int32, DataType::Int64]);
        types.extend(vec![DataType::Utf8; usize::from(self.layout().is_split)]);
        let steps = given.len().saturating_sub(types.len());
        if steps == 0 || steps > STEPS_MAX {
            return plan_err!(
                "{}: takes '1h', timestamp, _shard, _seq and 1 to {STEPS_MAX} steps, not {} arguments",
                self.name(),
                given.len()
            );
        }
        types.extend(vec![DataType::Boolean; steps]);
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.form {
            Form::Sql => DataType::Int64,
            Form::Attempt { .. } => DataType::Struct(attempt_fields()),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(self.groups(&args)?)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list =
            |name, kind| Arc::new(Field::new_list(format_state_name(args.name, name), Field::new_list_field(kind, true), true));
        let mut fields = vec![
            list("times", DataType::Int64),
            list("shards", DataType::Int32),
            list("seqs", DataType::Int64),
            list("steps", DataType::UInt32),
        ];
        if self.layout().is_split {
            fields.push(list("splits", DataType::Utf8));
        }
        Ok(fields)
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }
}
