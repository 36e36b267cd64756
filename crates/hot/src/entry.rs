//! A log entry as a row of the table `log`: checksum, and the head that scans prune by.

use prost::Message as _;
use watershed_schema::proto::{BatchHeader, LogAppend};
use watershed_schema::{EntryKind, LogRecord, Lsn, Term};

use crate::HotError;

const CRC_BYTES: usize = 4;

/// What scans need of an entry without its payload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) rows: u64,
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
    pub(crate) types: u32,
    pub(crate) headers: Vec<BatchHeader>,
}

impl Head {
    /// The head of an entry; empty for everything but appends.
    pub(crate) fn of(record: &LogRecord) -> Result<Self, HotError> {
        if record.kind != EntryKind::Append {
            return Ok(Self { min_ts: i64::MAX, max_ts: i64::MIN, ..Self::default() });
        }
        let invalid = |reason: &str| HotError::Invalid { lsn: record.lsn, reason: reason.to_owned() };
        let append = LogAppend::decode(record.payload.clone()).map_err(|error| invalid(&error.to_string()))?;
        let headers: Option<Vec<_>> = append.batches.into_iter().map(|batch| batch.header).collect();
        Ok(Self::joined(headers.ok_or_else(|| invalid("a batch has no header"))?))
    }

    fn joined(headers: Vec<BatchHeader>) -> Self {
        Self {
            rows: headers.iter().map(|header| u64::from(header.rows)).sum(),
            min_ts: headers.iter().map(|header| header.min_timestamp_us).min().unwrap_or(i64::MAX),
            max_ts: headers.iter().map(|header| header.max_timestamp_us).max().unwrap_or(i64::MIN),
            types: headers.iter().fold(0, |types, header| types | header.event_types),
            headers,
        }
    }

    /// The headers alone with a checksum in front, as they stand in the column `head`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; CRC_BYTES];
        for header in &self.headers {
            header.encode_length_delimited(&mut out).expect("invariant: a vector takes everything");
        }
        let crc = crc32fast::hash(&out[CRC_BYTES..]);
        out[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` when it is not what was written: a flipped bit would hide the entry from lookups.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<BatchHeader>> {
        let (crc, mut rest) = bytes.split_first_chunk::<CRC_BYTES>()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut headers = Vec::new();
        while !rest.is_empty() {
            headers.push(BatchHeader::decode_length_delimited(&mut rest).ok()?);
        }
        Some(headers)
    }
}

/// Checksum over everything that an entry means: SQLite does not notice a flipped bit.
pub(crate) fn checksum(lsn: Lsn, term: Term, kind: u8, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&lsn.0.to_le_bytes());
    crc.update(&term.0.to_le_bytes());
    crc.update(&[kind]);
    crc.update(payload);
    crc.finalize()
}
