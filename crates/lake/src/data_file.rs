//! What Iceberg wants to know of a Parquet file, from the file's own footer. The `iceberg` crate's own way from one to the
//! other is private to its writer, which writes whole rows.

use std::collections::HashMap;

use iceberg::Result;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, PartitionSpecRef, PrimitiveType, Schema, Struct, Type,
};
use parquet::basic::Type as Physical;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use crate::LakeError;

/// A written file.
pub(crate) struct Made {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) footer: ParquetMetaData,
    /// By column, as Iceberg counts what is not a number.
    pub(crate) nans: HashMap<i32, u64>,
}

impl Made {
    /// As Iceberg lists it, in a partition.
    pub(crate) fn listed(
        self,
        schema: &Schema,
        (spec, partition): (&PartitionSpecRef, Struct),
    ) -> std::result::Result<DataFile, LakeError> {
        let mut columns = Columns::default();
        for chunk in self.footer.row_groups().iter().flat_map(|group| group.columns()) {
            if let Some(field) = schema.field_by_name(&chunk.column_path().string())
                && let Type::Primitive(kind) = field.field_type.as_ref()
            {
                columns.add(field.id, kind, chunk)?;
            }
        }
        let groups = self.footer.row_groups();
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data).file_path(self.path).file_format(DataFileFormat::Parquet);
        file.partition(partition).partition_spec_id(spec.spec_id());
        file.record_count(u64::try_from(self.footer.file_metadata().num_rows()).unwrap_or(0)).file_size_in_bytes(self.bytes);
        file.column_sizes(columns.sizes)
            .value_counts(columns.values)
            .null_value_counts(columns.nulls)
            .nan_value_counts(self.nans);
        file.lower_bounds(columns.lower).upper_bounds(columns.upper);
        file.split_offsets(Some(groups.iter().filter_map(|group| group.file_offset()).collect()));
        let built = file.build();
        built.map_err(|error| iceberg::Error::new(iceberg::ErrorKind::Unexpected, error.to_string()).into())
    }
}

#[derive(Default)]
struct Columns {
    sizes: HashMap<i32, u64>,
    values: HashMap<i32, u64>,
    nulls: HashMap<i32, u64>,
    lower: HashMap<i32, Datum>,
    upper: HashMap<i32, Datum>,
}

impl Columns {
    fn add(&mut self, id: i32, kind: &PrimitiveType, chunk: &ColumnChunkMetaData) -> Result<()> {
        *self.sizes.entry(id).or_default() += chunk.compressed_size().unsigned_abs();
        *self.values.entry(id).or_default() += chunk.num_values().unsigned_abs();
        let Some(statistics) = chunk.statistics() else { return Ok(()) };
        if let Some(nulls) = statistics.null_count_opt() {
            *self.nulls.entry(id).or_default() += nulls;
        }
        let bytes = |is_exact: bool, bytes: Option<&'_ [u8]>| is_exact.then(|| bytes.map(<[u8]>::to_vec)).flatten();
        if let Some(least) = bytes(statistics.min_is_exact(), statistics.min_bytes_opt()) {
            keep(&mut self.lower, id, datum(kind, statistics, &least)?, |old, new| new < old);
        }
        if let Some(most) = bytes(statistics.max_is_exact(), statistics.max_bytes_opt()) {
            keep(&mut self.upper, id, datum(kind, statistics, &most)?, |old, new| new > old);
        }
        Ok(())
    }
}

fn keep(bounds: &mut HashMap<i32, Datum>, id: i32, bound: Datum, is_further: fn(&Datum, &Datum) -> bool) {
    match bounds.get_mut(&id) {
        Some(old) if is_further(old, &bound) => *old = bound,
        Some(_) => {}
        None => drop(bounds.insert(id, bound)),
    }
}

/// Parquet's plain bytes are Iceberg's single values, but for booleans, which are a byte in both.
fn datum(kind: &PrimitiveType, statistics: &Statistics, bytes: &[u8]) -> Result<Datum> {
    let is_same = matches!(
        (kind, statistics.physical_type()),
        (PrimitiveType::Boolean, Physical::BOOLEAN)
            | (PrimitiveType::Int, Physical::INT32)
            | (PrimitiveType::Long | PrimitiveType::Timestamptz, Physical::INT64)
            | (PrimitiveType::Double, Physical::DOUBLE)
            | (PrimitiveType::String | PrimitiveType::Binary, Physical::BYTE_ARRAY)
    );
    if !is_same {
        let reason = format!("statistics {statistics} are not of the type {kind}");
        return Err(iceberg::Error::new(iceberg::ErrorKind::Unexpected, reason));
    }
    Datum::try_from_bytes(bytes, kind.clone())
}
