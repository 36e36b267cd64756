//! An aggregate over groups as one over everything: the form for queries without GROUP BY.

use arrow::array::{ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// One group.
pub(super) struct Single<G>(pub(super) G);

impl<G> std::fmt::Debug for Single<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Single")
    }
}

impl<G: GroupsAccumulator + Sync + 'static> Accumulator for Single<G> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.0.update_batch(values, &vec![0; rows], None::<&BooleanArray>, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.none_yet()?;
        ScalarValue::try_from_array(&self.0.evaluate(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.none_yet()?;
        self.0.state(EmitTo::All)?.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |states| states.len());
        self.0.merge_batch(states, &vec![0; rows], None::<&BooleanArray>, 1)
    }
}

impl<G: GroupsAccumulator> Single<G> {
    /// The group is there even when no batch came.
    fn none_yet(&mut self) -> Result<()> {
        self.0.merge_batch(&[], &[], None, 1)
    }
}
