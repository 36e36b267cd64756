//! Payload columns read back: `context`, `attributes`, `data`.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use watershed_schema::proto::{Event, Payload, payload::Form};

/// Key-values of a payload; its OTLP form is the same message under another name.
pub(super) fn key_values(payload: Option<&Payload>) -> Result<Vec<KeyValue>, String> {
    match payload.and_then(|payload| payload.form.as_ref()) {
        None => Ok(Vec::new()),
        Some(Form::Otlp(list)) => {
            let list = KeyValueList::decode(list.encode_to_vec().as_slice()).map_err(|error| error.to_string())?;
            Ok(list.values)
        }
        Some(Form::Json(_)) => Err("a payload is JSON: it did not come over OTLP".to_owned()),
    }
}

/// Key-values by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Data(pub(super) Vec<KeyValue>);

impl Data {
    pub(super) fn of(event: &Event) -> Result<Self, String> {
        key_values(event.data.as_ref()).map(Self)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.any(key)?.value.as_ref()
    }

    pub(super) fn any(&self, key: &str) -> Option<&AnyValue> {
        self.0.iter().find(|entry| entry.key == key)?.value.as_ref()
    }

    pub(super) fn text(&self, key: &str) -> String {
        match self.get(key) {
            Some(Value::StringValue(text)) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Value::IntValue(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn nanos(&self, key: &str) -> u64 {
        self.int(key).unwrap_or_default().cast_unsigned()
    }

    /// A number that was a `u32` or an enum.
    pub(super) fn small<T: TryFrom<i64> + Default>(&self, key: &str) -> T {
        self.int(key).and_then(|number| T::try_from(number).ok()).unwrap_or_default()
    }

    pub(super) fn id(&self, key: &str) -> Result<Vec<u8>, String> {
        unhex(&self.text(key))
    }

    pub(super) fn object(&self, key: &str) -> Self {
        match self.get(key) {
            Some(Value::KvlistValue(list)) => Self(list.values.clone()),
            _ => Self::default(),
        }
    }

    pub(super) fn objects(&self, key: &str) -> Vec<Self> {
        let Some(Value::ArrayValue(list)) = self.get(key) else { return Vec::new() };
        let object = |value: &AnyValue| match &value.value {
            Some(Value::KvlistValue(list)) => Self(list.values.clone()),
            _ => Self::default(),
        };
        list.values.iter().map(object).collect()
    }
}

/// An id from its text; null is none.
pub(super) fn id_of(text: Option<&String>) -> Result<Vec<u8>, String> {
    text.map_or_else(|| Ok(Vec::new()), |text| unhex(text))
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    pairs.collect::<Option<_>>().ok_or_else(|| format!("`{text}` is no id"))
}

/// Resource and scope of a group of records.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) resource: Option<Resource>,
    pub(super) resource_schema_url: String,
    pub(super) scope: Option<InstrumentationScope>,
    pub(super) scope_schema_url: String,
}

impl Context {
    pub(super) fn of(event: &Event) -> Result<Self, String> {
        let context = Data(key_values(event.context.as_ref())?);
        let scope = context.object("scope");
        let entity = |entry: &KeyValue| match entry.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::BytesValue(bytes)) => EntityRef::decode(bytes.as_slice()).map_err(|error| error.to_string()),
            _ => Err("resource_entity_refs: bytes are wanted".to_owned()),
        };
        let entities = context.0.iter().filter(|entry| entry.key == "resource_entity_refs").map(entity);
        let resource = Resource {
            attributes: context.object("resource").0,
            dropped_attributes_count: context.small("resource_dropped_attributes_count"),
            entity_refs: entities.collect::<Result<_, _>>()?,
        };
        let scope = InstrumentationScope {
            name: scope.text("name"),
            version: scope.text("version"),
            attributes: scope.object("attributes").0,
            dropped_attributes_count: scope.small("dropped_attributes_count"),
        };
        Ok(Self {
            resource: Some(resource),
            resource_schema_url: context.text("resource_schema_url"),
            scope: Some(scope),
            scope_schema_url: context.text("scope_schema_url"),
        })
    }
}
