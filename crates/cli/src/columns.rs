//! An event as a JSON object of its set columns.

use prost::Message as _;
use serde_json::{Map, Value as Json};
use watershed_client::Event;
use watershed_schema::{Column, Row, Value, payload};

/// Columns that are set, by name; payload columns as the JSON that they hold.
pub(crate) fn of(event: &Event) -> Map<String, Json> {
    let bytes = event.encode_to_vec();
    let row = Row { shared: None, own: &bytes };
    let column = |column: &Column| {
        let value = row.get(*column).ok().flatten()?;
        Some((column.name().to_owned(), json(value)))
    };
    Column::ALL.iter().filter_map(column).collect()
}

fn json(value: Value<'_>) -> Json {
    match value {
        Value::Text(text) => text.into(),
        Value::Int(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Bool(truth) => truth.into(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        Value::Payload(bytes) => {
            let mut text = String::new();
            match payload::to_json(bytes, &mut text) {
                Ok(()) => serde_json::from_str(&text).unwrap_or(Json::String(text)),
                Err(_damaged) => Json::Null,
            }
        }
    }
}
