//! What a reader could not read, or a table not hold, is refused at the door: stored, it would break every query.

use serde::de::IgnoredAny;
use watershed_schema::limits::PAYLOAD_NESTING_MAX;
use watershed_schema::proto;
use watershed_schema::proto::payload::Form;
use watershed_schema::wire_messages::opentelemetry::proto::common::v1::{AnyValue, any_value::Value};

use crate::system::storable;
use crate::{Fault, json};

/// Times, payloads and JSON columns of an event or a shared part.
pub(super) fn check(event: &proto::Event) -> Result<(), Fault> {
    for (field, us) in [("timestamp", event.timestamp), ("started_at", event.started_at), ("ended_at", event.ended_at)] {
        us.map(|us| storable(field, us)).transpose()?;
    }
    for (field, text) in [
        ("db_before", &event.db_before),
        ("db_after", &event.db_after),
        ("metric_buckets", &event.metric_buckets),
        ("metric_quantiles", &event.metric_quantiles),
    ] {
        text.as_deref().map_or(Ok(()), is_json).map_err(|reason| (field, reason))?;
    }
    for (field, payload) in [
        ("data", &event.data),
        ("attributes", &event.attributes),
        ("labels", &event.labels),
        ("context", &event.context),
        ("properties", &event.properties),
        ("traits", &event.traits),
    ] {
        let form = payload.as_ref().and_then(|payload| payload.form.as_ref());
        form.map_or(Ok(()), form_is_readable).map_err(|reason| (field, reason))?;
    }
    Ok(())
}

fn form_is_readable(form: &Form) -> Result<(), String> {
    match form {
        Form::Json(text) => is_json(text),
        Form::Otlp(list) => {
            let depth = list.values.iter().filter_map(|entry| entry.value.as_ref()).map(depth).max().unwrap_or(0);
            if depth > PAYLOAD_NESTING_MAX { Err(format!("nested {depth} deep, limit {PAYLOAD_NESTING_MAX}")) } else { Ok(()) }
        }
    }
}

fn is_json(text: &str) -> Result<(), String> {
    json::checked(text.as_bytes()).map_err(|error| error.to_string())?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| format!("is no JSON: {error}"))
}

/// How many lists and objects stand in each other. The decoder has a limit of its own, so that this ends.
fn depth(value: &AnyValue) -> usize {
    match &value.value {
        Some(Value::ArrayValue(list)) => 1 + list.values.iter().map(depth).max().unwrap_or(0),
        Some(Value::KvlistValue(list)) => {
            1 + list.values.iter().filter_map(|entry| entry.value.as_ref()).map(depth).max().unwrap_or(0)
        }
        _ => 0,
    }
}
