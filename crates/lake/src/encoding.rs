//! How columns are encoded in Parquet, by what they hold. Measured on spans, logs and metrics (bench/results): the default,
//! a dictionary for everything and zstd 3, costs twice the bytes, because ids are all different and fall back to plain text.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{BloomFilterPosition, WriterProperties};
use parquet::schema::types::ColumnPath;
use watershed_schema::Column;

/// For what is small already.
const LEVEL: i32 = 3;
/// For ids and long texts: levels 2 to 4 search longer and find matches that cost more than they save, even of attributes.
/// Level 9 would take a quarter off those, at five times the CPU.
const LEVEL_OF_TEXT: i32 = 1;

/// Texts that are those of the row before, or begin like them, when rows are sorted by trace.
const PREFIXED: [Column; 4] = [Column::SessionId, Column::ActorId, Column::HttpUrl, Column::HttpQuery];
/// Ids; zstd finds what a trace's rows share as well as prefixes do.
const DISTINCT: [Column; 4] = [Column::Id, Column::TraceId, Column::SpanId, Column::ParentId];
/// Texts that are different in every row and alike.
const ALIKE: [Column; 3] = [Column::Attributes, Column::LogMessage, Column::Data];
/// Whole numbers that differ in every row and lie near each other.
const NEAR: [Column; 8] = [
    Column::Timestamp,
    Column::TimestampNs,
    Column::StartedAt,
    Column::EndedAt,
    Column::Sequence,
    Column::HttpRequestSize,
    Column::HttpResponseSize,
    Column::SnippetTransferSize,
];
/// Measured fractions.
const FRACTIONS: [Column; 3] = [Column::DurationMs, Column::CpuTimeMs, Column::MetricValue];

/// A column's encoding, and the level of what it leaves.
const ENCODINGS: [(&[Column], Encoding, i32); 5] = [
    (&PREFIXED, Encoding::DELTA_BYTE_ARRAY, LEVEL_OF_TEXT),
    (&DISTINCT, Encoding::DELTA_LENGTH_BYTE_ARRAY, LEVEL_OF_TEXT),
    (&NEAR, Encoding::DELTA_BINARY_PACKED, LEVEL),
    (&FRACTIONS, Encoding::BYTE_STREAM_SPLIT, LEVEL),
    (&ALIKE, Encoding::DELTA_LENGTH_BYTE_ARRAY, LEVEL_OF_TEXT),
];

/// Columns that are looked up by value and have a bloom filter.
pub(crate) const FILTERED: [Column; 3] = [Column::TraceId, Column::SessionId, Column::Id];
/// How often a filter says yes to what is not there. A trace or session is looked for in every file of the lake, so its
/// filters are the sharp ones; an id is different in every row, so its filter costs most.
const FALSE_YES: [f64; 3] = [0.001, 0.001, 0.01];
/// Rows of a row group, Parquet's default.
pub(crate) const GROUP_ROWS_MAX: u64 = 1 << 20;

/// For a file of at most so many rows, in pages of about so many bytes, with something in the columns that are filled.
/// Filters begin as long as all different values would make them and are folded to what the values need when they are
/// written; they lie together before the footer.
pub(crate) fn settings(rows_max: u64, page_bytes: usize, is_filled: impl Fn(Column) -> bool) -> WriterProperties {
    let mut settings = WriterProperties::builder()
        .set_compression(zstd(LEVEL))
        .set_data_page_size_limit(page_bytes)
        .set_bloom_filter_position(BloomFilterPosition::End);
    for (column, false_yes) in FILTERED.into_iter().zip(FALSE_YES) {
        let path = ColumnPath::from(column.name());
        settings = settings
            .set_column_bloom_filter_fpp(path.clone(), false_yes)
            .set_column_bloom_filter_ndv(path, rows_max.clamp(1, GROUP_ROWS_MAX));
    }
    for (columns, encoding, level) in ENCODINGS {
        for column in columns {
            let path = ColumnPath::from(column.name());
            settings = settings
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), encoding)
                .set_column_compression(path, zstd(level));
        }
    }
    // Most columns are empty: tables for compressing nothing would cost 1.3 ms a file, and who encodes differences takes a
    // megabyte before there is one.
    for column in Column::ALL.iter().filter(|column| !is_filled(**column)) {
        let path = ColumnPath::from(column.name());
        settings = settings
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::PLAIN)
            .set_column_compression(path, Compression::UNCOMPRESSED);
    }
    settings.build()
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("invariant: a level that zstd has"))
}

#[cfg(test)]
mod tests {
    use watershed_schema::Kind;

    use super::*;

    #[test]
    fn an_encoding_fits_the_columns_kind() {
        for (columns, encoding, _) in ENCODINGS {
            for column in columns {
                let fits = match encoding {
                    Encoding::DELTA_BINARY_PACKED => matches!(column.kind(), Kind::Int | Kind::Int32 | Kind::Time),
                    Encoding::BYTE_STREAM_SPLIT => column.kind() == Kind::Float,
                    _ => matches!(column.kind(), Kind::Text | Kind::Json | Kind::Payload),
                };
                assert!(fits, "{} as {encoding}", column.name());
            }
        }
    }
}
