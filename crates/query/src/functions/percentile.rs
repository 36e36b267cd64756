//! `exact_percentile`: the value below which a part of all lies, interpolated between the two nearest as `percentile_cont`
//! of the SQL standard, in doubles (DataFusion's rounds the place between them).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use super::arena::{Arena, Grouped};
use super::single::Single;

/// The aggregate of doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Percentile {
    signature: Signature,
    /// Bits of a double between 0 and 1.
    part: u64,
}

impl Percentile {
    pub(crate) fn at(part: f64) -> Self {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        Self { signature, part: part.to_bits() }
    }

    fn groups(&self) -> Values {
        Values { part: f64::from_bits(self.part), arena: Arena::new() }
    }
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &'static str {
        "exact_percentile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(self.groups())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "values");
        Ok(vec![Arc::new(Field::new_list(name, Field::new_list_field(DataType::Float64, true), true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}

/// Where `part` of the sorted values lie below; `None` of none.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the slice")]
    let below = (place.floor() as usize).min(last);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    Some(low + (high - low) * (place - place.floor()))
}

struct Values {
    part: f64,
    arena: Arena<f64>,
}

fn state(grouped: &Grouped<f64>) -> ArrayRef {
    let values = Float64Array::from_iter_values(grouped.column(|value| *value));
    let field = Arc::new(Field::new_list_field(DataType::Float64, true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(grouped.lengths()), Arc::new(values), None))
}

impl GroupsAccumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.arena.grow(total);
        let values = values[0].as_primitive::<Float64Type>();
        let counts = |row: usize| values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let mut rows = groups.iter().enumerate().filter(|(row, _)| counts(*row));
        rows.try_for_each(|(row, group)| self.arena.push(*group, values.value(row)))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], _: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.arena.grow(total);
        let Some(lists) = states.first().map(|lists| lists.as_list::<i32>()) else { return Ok(()) };
        for (row, group) in groups.iter().enumerate() {
            for value in lists.value(row).as_primitive::<Float64Type>().values() {
                self.arena.push(*group, *value)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let grouped = self.arena.take(emit);
        let mut sorted = Vec::new();
        let values = grouped.groups().map(|group| {
            sorted.clear();
            sorted.extend(group.iter().map(|index| grouped.rows[*index as usize]));
            sorted.sort_unstable_by(f64::total_cmp);
            percentile(&sorted, self.part)
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![state(&self.arena.take(emit))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.arena.size() + self.arena.longest_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn between_two_values_it_is_on_the_way() {
        assert_eq!((percentile(&[], 0.5), percentile(&[7.0], 0.9)), (None, Some(7.0)));
        assert_eq!((percentile(&[1.0, 2.0], 0.5), percentile(&[1.0, 2.0, 4.0], 0.75)), (Some(1.5), Some(3.0)));
        assert_eq!((percentile(&[1.0, 9.0], 0.0), percentile(&[1.0, 9.0], 1.0)), (Some(1.0), Some(9.0)));
    }
}
