//! A log record of an event.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use watershed_schema::proto::Event;

use super::payload::{Data, id_of, key_values};

pub(super) fn record(event: &Event, data: &Data) -> Result<LogRecord, String> {
    let text = || event.log_message.clone().map(|text| AnyValue { value: Some(Value::StringValue(text)) });
    Ok(LogRecord {
        time_unix_nano: data.nanos("time_unix_nano"),
        observed_time_unix_nano: data.nanos("observed_time_unix_nano"),
        severity_number: event.log_level_num.and_then(|number| i32::try_from(number).ok()).unwrap_or_default(),
        severity_text: data.text("severity_text"),
        body: data.any("body").cloned().or_else(text),
        attributes: key_values(event.attributes.as_ref())?,
        dropped_attributes_count: data.small("dropped_attributes_count"),
        flags: data.small("flags"),
        trace_id: id_of(event.trace_id.as_ref())?,
        span_id: id_of(event.span_id.as_ref())?,
        event_name: data.text("event_name"),
    })
}
