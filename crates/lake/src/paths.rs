//! Where a data file lies. Values are escaped, so that none can leave the table's folder.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use iceberg::spec::{Literal, PartitionField, PartitionKey, PartitionSpec, PrimitiveLiteral, Struct};
use iceberg::writer::file_writer::location_generator::{FileNameGenerator, LocationGenerator};
use uuid::Uuid;
use watershed_schema::{Epoch, Seq, ShardId};

use crate::partitioning::Partitioning;

/// What names a file: the range it was cut from and who cut it. Two writers never have the same name for different rows: a
/// late one would write over the other's file.
#[derive(Clone, Copy, Debug)]
pub struct FileName {
    /// The shard.
    pub shard: ShardId,
    /// First sequence number of the range.
    pub from_seq: Seq,
    /// First sequence number after the range.
    pub to_seq: Seq,
    /// Epoch of the writer.
    pub epoch: Epoch,
    /// Set when other rows of the range may be in files of these names.
    pub apart: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub(crate) struct Folders(pub(crate) String);

impl LocationGenerator for Folders {
    fn generate_location(&self, key: Option<&PartitionKey>, file: &str) -> String {
        let folder = key.map_or_else(|| "all".to_owned(), |key| folder(key.spec(), key.data()));
        format!("{}/data/{folder}/{file}", self.0.trim_end_matches('/'))
    }
}

/// A partition for people: `hour=2026-11-26-13/event_type=trace`.
pub(crate) fn folder(spec: &PartitionSpec, values: &Struct) -> String {
    let fields = spec.fields().iter().zip(values.iter());
    fields.map(|(field, value)| part(field, value)).collect::<Vec<_>>().join("/")
}

fn part(field: &PartitionField, value: Option<&Literal>) -> String {
    let time = Partitioning::of_transform(field.transform);
    match (time, value) {
        (Some(by), Some(Literal::Primitive(PrimitiveLiteral::Int(time)))) => format!("{}={}", by.word(), by.text(*time)),
        (None, Some(Literal::Primitive(PrimitiveLiteral::String(text)))) => format!("{}={}", field.name, escape(text)),
        _ => format!("{}=null", field.name),
    }
}

/// Keeps `[A-Za-z0-9_-]`, writes every other byte as `%XX`.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("invariant: a String takes every write");
        }
        out
    })
}

/// The second file of one partition gets `-1`, the third `-2`.
#[derive(Clone, Debug)]
pub(crate) struct Names(FileName, Arc<AtomicU32>);

impl Names {
    pub(crate) fn new(name: FileName) -> Self {
        Self(name, Arc::default())
    }
}

impl FileNameGenerator for Names {
    fn generate_file_name(&self) -> String {
        let FileName { shard, from_seq, to_seq, epoch, apart } = self.0;
        let apart = apart.map_or_else(String::new, |apart| format!("-{apart}"));
        match self.1.fetch_add(1, Ordering::Relaxed) {
            0 => format!("{shard}-{from_seq}-{to_seq}-{epoch}{apart}.parquet"),
            more => format!("{shard}-{from_seq}-{to_seq}-{epoch}{apart}-{more}.parquet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn no_value_leaves_its_folder() {
        assert_eq!(escape("../../x"), "%2E%2E%2F%2E%2E%2Fx");
        assert_eq!(escape("trace"), "trace");
        assert_eq!(escape("%2E=ä"), "%252E%3D%C3%A4");
    }
}
