//! Attributes that have a column of their own: semantic conventions, current names before old ones.

use watershed_schema::limits::ATTRIBUTES_MAX;
use watershed_schema::{Column, EventWriter, Kind, payload};

use super::Fault;
use super::walk::{AnyValue, Attribute};

/// Room for most records without a second allocation.
const ATTRIBUTES_USUAL: usize = 24;

/// The attributes of one record (or resource, or scope).
#[derive(Default)]
pub(super) struct Attributes<'a> {
    kept: Vec<Attribute<'a>>,
    pub(super) dropped: u64,
}

impl<'a> Attributes<'a> {
    /// Takes one more encoded `KeyValue`; above the limit it is only counted.
    pub(super) fn add(&mut self, raw: &'a [u8]) -> Result<(), Fault> {
        if self.kept.is_empty() {
            self.kept.reserve(ATTRIBUTES_USUAL);
        }
        if self.kept.len() == ATTRIBUTES_MAX {
            self.dropped += 1;
        } else {
            self.kept.push(Attribute::of(raw)?);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.kept.iter()
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.kept.iter().find(|attribute| attribute.key == key).and_then(|attribute| match attribute.value {
            AnyValue::Text(text) => Some(text),
            _ => None,
        })
    }

    /// Copies every attribute, byte for byte, into a payload column. None at all: no payload.
    pub(super) fn write_payload(&self, column: Column, row: &mut EventWriter<'_>) {
        if !self.is_empty() {
            row.otlp(column, |list| self.iter().for_each(|attribute| list.raw(attribute.raw)));
        }
    }

    /// Whether [`Self::write_columns`] writes a record's column.
    pub(super) fn fill(&self, column: Column) -> bool {
        let fills = |attribute: &Attribute<'_>| of_record(attribute.key).is_some_and(|(known, _)| known == column);
        self.kept.iter().any(|attribute| fills(attribute) && fits(column, attribute.value))
    }

    /// Writes the columns that `known` names, each once: the best-ranked attribute that fits wins.
    pub(super) fn write_columns(&self, known: fn(&str) -> Option<(Column, u8)>, row: &mut EventWriter<'_>) {
        let mut best: Vec<(Column, u8, AnyValue<'a>)> = Vec::with_capacity(self.kept.len());
        for attribute in &self.kept {
            let Some((column, rank)) = known(attribute.key) else { continue };
            if !fits(column, attribute.value) {
                continue;
            }
            match best.iter_mut().find(|(taken, _, _)| *taken == column) {
                Some(slot) if slot.1 > rank => *slot = (column, rank, attribute.value),
                Some(_) => {}
                None => best.push((column, rank, attribute.value)),
            }
        }
        best.into_iter().for_each(|(column, _, value)| write(column, value, row));
    }
}

fn fits(column: Column, value: AnyValue<'_>) -> bool {
    match (column.kind(), value) {
        (_, AnyValue::Empty | AnyValue::Other(_)) => false,
        (Kind::Text | Kind::Json, _) => true,
        (Kind::Int, value) => integer(value).is_some(),
        (Kind::Float, value) => double(value).is_some(),
        _ => false,
    }
}

fn write(column: Column, value: AnyValue<'_>, row: &mut EventWriter<'_>) {
    match column.kind() {
        Kind::Int => integer(value).into_iter().for_each(|number| row.int(column, number)),
        Kind::Float => double(value).into_iter().for_each(|number| row.float(column, number)),
        _ => match value {
            AnyValue::Text(text) => row.str(column, text),
            other => row.str(column, &as_text(other)),
        },
    }
}

fn integer(value: AnyValue<'_>) -> Option<i64> {
    match value {
        AnyValue::Int(number) => Some(number),
        AnyValue::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn double(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Double(number) => Some(number),
        AnyValue::Int(number) => Some(number as f64),
        AnyValue::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A scalar as text, anything else as its JSON.
pub(super) fn as_text(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Text(text) => text.to_owned(),
        AnyValue::Bool(truth) => truth.to_string(),
        AnyValue::Int(number) => number.to_string(),
        AnyValue::Double(number) => number.to_string(),
        AnyValue::Empty => String::new(),
        AnyValue::Other(raw) => {
            let mut json = String::new();
            payload::any_value_to_json(raw, &mut json).expect("invariant: values are checked when they are taken");
            json
        }
    }
}

/// Column and rank (0 = current name) of a record's attribute. `sources.md` lists them.
pub(super) fn of_record(key: &str) -> Option<(Column, u8)> {
    Some(match key {
        "http.request.method" => (Column::HttpMethod, 0),
        "http.method" => (Column::HttpMethod, 1),
        "url.full" => (Column::HttpUrl, 0),
        "http.url" => (Column::HttpUrl, 1),
        "server.address" => (Column::HttpHost, 0),
        "net.peer.name" => (Column::HttpHost, 1),
        "http.host" => (Column::HttpHost, 2),
        "url.path" => (Column::HttpPath, 0),
        "url.query" => (Column::HttpQuery, 0),
        "http.response.status_code" => (Column::HttpStatus, 0),
        "http.status_code" => (Column::HttpStatus, 1),
        "network.protocol.version" => (Column::HttpProtocol, 0),
        "http.flavor" => (Column::HttpProtocol, 1),
        "http.request.body.size" => (Column::HttpRequestSize, 0),
        "http.request_content_length" => (Column::HttpRequestSize, 1),
        "http.response.body.size" => (Column::HttpResponseSize, 0),
        "http.response_content_length" => (Column::HttpResponseSize, 1),
        "user_agent.original" => (Column::HttpUserAgent, 0),
        "http.user_agent" => (Column::HttpUserAgent, 1),
        "db.system.name" => (Column::DbSystem, 0),
        "db.system" => (Column::DbSystem, 1),
        "db.namespace" => (Column::DbName, 0),
        "db.name" => (Column::DbName, 1),
        "db.collection.name" => (Column::DbTable, 0),
        "db.sql.table" => (Column::DbTable, 1),
        "db.operation.name" => (Column::DbOperation, 0),
        "db.operation" => (Column::DbOperation, 1),
        "db.query.text" => (Column::DbStatement, 0),
        "db.statement" => (Column::DbStatement, 1),
        "messaging.system" => (Column::MsgSystem, 0),
        "messaging.destination.name" => (Column::MsgDestination, 0),
        "messaging.destination" => (Column::MsgDestination, 1),
        "messaging.operation.type" => (Column::MsgOperation, 0),
        "messaging.operation" => (Column::MsgOperation, 1),
        "messaging.batch.message_count" => (Column::MsgBatchSize, 0),
        "messaging.message.id" => (Column::MsgMessageId, 0),
        "rpc.system" => (Column::RpcSystem, 0),
        "rpc.service" => (Column::RpcService, 0),
        "rpc.method" => (Column::RpcMethod, 0),
        "rpc.grpc.status_code" => (Column::RpcStatus, 0),
        "rpc.response.status_code" => (Column::RpcStatus, 1),
        "exception.type" => (Column::ErrorType, 0),
        "error.type" => (Column::ErrorType, 1),
        "exception.stacktrace" => (Column::ErrorStack, 0),
        "session.id" => (Column::SessionId, 0),
        "user.id" => (Column::ActorId, 0),
        "enduser.id" => (Column::ActorId, 1),
        "geo.country.iso_code" => (Column::GeoCountry, 0),
        "geo.region.iso_code" => (Column::GeoRegion, 0),
        "geo.locality.name" => (Column::GeoCity, 0),
        "geo.postal_code" => (Column::GeoPostal, 0),
        "geo.location.lat" => (Column::GeoLatitude, 0),
        "geo.location.lon" => (Column::GeoLongitude, 0),
        _ => return None,
    })
}

/// Column and rank of a resource's attribute.
pub(super) fn of_resource(key: &str) -> Option<(Column, u8)> {
    Some(match key {
        "service.name" => (Column::ServiceName, 0),
        "service.version" => (Column::ServiceVersion, 0),
        "service.instance.id" => (Column::ServiceInstance, 0),
        "service.namespace" => (Column::ServiceNamespace, 0),
        "host.name" => (Column::HostName, 0),
        "host.id" => (Column::HostId, 0),
        "cloud.provider" => (Column::CloudProvider, 0),
        "cloud.region" => (Column::CloudRegion, 0),
        "cloud.availability_zone" => (Column::CloudZone, 0),
        "cloud.zone" => (Column::CloudZone, 1),
        "container.id" => (Column::ContainerId, 0),
        "k8s.namespace.name" => (Column::K8sNamespace, 0),
        "k8s.pod.name" => (Column::K8sPod, 0),
        "k8s.deployment.name" => (Column::K8sDeployment, 0),
        "device.model.name" => (Column::DeviceModel, 0),
        "device.model.identifier" => (Column::DeviceModel, 1),
        "device.manufacturer" => (Column::DeviceBrand, 0),
        "os.name" => (Column::OsName, 0),
        "os.type" => (Column::OsName, 1),
        "os.version" => (Column::OsVersion, 0),
        _ => return None,
    })
}
