//! An event as a JSON object of its set columns.

use prost::Message as _;
use serde_json::{Map, Value as Json};
use watershed_client::Event;
use watershed_schema::{Row, event_json};

/// Columns that are set, by name; payload columns as the JSON that they hold.
pub(crate) fn of(event: &Event) -> Map<String, Json> {
    let bytes = event.encode_to_vec();
    let mut text = String::from("{");
    let written = event_json::members(&Row { shared: None, own: &bytes }, &mut text);
    text.push('}');
    let read = written.ok().and_then(|()| serde_json::from_str(&text).ok());
    read.unwrap_or_else(|| Map::from_iter([("_damaged".to_owned(), Json::Bool(true))]))
}
