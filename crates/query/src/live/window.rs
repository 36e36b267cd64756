//! One window: its groups, and what was folded of each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::OwnedRow;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use super::compile::{LiveQuery, evaluated, internal};
use crate::QueryError;

/// State of a window.
pub(super) struct Window {
    /// Groups in the order they came.
    keys: Vec<OwnedRow>,
    numbers: HashMap<OwnedRow, usize>,
    key_bytes: usize,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({} groups)", self.keys.len())
    }
}

impl Window {
    pub(super) fn new(query: &LiveQuery) -> Result<Self, QueryError> {
        let accumulators = query.aggregates.iter().map(|one| accumulator(&one.aggregate)).collect::<Result<_, _>>();
        let accumulators = accumulators.map_err(computing)?;
        Ok(Self { keys: Vec::new(), numbers: HashMap::new(), key_bytes: 0, accumulators })
    }

    pub(super) fn groups(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let folded: usize = self.accumulators.iter().map(|one| one.size()).sum();
        folded + self.key_bytes
    }

    /// Folds rows of this window.
    pub(super) fn add(&mut self, query: &LiveQuery, rows: &RecordBatch) -> Result<(), QueryError> {
        let keys = query.keys.convert_columns(&query.groups(rows)?).map_err(internal)?;
        let groups: Vec<_> = keys.iter().map(|key| self.number(key.owned())).collect();
        for (lowered, accumulator) in query.aggregates.iter().zip(&mut self.accumulators) {
            let arguments = lowered.aggregate.expressions();
            let arguments = arguments.iter().map(|argument| evaluated(argument, rows)).collect::<Result<Vec<_>, _>>()?;
            let filter = lowered.filter.as_ref().map(|filter| evaluated(filter, rows)).transpose()?;
            let filter = filter.as_ref().map(|filter| filter.as_boolean());
            accumulator.update_batch(&arguments, &groups, filter, self.keys.len()).map_err(computing)?;
        }
        Ok(())
    }

    fn number(&mut self, key: OwnedRow) -> usize {
        let next = self.keys.len();
        match self.numbers.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                // Twice: in the list and in the index.
                self.key_bytes += 2 * (new.key().as_ref().len() + size_of::<OwnedRow>()) + size_of::<usize>();
                self.keys.push(new.key().clone());
                *new.insert(next)
            }
        }
    }

    /// One row for each group, in the order of the groups' values.
    pub(super) fn rows(mut self, query: &LiveQuery, window: (i64, i64)) -> Result<RecordBatch, QueryError> {
        let mut columns = query.keys.convert_rows(self.keys.iter().map(OwnedRow::row)).map_err(internal)?;
        columns.truncate(query.group_columns());
        for accumulator in &mut self.accumulators {
            columns.push(accumulator.evaluate(EmitTo::All).map_err(computing)?);
        }
        let rows = query.selected(columns, window, self.keys.len())?;
        let mut order: Vec<u32> = (0..).take(self.keys.len()).collect();
        order.sort_by(|a, b| self.keys[*a as usize].cmp(&self.keys[*b as usize]));
        take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)
    }
}

/// DataFusion's accumulator over all groups of a window, where the aggregate has one, else one of its for each group.
fn accumulator(aggregate: &Arc<AggregateFunctionExpr>) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
    if aggregate.groups_accumulator_supported() {
        return aggregate.create_groups_accumulator();
    }
    let one = Arc::clone(aggregate);
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || one.create_accumulator())))
}

fn computing(error: DataFusionError) -> QueryError {
    QueryError::of(error, 0)
}
