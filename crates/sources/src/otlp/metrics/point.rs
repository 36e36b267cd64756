//! A data point of any kind: the same facts under other field numbers.

use std::fmt::Write as _;

use watershed_schema::wire::{Fields, Malformed, Raw};
use watershed_schema::{Column, EventWriter, KeyValueWriter};

use super::super::Fault;
use super::super::attributes::{Attributes, as_text, of_record};
use super::super::resource::{copy, count};
use super::{Kind, Metric};
use crate::ids::{Id, hex};
use crate::system::EventTime;

#[derive(Default)]
pub(super) struct Point<'a> {
    pub(super) time_ns: u64,
    start_ns: u64,
    attributes: Attributes<'a>,
    value: Option<Number>,
    count: Option<u64>,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bounds: Vec<f64>,
    counts: Vec<u64>,
    quantiles: Vec<(f64, f64)>,
    scale: i64,
    zero_count: u64,
    zero_threshold: f64,
    positive: Option<Buckets>,
    negative: Option<Buckets>,
    exemplars: Vec<&'a [u8]>,
    /// Attributes of exemplars above the limit.
    exemplars_dropped: u64,
    flags: u64,
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Double(f64),
}

#[derive(Default)]
struct Buckets {
    offset: i64,
    counts: Vec<u64>,
}

impl<'a> Point<'a> {
    /// Outer error: not protobuf. Inner error: a point that breaks a rule.
    pub(super) fn of(kind: Kind, message: &'a [u8]) -> Result<Result<Self, Fault>, Malformed> {
        let mut point = Self::default();
        let mut fault = None;
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field()? {
            let taken = match kind {
                Kind::Gauge | Kind::Sum => point.take_number(field, raw),
                Kind::Histogram => point.take_histogram(field, raw)?,
                Kind::ExponentialHistogram => point.take_exponential(field, raw)?,
                Kind::Summary => point.take_summary(field, raw)?,
            };
            fault = fault.or(taken.err());
        }
        point.fill_zeros(kind);
        Ok(fault.map_or(Ok(point), Err))
    }

    /// On the wire a zero is absent in fields that every point of a kind has.
    fn fill_zeros(&mut self, kind: Kind) {
        if matches!(kind, Kind::Histogram | Kind::ExponentialHistogram | Kind::Summary) {
            self.count.get_or_insert(0);
        }
        if kind == Kind::Summary {
            self.sum.get_or_insert(0.0);
        }
    }

    /// Attributes above the limit, of the point and of its exemplars.
    pub(super) fn all_dropped(&self) -> u64 {
        self.attributes.dropped + self.exemplars_dropped
    }

