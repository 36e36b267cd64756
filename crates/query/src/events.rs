//! Rows of a result as events again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use prost::Message as _;
use watershed_schema::{BatchBuilder, Column, EventWriter, Kind, TenantId, proto};

use crate::QueryError;

/// Every row with all its columns; payload columns as JSON.
pub(crate) fn of(tenant: &TenantId, rows: &RecordBatch) -> Result<Vec<proto::Event>, QueryError> {
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let internal = |error: &dyn std::fmt::Display| QueryError::Internal(error.to_string());
    let columns = columns(rows, |_| true);
    let mut builder = BatchBuilder::new(tenant.clone(), rows.get_array_memory_size());
    for row in 0..rows.num_rows() {
        add(&mut builder, &columns, row);
    }
    let batch = builder.finish().map_err(|error| internal(&error))?;
    Ok(proto::EventBatch::decode(batch.body().clone()).map_err(|error| internal(&error))?.events)
}

/// Columns of a result that events have and `wanted` wants.
pub(crate) fn columns(rows: &RecordBatch, wanted: impl Fn(Column) -> bool) -> Vec<(Column, ArrayRef)> {
    let schema = rows.schema();
    let named = schema.fields().iter().zip(rows.columns());
    let known = named.filter_map(|(field, values)| Some((Column::from_name(field.name())?, Arc::clone(values))));
    known.filter(|(column, _)| wanted(*column)).collect()
}

/// Adds one row.
pub(crate) fn add(builder: &mut BatchBuilder, columns: &[(Column, ArrayRef)], row: usize) {
    builder.row(None, |writer| {
        columns
            .iter()
            .filter(|(_, values)| values.is_valid(row))
            .for_each(|(column, values)| write(writer, *column, values, row));
    });
}

fn write(writer: &mut EventWriter<'_>, column: Column, values: &dyn Array, row: usize) {
    match column.kind() {
        Kind::Text | Kind::Json => writer.str(column, values.as_string::<i32>().value(row)),
        Kind::Payload => writer.json(column, values.as_string::<i32>().value(row)),
        Kind::Int => writer.int(column, values.as_primitive::<Int64Type>().value(row)),
        Kind::Int32 => writer.int(column, i64::from(values.as_primitive::<Int32Type>().value(row))),
        Kind::Float => writer.float(column, values.as_primitive::<Float64Type>().value(row)),
        Kind::Bool => writer.bool(column, values.as_boolean().value(row)),
        Kind::Bytes => writer.bytes(column, values.as_binary::<i32>().value(row)),
        Kind::Time => writer.int(column, values.as_primitive::<TimestampMicrosecondType>().value(row)),
    }
}
