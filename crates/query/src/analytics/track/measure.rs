//! What is summed up, and what becomes of its columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min};
use datafusion::logical_expr::{AggregateUDF, Expr};
use watershed_schema::proto;

use crate::QueryError;
use crate::analytics::field::Field;
use crate::functions::EXACT_SUM;
use crate::functions::percentile::Percentile;

#[derive(Debug, PartialEq)]
pub(super) enum Measure {
    Count,
    Sum(Field),
    Avg(Field),
    Min(Field),
    Max(Field),
    CountDistinct(Field),
    Percentile(Field, f64),
}

const WORDS: &str = "count, sum, avg, min, max, count_distinct, percentile";
const VALUE: &str = "_value";
const NUMBERS: &str = "_numbers";

impl Measure {
    pub(super) fn of(request: &proto::TrackRequest) -> Result<Self, QueryError> {
        let word = request.aggregate.as_str();
        let field = || match request.field.as_str() {
            "" => Err(QueryError::invalid("field", format!("is missing: {word} wants one"))),
            field => Field::of("field", field),
        };
        let measure = match word {
            "" | "count" if request.field.is_empty() => Self::Count,
            "" | "count" => return Err(QueryError::invalid("field", "is for aggregates other than count")),
            "sum" => Self::Sum(field()?),
            "avg" => Self::Avg(field()?),
            "min" => Self::Min(field()?),
            "max" => Self::Max(field()?),
            "count_distinct" => Self::CountDistinct(field()?),
            "percentile" => Self::Percentile(field()?, request.q),
            _ => return Err(QueryError::invalid("aggregate", format!("{word:?} is none of {WORDS}"))),
        };
        if !(0.0..=1.0).contains(&request.q) {
            return Err(QueryError::invalid("q", format!("{} is not between 0 and 1", request.q)));
        }
        if request.q != 0.0 && !matches!(measure, Self::Percentile(..)) {
            return Err(QueryError::invalid("q", "is for percentile alone"));
        }
        measure.aggregates().map(|_| measure)
    }

    pub(super) fn aggregates(&self) -> Result<Vec<Expr>, QueryError> {
        let number = |field: &Field| field.number("field");
        Ok(match self {
            Self::Count => Vec::new(),
            Self::Sum(field) => vec![EXACT_SUM.call(vec![number(field)?]).alias(VALUE)],
            Self::Avg(field) => {
                let value = number(field)?;
                vec![EXACT_SUM.call(vec![value.clone()]).alias(VALUE), count(value).alias(NUMBERS)]
            }
            Self::Min(field) => vec![min(number(field)?).alias(VALUE)],
            Self::Max(field) => vec![max(number(field)?).alias(VALUE)],
            Self::CountDistinct(field) => vec![count_distinct(field.text()).alias(VALUE)],
            Self::Percentile(field, part) => {
                let percentile = Arc::new(AggregateUDF::from(Percentile::at(*part)));
                vec![percentile.call(vec![number(field)?]).alias(VALUE)]
            }
        })
    }

    /// What it is of no events.
    pub(super) fn of_nothing(&self) -> Option<f64> {
        matches!(self, Self::Count | Self::Sum(_) | Self::CountDistinct(_)).then_some(0.0)
    }

    pub(super) fn values(&self, rows: &RecordBatch) -> Result<Vec<Option<f64>>, QueryError> {
        Ok(match self {
            Self::Count => counts(&column(rows, crate::analytics::source::EVENTS)?),
            Self::CountDistinct(_) => counts(&column(rows, VALUE)?),
            Self::Avg(_) => {
                let (sums, counts) = (doubles(&column(rows, VALUE)?), counts(&column(rows, NUMBERS)?));
                sums.into_iter().zip(counts).map(|(sum, count)| Some(sum? / count?)).collect()
            }
            Self::Sum(_) => doubles(&column(rows, VALUE)?).into_iter().map(|sum| sum.or(Some(0.0))).collect(),
            Self::Min(_) | Self::Max(_) | Self::Percentile(..) => doubles(&column(rows, VALUE)?),
        })
    }
}

fn column(rows: &RecordBatch, name: &str) -> Result<ArrayRef, QueryError> {
    rows.column_by_name(name).cloned().ok_or_else(|| QueryError::Internal(format!("column {name} is missing")))
}

fn doubles(values: &ArrayRef) -> Vec<Option<f64>> {
    values.as_primitive::<Float64Type>().iter().collect()
}

fn counts(values: &ArrayRef) -> Vec<Option<f64>> {
    values.as_primitive::<Int64Type>().iter().map(|count| count.map(|count| count as f64)).collect()
}
