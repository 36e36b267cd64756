//! `exact_sum(double)`: the sum of doubles, rounded once at the end, so that it is the same whatever order they come in.
//!
//! The running sum is a list of doubles that do not overlap (Shewchuk 1997, the method of Python's `math.fsum`).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

pub(super) fn function() -> AggregateUDF {
    ExactSum { signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    signature: Signature,
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &'static str {
        "exact_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<Sum>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = Field::new_list(format_state_name(args.name, "parts"), Field::new_list_field(DataType::Float64, true), true);
        Ok(vec![Arc::new(parts)])
    }
}

#[derive(Debug, Default)]
struct Sum {
    /// Smallest first; no bit of one overlaps another's.
    parts: Vec<f64>,
    /// Infinities and what is no number, as they add up.
    special: Option<f64>,
    any: bool,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.any = true;
        if !value.is_finite() {
            self.special = Some(self.special.unwrap_or(0.0) + value);
            return;
        }
        let (mut rest, mut kept) = (value, 0);
        for index in 0..self.parts.len() {
            let part = self.parts[index];
            let (large, small) = if rest.abs() < part.abs() { (part, rest) } else { (rest, part) };
            let high = large + small;
            let low = small - (high - large);
            if low != 0.0 {
                self.parts[kept] = low;
                kept += 1;
            }
            rest = high;
        }
        self.parts.truncate(kept);
        if rest.is_finite() {
            self.parts.push(rest);
        } else {
            self.special = Some(rest);
        }
    }

    fn value(&self) -> Option<f64> {
        if !self.any || self.special.is_some() {
            return self.special;
        }
        let mut parts = self.parts.iter().rev().copied();
        let (mut high, mut low) = (parts.next().unwrap_or(0.0), 0.0);
        for part in parts.by_ref() {
            let before = high;
            high = before + part;
            low = part - (high - before);
            if low != 0.0 {
                break;
            }
        }
        // Half-way between two doubles, the next part says which way to round.
        if parts.next().is_some_and(|next| (low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0)) {
            let (twice, rounded) = (low * 2.0, high + low * 2.0);
            if twice == rounded - high {
                high = rounded;
            }
        }
        Some(high)
    }
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.value()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.parts.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = self.parts.iter().copied().chain(self.special).map(|part| ScalarValue::Float64(Some(part)));
        let zero = (self.any && self.parts.is_empty() && self.special.is_none()).then_some(ScalarValue::Float64(Some(0.0)));
        let parts: Vec<_> = parts.chain(zero).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&parts, &DataType::Float64))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            list.as_primitive::<Float64Type>().iter().flatten().for_each(|part| self.add(part));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut sum = Sum::default();
        values.into_iter().for_each(|value| sum.add(value));
        sum.value()
    }

    #[test]
    fn order_does_not_matter() {
        let values: Vec<f64> = (1..2000).map(|n| 1.0 / f64::from(n) * if n % 3 == 0 { -1e12 } else { 1e-3 }).collect();
        let plain = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        assert_ne!(
            plain(&mut values.iter().copied()),
            plain(&mut values.iter().rev().copied()),
            "the test would be worth nothing"
        );
        assert_eq!(sum(values.iter().copied()), sum(values.iter().rev().copied()));
    }

    #[test]
    fn known_sums() {
        assert_eq!(sum([0.1; 10]), Some(1.0));
        assert_eq!(sum([1e16, 1.0, -1e16]), Some(1.0));
        assert_eq!(sum([1.0, 2f64.powi(-53), 2f64.powi(-200)]), Some(1.0 + f64::EPSILON), "half-way, and a little more");
        assert_eq!((sum([]), sum([0.0, -0.0]), sum([3.0, -3.0])), (None, Some(0.0), Some(0.0)));
        assert_eq!(sum([1.0, f64::INFINITY]), Some(f64::INFINITY));
        assert!(sum([f64::NEG_INFINITY, f64::INFINITY]).is_some_and(f64::is_nan));
    }

    #[test]
    fn partial_sums_merge_to_the_same() {
        let values: Vec<f64> = (0..1000).map(|n| f64::from(n).sin() * 10f64.powi(n % 30)).collect();
        let mut merged = Sum::default();
        for chunk in values.chunks(7) {
            let mut part = Sum::default();
            chunk.iter().for_each(|value| part.add(*value));
            let state = part.state().expect("a state");
            merged.merge_batch(&[state[0].to_array().expect("an array")]).expect("merges");
        }
        assert_eq!(merged.value(), sum(values));
    }
}
