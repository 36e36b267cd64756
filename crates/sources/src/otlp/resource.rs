//! Resource and scope: written once for all records below them.

use watershed_schema::wire::{Fields, Raw};
use watershed_schema::{Column, EventType, KeyValueWriter, Shared};

use super::attributes::{Attributes, of_resource};
use super::{Fault, Work, walk};
use crate::{InvalidRequest, system};

/// Where records come from.
pub(super) struct Resource<'a> {
    about: About<'a>,
    schema_url: &'a str,
}

/// `Resource` and `InstrumentationScope`, which differ in their field numbers only.
#[derive(Default)]
struct About<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Attributes<'a>,
    dropped: u64,
    /// Encoded `EntityRef`s.
    entities: Vec<&'a [u8]>,
}

impl<'a> Resource<'a> {
    pub(super) fn of(group: &walk::Group<'a>) -> Result<Self, InvalidRequest> {
        Ok(Self { about: about(group.about, [0, 0, 1, 2, 3])?, schema_url: schema_url(group)? })
    }

    /// Attributes above the limit.
    pub(super) fn dropped(&self) -> u64 {
        self.about.attributes.dropped
    }

    /// Writes the shared part of a scope's records: system columns, resource columns, `context`.
    pub(super) fn write(
        &self,
        scope: &walk::Group<'_>,
        event_type: EventType,
        work: &mut Work<'_>,
    ) -> Result<Shared, InvalidRequest> {
        let schemas = [("resource_schema_url", self.schema_url), ("scope_schema_url", schema_url(scope)?)];
        let scope = about(scope.about, [1, 2, 3, 4, 0])?;
        work.dropped_attributes += scope.attributes.dropped;
        let (context, resource) = (work.context, &self.about);
        Ok(work.builder.shared(|row| {
            system::write_shared(row, context, event_type, "otel");
            resource.attributes.write_columns(of_resource, row);
            row.otlp(Column::Context, |list| {
                list.object("resource", |inner| copy(&resource.attributes, inner));
                count(list, "resource_dropped_attributes_count", resource.dropped);
                resource.entities.iter().for_each(|entity| list.bytes("resource_entity_refs", entity));
                list.object("scope", |inner| write_scope(&scope, inner));
                schemas.iter().filter(|(_, url)| !url.is_empty()).for_each(|(key, url)| list.str(key, url));
            });
        }))
    }
}

fn schema_url<'a>(group: &walk::Group<'a>) -> Result<&'a str, InvalidRequest> {
    walk::text("schema_url", group.schema_url).map_err(undecodable)
}

fn undecodable((field, reason): Fault) -> InvalidRequest {
    InvalidRequest::Undecodable(format!("{field}: {reason}"))
}

/// Field numbers of name, version, attributes, dropped count, entities; 0 = has none.
fn about<'a>(message: &'a [u8], [name, version, attributes, dropped, entities]: [u32; 5]) -> Result<About<'a>, InvalidRequest> {
    let mut about = About::default();
    let mut fields = Fields::new(message);
    while let Some((field, raw)) = fields.next_field()? {
        match raw {
            Raw::Bytes(bytes) if field == name => about.name = walk::text("scope name", bytes).map_err(undecodable)?,
            Raw::Bytes(bytes) if field == version => about.version = walk::text("scope version", bytes).map_err(undecodable)?,
            Raw::Bytes(bytes) if field == attributes => about.attributes.add(bytes).map_err(undecodable)?,
            Raw::Bytes(bytes) if field == entities => about.entities.push(bytes),
            Raw::Varint(number) if field == dropped => about.dropped = number,
            _ => {}
        }
    }
    Ok(about)
}

pub(super) fn copy(attributes: &Attributes<'_>, list: &mut KeyValueWriter<'_>) {
    attributes.iter().for_each(|attribute| list.raw(attribute.raw));
}

/// A count that is 0 when absent.
pub(super) fn count(list: &mut KeyValueWriter<'_>, key: &str, number: u64) {
    if number != 0 {
        list.int(key, number.cast_signed());
    }
}

fn write_scope(scope: &About<'_>, list: &mut KeyValueWriter<'_>) {
    list.str("name", scope.name);
    list.str("version", scope.version);
    if !scope.attributes.is_empty() {
        list.object("attributes", |inner| copy(&scope.attributes, inner));
    }
    count(list, "dropped_attributes_count", scope.dropped);
}
