//! Metrics: one event for each data point of all five kinds.

mod point;

use watershed_schema::Shared;
use watershed_schema::wire::{Fields, Malformed, Raw};

use super::{Fault, Work, walk};
use crate::InvalidRequest;
use crate::system::EventTime;
use point::Point;

/// What the points of a metric have in common.
#[derive(Default)]
pub(super) struct Metric<'a> {
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    kind: Kind,
    temporality: u64,
    monotonic: bool,
    points: Vec<&'a [u8]>,
    /// Encoded `KeyValue`s.
    metadata: Vec<&'a [u8]>,
}

/// The metric's oneof; the number is its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Gauge = 5,
    Sum = 7,
    Histogram = 9,
    ExponentialHistogram = 10,
    Summary = 11,
}

const KINDS: [Kind; 5] = [Kind::Gauge, Kind::Sum, Kind::Histogram, Kind::ExponentialHistogram, Kind::Summary];

/// Writes the points of one `Metric`.
pub(super) fn metric(message: &[u8], shared: Shared, work: &mut Work<'_>) -> Result<(), InvalidRequest> {
    let (metric, fault) = parse(message)?;
    work.check_room(metric.points.len())?;
    for raw in &metric.points {
        // Each point repeats what its metric says: a long description is multiplied.
        work.builder.check()?;
        let index = work.next_ordinal();
        let point = match &fault {
            Some(fault) => Err(fault.clone()),
            None => Point::of(metric.kind, raw)?,
        };
        match point {
            Ok(point) => write(&metric, &point, index, shared, work),
            Err(fault) => work.reject(index, fault),
        }
    }
    Ok(())
}

fn write(metric: &Metric<'_>, point: &Point<'_>, index: u64, shared: Shared, work: &mut Work<'_>) {
    work.dropped_attributes += point.all_dropped();
    let (id, time) = (work.digest.id(index), EventTime::of(point.time_ns, work.context));
    work.builder.row(Some(shared), |row| point.write(metric, &id, time, row));
}

fn parse(message: &[u8]) -> Result<(Metric<'_>, Option<Fault>), Malformed> {
    let mut metric = Metric::default();
    let mut fault = None;
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        let Raw::Bytes(bytes) = raw else { continue };
        let taken = match field {
            1 => walk::text("name", bytes).map(|text| metric.name = text),
            2 => walk::text("description", bytes).map(|text| metric.description = text),
            3 => walk::text("unit", bytes).map(|text| metric.unit = text),
            12 => walk::Attribute::of(bytes).map(|_| metric.metadata.push(bytes)),
            _ => {
                metric.take_kind(field, bytes)?;
                Ok(())
            }
        };
        fault = fault.or(taken.err());
    }
    Ok((metric, fault))
}

impl<'a> Metric<'a> {
    fn take_kind(&mut self, field: u32, message: &'a [u8]) -> Result<(), Malformed> {
        let Some(kind) = KINDS.into_iter().find(|kind| *kind as u32 == field) else { return Ok(()) };
        self.kind = kind;
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Bytes(point)) => self.points.push(point),
                (2, Raw::Varint(number)) => self.temporality = number,
                (3, Raw::Varint(number)) => self.monotonic = number != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// The word in `metric_type`: a sum that may fall is a gauge.
    fn type_word(&self) -> &'static str {
        match self.kind {
            Kind::Sum if self.monotonic => "counter",
            Kind::Gauge | Kind::Sum => "gauge",
            Kind::Histogram | Kind::ExponentialHistogram => "histogram",
            Kind::Summary => "summary",
        }
    }

    /// The kind as OTLP calls it: `metric_type` alone does not tell it.
    fn kind_word(&self) -> &'static str {
        match self.kind {
            Kind::Gauge => "gauge",
            Kind::Sum => "sum",
            Kind::Histogram => "histogram",
            Kind::ExponentialHistogram => "exponential_histogram",
            Kind::Summary => "summary",
        }
    }
}
