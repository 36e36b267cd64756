//! Iceberg's view of the column registry: field ids are column ids.

use std::sync::Arc;

use iceberg::Result;
use iceberg::spec::{
    NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder, Transform, Type, UnboundPartitionSpec,
};
use watershed_schema::{Column, Kind};

use crate::partitioning::Partitioning;

pub(crate) fn id(column: Column) -> i32 {
    i32::from(column.id())
}

pub(crate) fn primitive(kind: Kind) -> PrimitiveType {
    match kind {
        Kind::Text | Kind::Json | Kind::Payload => PrimitiveType::String,
        Kind::Int => PrimitiveType::Long,
        Kind::Int32 => PrimitiveType::Int,
        Kind::Float => PrimitiveType::Double,
        Kind::Bool => PrimitiveType::Boolean,
        Kind::Bytes => PrimitiveType::Binary,
        Kind::Time => PrimitiveType::Timestamptz,
    }
}

/// Schema of `events`.
///
/// # Errors
/// Only when the registry is inconsistent.
pub fn events() -> Result<Schema> {
    let field = |column: &Column| {
        let kind = Type::Primitive(primitive(column.kind()));
        Arc::new(NestedField::new(id(*column), column.name(), kind, column.required()).with_doc(column.spec().doc))
    };
    Schema::builder().with_fields(Column::ALL.iter().map(field)).build()
}

/// Hour, day or month of timestamp, then event_type.
///
/// # Errors
/// Only when the registry is inconsistent.
pub fn partitions(by: Partitioning) -> Result<UnboundPartitionSpec> {
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(id(Column::Timestamp), by.field(), by.transform())?
        .add_partition_field(id(Column::EventType), "event_type", Transform::Identity)?;
    Ok(spec.build())
}

/// ns, trace_id, timestamp.
#[must_use]
pub fn sort_order() -> SortOrder {
    let field = |column: Column| SortField {
        source_id: id(column),
        transform: Transform::Identity,
        direction: SortDirection::Ascending,
        null_order: NullOrder::First,
    };
    let fields = [Column::Ns, Column::TraceId, Column::Timestamp].map(field).to_vec();
    SortOrder { order_id: 1, fields }
}
