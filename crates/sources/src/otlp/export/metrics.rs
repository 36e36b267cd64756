//! A metric with the one data point of an event.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    Sum, Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data as Kind, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use serde_json::Value as Json;
use watershed_schema::proto::Event;

use super::payload::{Data, key_values};

pub(super) fn metric(event: &Event, data: &Data) -> Result<Metric, String> {
    Ok(Metric {
        name: event.metric_name.clone().unwrap_or_default(),
        description: data.text("description"),
        unit: event.metric_unit.clone().unwrap_or_default(),
        metadata: data.object("metadata").0,
        data: Some(kind(event, data)?),
    })
}

/// What all kinds of points have.
struct Common {
    attributes: Vec<KeyValue>,
    start: u64,
    time: u64,
    count: u64,
    exemplars: Vec<Exemplar>,
    flags: u32,
}

fn kind(event: &Event, data: &Data) -> Result<Kind, String> {
    let common = Common {
        attributes: key_values(event.attributes.as_ref())?,
        start: data.nanos("start_time_unix_nano"),
        time: event.timestamp_ns.unwrap_or_default().cast_unsigned(),
        count: data.int("count").or(event.metric_count).unwrap_or_default().cast_unsigned(),
        exemplars: data.objects("exemplars").iter().map(exemplar).collect::<Result<_, _>>()?,
        flags: data.small("flags"),
    };
    let aggregation_temporality = data.small("aggregation_temporality");
    Ok(match data.text("kind").as_str() {
        "gauge" => Kind::Gauge(Gauge { data_points: vec![number(event, data, common)] }),
        "sum" => Kind::Sum(Sum {
            data_points: vec![number(event, data, common)],
            aggregation_temporality,
            is_monotonic: matches!(data.get("is_monotonic"), Some(Any::BoolValue(true))),
        }),
        "histogram" => Kind::Histogram(Histogram { data_points: vec![histogram(event, common)?], aggregation_temporality }),
        "exponential_histogram" => Kind::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential(event, common)?],
            aggregation_temporality,
        }),
        "summary" => Kind::Summary(Summary { data_points: vec![summary(event, common)?] }),
        other => return Err(format!("`{other}` is no kind of metric")),
    })
}

fn number(event: &Event, data: &Data, common: Common) -> NumberDataPoint {
    let double = event.metric_value.map(number_data_point::Value::AsDouble);
    NumberDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.start,
        time_unix_nano: common.time,
        exemplars: common.exemplars,
        flags: common.flags,
        value: data.int("int_value").map(number_data_point::Value::AsInt).or(double),
    }
}

fn histogram(event: &Event, common: Common) -> Result<HistogramDataPoint, String> {
    let buckets = json(event.metric_buckets.as_ref())?;
    Ok(HistogramDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.start,
        time_unix_nano: common.time,
        count: common.count,
        sum: event.metric_sum,
        bucket_counts: integers(&buckets["counts"]),
        explicit_bounds: buckets["bounds"].as_array().into_iter().flatten().map(double).collect(),
        exemplars: common.exemplars,
        flags: common.flags,
        min: event.metric_min,
        max: event.metric_max,
    })
}

fn exponential(event: &Event, common: Common) -> Result<ExponentialHistogramDataPoint, String> {
    let text = json(event.metric_buckets.as_ref())?;
    let buckets = |name: &str| {
        let side = text.get(name)?;
        Some(Buckets { offset: small(&side["offset"]), bucket_counts: integers(&side["counts"]) })
    };
    Ok(ExponentialHistogramDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.start,
        time_unix_nano: common.time,
        count: common.count,
        sum: event.metric_sum,
        scale: small(&text["scale"]),
        zero_count: text["zero_count"].as_u64().unwrap_or_default(),
        positive: buckets("positive"),
        negative: buckets("negative"),
        flags: common.flags,
        exemplars: common.exemplars,
        min: event.metric_min,
        max: event.metric_max,
        zero_threshold: double(&text["zero_threshold"]),
    })
}

fn summary(event: &Event, common: Common) -> Result<SummaryDataPoint, String> {
    let quantiles = json(event.metric_quantiles.as_ref())?;
    let quantile = |one: &Json| ValueAtQuantile { quantile: double(&one["quantile"]), value: double(&one["value"]) };
    Ok(SummaryDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.start,
        time_unix_nano: common.time,
        count: common.count,
        sum: event.metric_sum.unwrap_or_default(),
        quantile_values: quantiles.as_array().into_iter().flatten().map(quantile).collect(),
        flags: common.flags,
    })
}

fn exemplar(data: &Data) -> Result<Exemplar, String> {
    let value = match (data.get("double_value"), data.int("int_value")) {
        (Some(Any::DoubleValue(number)), _) => Some(exemplar::Value::AsDouble(*number)),
        (_, number) => number.map(exemplar::Value::AsInt),
    };
    Ok(Exemplar {
        filtered_attributes: data.object("filtered_attributes").0,
        time_unix_nano: data.nanos("time_unix_nano"),
        span_id: data.id("span_id")?,
        trace_id: data.id("trace_id")?,
        value,
    })
}

fn json(text: Option<&String>) -> Result<Json, String> {
    text.map_or(Ok(Json::Null), |text| serde_json::from_str(text).map_err(|error| error.to_string()))
}

fn integers(list: &Json) -> Vec<u64> {
    list.as_array().into_iter().flatten().filter_map(Json::as_u64).collect()
}

fn small(number: &Json) -> i32 {
    number.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_default()
}

/// What JSON lacks (`NaN`, `inf`) is text.
fn double(number: &Json) -> f64 {
    number.as_f64().or_else(|| number.as_str()?.parse().ok()).unwrap_or_default()
}
