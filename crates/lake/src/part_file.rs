//! A data file under construction: rows come as columns, a slice at a time, and each column is encoded for itself. Columns in
//! which no row has anything are written once, at the end.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{Schema, TableProperties};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::writer::SerializedFileWriter;
use watershed_schema::Column;

use crate::LakeError;
use crate::encoding::{self, GROUP_ROWS_MAX};

/// Longest file of the archiver; Iceberg's default.
const TARGET_BYTES: usize = TableProperties::PROPERTY_WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT;

/// Short: a merge holds a page of each of many such files. Longer ones take a percent less (bench/results).
const PAGE_BYTES: usize = 256 << 10;

/// The file, its footer, and how many values of which column are not a number.
pub(crate) type Closed = (Vec<u8>, ParquetMetaData, HashMap<i32, u64>);

pub(crate) struct PartFile {
    file: SerializedFileWriter<Vec<u8>>,
    /// Of the table, which has Iceberg's field ids and its own types for bytes.
    schema: SchemaRef,
    writers: Vec<ArrowColumnWriter>,
    /// Where the columns that rows have are in the table.
    places: Vec<usize>,
    rows: usize,
    nans: HashMap<i32, u64>,
}

impl PartFile {
    /// For at most so many rows, with something in these columns.
    pub(crate) fn open(table: &Schema, rows_max: usize, filled: &[Column]) -> Result<Self, LakeError> {
        let schema = Arc::new(schema_to_arrow_schema(table)?);
        let settings = encoding::settings(rows_max as u64, PAGE_BYTES, |column| filled.contains(&column));
        let (file, groups) = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(settings))?.into_serialized_writer()?;
        let places = filled.iter().map(|column| schema.index_of(column.name())).collect::<Result<_, _>>()?;
        let fractions = Column::ALL.iter().filter(|column| is_fraction(&schema, **column));
        let nans = fractions.map(|column| (i32::from(column.id()), 0)).collect();
        Ok(Self { file, writers: groups.create_column_writers(0)?, places, schema, rows: 0, nans })
    }

    /// Adds rows: the filled columns, in the order in which they were named.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        for (place, column) in self.places.iter().zip(rows.columns()) {
            let field = self.schema.field(*place);
            write(&mut self.writers[*place], field, &cast(column, field.data_type())?)?;
            if field.data_type() == &DataType::Float64
                && let Some(known) = Column::from_name(field.name())
            {
                *self.nans.entry(i32::from(known.id())).or_default() += nans_of(column);
            }
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    /// Whether it takes more rows: it is one row group, and no longer than files of the table should be.
    pub(crate) fn has_room(&self) -> bool {
        let bytes: usize = self.places.iter().map(|place| self.writers[*place].get_estimated_total_bytes()).sum();
        (self.rows as u64) < GROUP_ROWS_MAX && bytes < TARGET_BYTES
    }

    /// Writes what is missing.
    pub(crate) fn close(mut self) -> Result<Closed, LakeError> {
        let mut group = self.file.next_row_group()?;
        let mut nothing = Nothing { rows: self.rows, arrays: Vec::new() };
        for (place, mut writer) in self.writers.into_iter().enumerate() {
            if !self.places.contains(&place) {
                let field = self.schema.field(place);
                write(&mut writer, field, &nothing.of(field.data_type()))?;
            }
            writer.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        let footer = self.file.finish()?;
        Ok((std::mem::take(self.file.inner_mut()), footer, self.nans))
    }
}

/// Adds values to a column.
pub(crate) fn write(writer: &mut ArrowColumnWriter, field: &Field, values: &ArrayRef) -> Result<(), LakeError> {
    for leaf in compute_leaves(field, values)? {
        writer.write(&leaf)?;
    }
    Ok(())
}

fn is_fraction(schema: &SchemaRef, column: Column) -> bool {
    schema.field_with_name(column.name()).is_ok_and(|field| field.data_type() == &DataType::Float64)
}

/// Values that are not a number, which Iceberg counts and Parquet does not.
pub(crate) fn nans_of(values: &ArrayRef) -> u64 {
    let values = values.as_primitive::<Float64Type>().iter().flatten();
    values.filter(|value| value.is_nan()).count() as u64
}

/// Columns of nothing, one of each type.
struct Nothing {
    rows: usize,
    arrays: Vec<ArrayRef>,
}

impl Nothing {
    fn of(&mut self, kind: &DataType) -> ArrayRef {
        if let Some(array) = self.arrays.iter().find(|array| array.data_type() == kind) {
            return Arc::clone(array);
        }
        let array = new_null_array(kind, self.rows);
        self.arrays.push(Arc::clone(&array));
        array
    }
}