    fn take_times(&mut self, field: u32, raw: Raw<'a>) {
        match (field, raw) {
            (2, Raw::Fixed64(ns)) => self.start_ns = ns,
            (3, Raw::Fixed64(ns)) => self.time_ns = ns,
            (4, Raw::Fixed64(number)) => self.count = Some(number),
            (5, Raw::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            _ => {}
        }
    }

    /// Checked when it is taken: writing it cannot fail.
    fn add_exemplar(&mut self, raw: &'a [u8]) -> Result<(), Fault> {
        let (mut fields, mut filtered) = (Fields::new(raw), Attributes::default());
        while let Some((field, raw)) = fields.next_field().map_err(|error| ("exemplars", error.to_string()))? {
            if let (7, Raw::Bytes(attribute)) = (field, raw) {
                filtered.add(attribute)?;
            }
        }
        self.exemplars_dropped += filtered.dropped;
        self.exemplars.push(raw);
        Ok(())
    }

    fn take_number(&mut self, field: u32, raw: Raw<'a>) -> Result<(), Fault> {
        match (field, raw) {
            (2, Raw::Fixed64(ns)) => self.start_ns = ns,
            (3, Raw::Fixed64(ns)) => self.time_ns = ns,
            (4, Raw::Fixed64(bits)) => self.value = Some(Number::Double(f64::from_bits(bits))),
            (6, Raw::Fixed64(bits)) => self.value = Some(Number::Int(bits.cast_signed())),
            (5, Raw::Bytes(exemplar)) => self.add_exemplar(exemplar)?,
            (7, Raw::Bytes(attribute)) => self.attributes.add(attribute)?,
            (8, Raw::Varint(flags)) => self.flags = flags,
            _ => {}
        }
        Ok(())
    }

    fn take_histogram(&mut self, field: u32, raw: Raw<'a>) -> Result<Result<(), Fault>, Malformed> {
        match (field, raw) {
            (6, raw) => push_fixed(raw, |bits| self.counts.push(bits))?,
            (7, raw) => push_fixed(raw, |bits| self.bounds.push(f64::from_bits(bits)))?,
            (8, Raw::Bytes(exemplar)) => return Ok(self.add_exemplar(exemplar)),
            (9, Raw::Bytes(attribute)) => return Ok(self.attributes.add(attribute)),
            (10, Raw::Varint(flags)) => self.flags = flags,
            (11, Raw::Fixed64(bits)) => self.min = Some(f64::from_bits(bits)),
            (12, Raw::Fixed64(bits)) => self.max = Some(f64::from_bits(bits)),
            _ => self.take_times(field, raw),
        }
        Ok(Ok(()))
    }

    fn take_exponential(&mut self, field: u32, raw: Raw<'a>) -> Result<Result<(), Fault>, Malformed> {
        match (field, raw) {
            (1, Raw::Bytes(attribute)) => return Ok(self.attributes.add(attribute)),
            (6, Raw::Varint(number)) => self.scale = zigzag(number),
            (7, Raw::Fixed64(number)) => self.zero_count = number,
            (8, Raw::Bytes(buckets)) => self.positive = Some(Buckets::of(buckets)?),
            (9, Raw::Bytes(buckets)) => self.negative = Some(Buckets::of(buckets)?),
            (10, Raw::Varint(flags)) => self.flags = flags,
            (11, Raw::Bytes(exemplar)) => return Ok(self.add_exemplar(exemplar)),
            (12, Raw::Fixed64(bits)) => self.min = Some(f64::from_bits(bits)),
            (13, Raw::Fixed64(bits)) => self.max = Some(f64::from_bits(bits)),
            (14, Raw::Fixed64(bits)) => self.zero_threshold = f64::from_bits(bits),
            _ => self.take_times(field, raw),
        }
        Ok(Ok(()))
    }

    fn take_summary(&mut self, field: u32, raw: Raw<'a>) -> Result<Result<(), Fault>, Malformed> {
        match (field, raw) {
            (6, Raw::Bytes(quantile)) => self.quantiles.push(quantile_of(quantile)?),
            (7, Raw::Bytes(attribute)) => return Ok(self.attributes.add(attribute)),
            (8, Raw::Varint(flags)) => self.flags = flags,
            _ => self.take_times(field, raw),
        }
        Ok(Ok(()))
    }

    pub(super) fn write(&self, metric: &Metric<'_>, id: &Id, time: EventTime, row: &mut EventWriter<'_>) {
        row.str(Column::Id, id.as_str());
        row.str(Column::EventName, metric.name);
        time.write(row);
        if self.time_ns != 0 {
            row.int(Column::TimestampNs, i64::try_from(self.time_ns).unwrap_or(i64::MAX));
        }
        if self.start_ns != 0 {
            row.int(Column::StartedAt, i64::try_from(self.start_ns / 1000).unwrap_or(i64::MAX));
        }
        row.str(Column::MetricName, metric.name);
        row.str(Column::MetricUnit, metric.unit);
        row.str(Column::MetricType, metric.type_word());
        self.write_numbers(row);
        self.write_distribution(metric.kind, row);
        self.attributes.write_columns(of_record, row);
        self.attributes.write_payload(Column::Attributes, row);
        self.write_labels(row);
        row.otlp(Column::Data, |list| self.write_data(metric, time, list));
    }

    fn write_numbers(&self, row: &mut EventWriter<'_>) {
        let value = self.value.map(|number| match number {
            Number::Int(number) => number as f64,
            Number::Double(number) => number,
        });
        let doubles = [
            (Column::MetricValue, value),
            (Column::MetricSum, self.sum),
            (Column::MetricMin, self.min),
            (Column::MetricMax, self.max),
        ];
        doubles.into_iter().for_each(|(column, number)| number.into_iter().for_each(|number| row.float(column, number)));
        self.count.into_iter().for_each(|count| row.int(Column::MetricCount, i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn write_distribution(&self, kind: Kind, row: &mut EventWriter<'_>) {
        match kind {
            Kind::Histogram => {
                let text = format!("{{\"bounds\":{},\"counts\":{}}}", doubles(&self.bounds), integers(&self.counts));
                row.str(Column::MetricBuckets, &text);
            }
            Kind::ExponentialHistogram => row.str(Column::MetricBuckets, &self.exponential()),
            Kind::Summary => row.str(Column::MetricQuantiles, &self.quantiles()),
            Kind::Gauge | Kind::Sum => {}
        }
    }

    fn exponential(&self) -> String {
        let mut text = format!(
            "{{\"scale\":{},\"zero_count\":{},\"zero_threshold\":{}",
            self.scale,
            self.zero_count,
            double(self.zero_threshold)
        );
        for (name, buckets) in [("positive", &self.positive), ("negative", &self.negative)] {
            if let Some(Buckets { offset, counts }) = buckets {
                write!(text, ",\"{name}\":{{\"offset\":{offset},\"counts\":{}}}", integers(counts))
                    .expect("invariant: a string takes everything");
            }
        }
        text.push('}');
        text
    }

    fn quantiles(&self) -> String {
        let one = |(quantile, value): &(f64, f64)| format!("{{\"quantile\":{},\"value\":{}}}", double(*quantile), double(*value));
        format!("[{}]", self.quantiles.iter().map(one).collect::<Vec<_>>().join(","))
    }

    fn write_labels(&self, row: &mut EventWriter<'_>) {
        if !self.attributes.is_empty() {
            row.otlp(Column::Labels, |list| {
                self.attributes.iter().for_each(|attribute| list.str(attribute.key, &as_text(attribute.value)));
            });
        }
    }

    fn write_data(&self, metric: &Metric<'_>, time: EventTime, list: &mut KeyValueWriter<'_>) {
        list.str("kind", metric.kind_word());
        if !metric.description.is_empty() {
            list.str("description", metric.description);
        }
        count(list, "aggregation_temporality", metric.temporality);
        if !metric.metadata.is_empty() {
            list.object("metadata", |inner| metric.metadata.iter().for_each(|raw| inner.raw(raw)));
        }
        if metric.kind == Kind::Sum {
            list.bool("is_monotonic", metric.monotonic);
        }
        if let Some(Number::Int(number)) = self.value {
            list.int("int_value", number);
        }
        // The column ends at 2^63.
        self.count.filter(|number| i64::try_from(*number).is_err()).into_iter().for_each(|number| count(list, "count", number));
        count(list, "start_time_unix_nano", self.start_ns);
        count(list, "flags", self.flags);
        if !self.exemplars.is_empty() {
            list.objects("exemplars", &self.exemplars, |inner, raw| write_exemplar(raw, inner));
        }
        time.write_original(list);
    }
}

impl Buckets {
    fn of(message: &[u8]) -> Result<Self, Malformed> {
        let mut buckets = Self::default();
        let mut fields = Fields::new(message);
        while let Some((field, raw)) = fields.next_field()? {
            match (field, raw) {
                (1, Raw::Varint(number)) => buckets.offset = zigzag(number),
                (2, Raw::Varint(number)) => buckets.counts.push(number),
                (2, Raw::Bytes(packed)) => push_varints(packed, &mut buckets.counts)?,
                _ => {}
            }
        }
        Ok(buckets)
    }
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn push_varints(mut packed: &[u8], into: &mut Vec<u64>) -> Result<(), Malformed> {
    while let Some(length) = packed.iter().position(|byte| byte & 0x80 == 0) {
        if length > 9 {
            return Err(Malformed("varint too long"));
        }
        let (varint, rest) = packed.split_at(length + 1);
        into.push(varint.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)));
        packed = rest;
    }
    if packed.is_empty() { Ok(()) } else { Err(Malformed("varint cut")) }
}

/// Packed or single eight-byte numbers.
fn push_fixed(raw: Raw<'_>, mut push: impl FnMut(u64)) -> Result<(), Malformed> {
    match raw {
        Raw::Fixed64(bits) => push(bits),
        Raw::Bytes(packed) if packed.len().is_multiple_of(8) => {
            packed
                .chunks_exact(8)
                .for_each(|chunk| push(u64::from_le_bytes(chunk.try_into().expect("invariant: chunks of eight"))));
        }
        _ => return Err(Malformed("packed 64-bit numbers")),
    }
    Ok(())
}

fn quantile_of(message: &[u8]) -> Result<(f64, f64), Malformed> {
    let (mut quantile, mut value) = (0.0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        match (field, raw) {
            (1, Raw::Fixed64(bits)) => quantile = f64::from_bits(bits),
            (2, Raw::Fixed64(bits)) => value = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok((quantile, value))
}

fn write_exemplar(raw: &[u8], list: &mut KeyValueWriter<'_>) {
    let mut filtered = Attributes::default();
    let mut fields = Fields::new(raw);
    while let Ok(Some((field, raw))) = fields.next_field() {
        match (field, raw) {
            (2, Raw::Fixed64(ns)) => count(list, "time_unix_nano", ns),
            (3, Raw::Fixed64(bits)) => list.float("double_value", f64::from_bits(bits)),
            (6, Raw::Fixed64(bits)) => list.int("int_value", bits.cast_signed()),
            (4, Raw::Bytes(id)) => list.str("span_id", &hex(id)),
            (5, Raw::Bytes(id)) => list.str("trace_id", &hex(id)),
            (7, Raw::Bytes(attribute)) => filtered.add(attribute).expect("invariant: it was checked when it was taken"),
            _ => {}
        }
    }
    if !filtered.is_empty() {
        list.object("filtered_attributes", |inner| copy(&filtered, inner));
    }
}

/// Into one text: a request may hold millions of counts.
fn integers(numbers: &[u64]) -> String {
    let mut text = String::from("[");
    for (place, number) in numbers.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(text, "{comma}{number}").expect("invariant: a string takes everything");
    }
    text + "]"
}

fn doubles(numbers: &[f64]) -> String {
    format!("[{}]", numbers.iter().copied().map(double).collect::<Vec<_>>().join(","))
}

/// A double as JSON; what JSON lacks is text.
fn double(number: f64) -> String {
    if number.is_finite() { format!("{number:?}") } else { format!("\"{number}\"") }
}
