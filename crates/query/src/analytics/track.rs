//! One aggregate over events of a name, split by a field and by time.

mod buckets;
mod measure;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, col, lit};
use watershed_schema::{Column, proto};

use super::calendar::Grain;
use super::field::Field;
use super::range::{self, Range};
use super::run::Analysis;
use super::source::Source;
use super::{POINTS_MAX, filter, step};
use crate::QueryError;
use crate::functions::TIME_BUCKET;
use measure::Measure;

#[derive(Debug)]
pub(crate) struct Track {
    event: String,
    measure: Measure,
    filters: Vec<String>,
    by: Option<Field>,
    every: Option<Grain>,
    pub(crate) range: Range,
}

/// A value before it is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    group: Option<String>,
    bucket: Option<i64>,
    value: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Points {
    points: Vec<Point>,
    text_bytes: usize,
}

const GROUP: &str = "_group";
const BUCKET: &str = "_bucket";

impl Track {
    pub(crate) fn of(request: &proto::TrackRequest, now_us: i64) -> Result<Self, QueryError> {
        step::check_name("event", &request.event)?;
        let every = match request.every.as_str() {
            "" => None,
            word => Some(
                Grain::from_word(word)
                    .ok_or_else(|| QueryError::invalid("every", format!("{word:?} is none of {}", Grain::WORDS)))?,
            ),
        };
        let by = if request.by.is_empty() { None } else { Some(Field::of("by", &request.by)?) };
        Ok(Self {
            event: request.event.clone(),
            measure: Measure::of(request)?,
            filters: filter::check("filters", &request.filters)?,
            by,
            every,
            range: Range::of(&request.since, &request.from, &request.to, now_us)?,
        })
    }

    fn conditions(&self, source: &Source) -> Result<Option<Expr>, QueryError> {
        let named = (!self.event.is_empty()).then(|| col(Column::EventName.name()).eq(lit(&self.event)));
        let filters = filter::all_of("filters", &self.filters, source)?;
        Ok(named.into_iter().chain(self.range.condition()).chain(filters).reduce(Expr::and))
    }

    /// In order, with what has no events filled in.
    pub(crate) fn answer(&self, points: Points, now_us: i64) -> Result<Vec<proto::TrackPoint>, QueryError> {
        let mut points = points.points;
        points.sort_by(|one, other| {
            (one.group.is_none(), &one.group, one.bucket).cmp(&(other.group.is_none(), &other.group, other.bucket))
        });
        if let Some(grain) = self.every {
            let empty = self.measure.of_nothing();
            points = buckets::filled(points, (grain, self.by.is_some()), buckets::Ends::of(&self.range, now_us), empty)?;
        }
        let told =
            |point: Point| proto::TrackPoint { group: point.group, bucket: point.bucket.map(range::text), value: point.value };
        Ok(points.into_iter().map(told).collect())
    }
}

impl Analysis for Track {
    type Fold = Points;

    fn plan(&self, source: &Source) -> Result<DataFrame, QueryError> {
        let of = |error| QueryError::of(error, 0);
        let events = source.events.clone();
        let events = match self.conditions(source)? {
            Some(conditions) => events.filter(conditions).map_err(of)?,
            None => events,
        };
        let by = self.by.as_ref().map(|field| field.text().alias(GROUP));
        let bucket = |grain: Grain| TIME_BUCKET.call(vec![lit(grain.as_str()), col(Column::Timestamp.name())]).alias(BUCKET);
        let groups = by.into_iter().chain(self.every.map(bucket)).collect();
        let aggregates = self.measure.aggregates()?.into_iter().chain(source.tallies()).collect();
        events.aggregate(groups, aggregates).map_err(of)
    }

    fn take(&self, points: &mut Points, rows: &RecordBatch) -> Result<(), QueryError> {
        let groups = rows.column_by_name(GROUP).map(|groups| groups.as_string::<i32>());
        let buckets = rows.column_by_name(BUCKET).map(|buckets| buckets.as_primitive::<TimestampMicrosecondType>());
        let values = self.measure.values(rows)?;
        for (row, value) in values.into_iter().enumerate() {
            if buckets.is_some_and(|buckets| buckets.is_null(row)) {
                continue;
            }
            let group = groups.filter(|groups| groups.is_valid(row)).map(|groups| groups.value(row).to_owned());
            points.text_bytes += group.as_ref().map_or(0, String::len);
            points.points.push(Point { group, bucket: buckets.map(|buckets| buckets.value(row)), value });
        }
        if points.points.len() <= POINTS_MAX {
            return Ok(());
        }
        let field = if self.by.is_some() { "by" } else { "every" };
        Err(QueryError::invalid(
            field,
            format!("more than {POINTS_MAX} values in the answer: ask for fewer groups or longer buckets"),
        ))
    }

    fn bytes(&self, points: &Points) -> usize {
        points.points.capacity() * size_of::<Point>() + points.text_bytes
    }
}
