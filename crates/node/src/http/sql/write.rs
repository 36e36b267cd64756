//! Rows as text, or as an Arrow stream.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use serde::Deserialize;
use watershed_query::QueryError;

use crate::http::answer;

/// How rows are written.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// An array of objects; columns without a value are left out.
    #[default]
    Json,
    /// An object a line.
    Ndjson,
    /// With a line of names.
    Csv,
    /// Arrow IPC, the streaming format.
    Arrow,
}

/// Writes batch by batch.
pub(super) enum Writer {
    Json { is_first: bool },
    Ndjson,
    Csv { has_names: bool, names: Vec<u8> },
    Arrow(StreamWriter<Vec<u8>>),
}

fn broken(error: ArrowError) -> QueryError {
    QueryError::Internal(error.to_string())
}

impl Writer {
    pub(super) fn new(format: Format, schema: &Schema) -> Result<Self, QueryError> {
        Ok(match format {
            Format::Json => Self::Json { is_first: true },
            Format::Ndjson => Self::Ndjson,
            Format::Csv => {
                let empty = RecordBatch::new_empty(schema.clone().into());
                Self::Csv { has_names: false, names: csv(&empty, true)? }
            }
            Format::Arrow => Self::Arrow(StreamWriter::try_new(Vec::new(), schema).map_err(broken)?),
        })
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Json { .. } => answer::JSON,
            Self::Ndjson => "application/x-ndjson",
            Self::Csv { .. } => "text/csv; charset=utf-8",
            Self::Arrow(_) => "application/vnd.apache.arrow.stream",
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, QueryError> {
        Ok(Bytes::from(match self {
            Self::Json { is_first } => array(&lines(batch)?, is_first),
            Self::Ndjson => lines(batch)?,
            Self::Csv { has_names, names } => {
                let mut text = if std::mem::replace(has_names, true) { Vec::new() } else { std::mem::take(names) };
                text.extend(csv(batch, false)?);
                text
            }
            Self::Arrow(writer) => {
                writer.write(batch).map_err(broken)?;
                std::mem::take(writer.get_mut())
            }
        }))
    }

    /// What stands behind the last row.
    pub(super) fn end(&mut self) -> Result<Bytes, QueryError> {
        Ok(Bytes::from(match self {
            Self::Json { is_first: true } => b"[]\n".to_vec(),
            Self::Json { is_first: false } => b"\n]\n".to_vec(),
            Self::Ndjson | Self::Csv { has_names: true, .. } => Vec::new(),
            Self::Csv { has_names: false, names } => std::mem::take(names),
            Self::Arrow(writer) => {
                writer.finish().map_err(broken)?;
                std::mem::take(writer.get_mut())
            }
        }))
    }
}

fn csv(batch: &RecordBatch, with_names: bool) -> Result<Vec<u8>, QueryError> {
    let mut text = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(with_names).build(&mut text);
    writer.write(batch).map_err(broken)?;
    drop(writer);
    Ok(text)
}

fn lines(batch: &RecordBatch) -> Result<Vec<u8>, QueryError> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(broken)?;
    Ok(writer.into_inner())
}

/// Lines as elements of an array that was begun or is begun here.
fn array(lines: &[u8], is_first: &mut bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + 64);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        text.extend_from_slice(if std::mem::replace(is_first, false) { b"[\n" } else { b",\n" });
        text.extend_from_slice(line);
    }
    text
}
