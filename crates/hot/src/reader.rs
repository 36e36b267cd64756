//! Reading the file; every payload is held against its checksum.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};
use watershed_schema::proto::{BatchHeader, LogAppend};
use watershed_schema::{EntryKind, LogRecord, Lsn, Seq, Term};

use crate::entry::{Head, checksum};
use crate::{Block, HotError, ScanPage, ScanRequest};

pub(crate) fn open(path: &Path) -> Result<Connection, HotError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

pub(crate) fn meta(connection: &Connection, key: &str) -> Result<Option<Bytes>, HotError> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

pub(crate) fn last(connection: &Connection) -> Result<Option<(Lsn, Term)>, HotError> {
    let last = connection.query_row("SELECT lsn, term FROM log ORDER BY lsn DESC LIMIT 1", [], |row| {
        Ok((Lsn(row.get::<_, i64>(0)?.cast_unsigned()), Term(row.get::<_, i64>(1)?.cast_unsigned())))
    });
    Ok(last.optional()?)
}

/// The first number that is here, or would be.
pub(crate) fn first_seq(connection: &Connection) -> Result<Seq, HotError> {
    let kept = meta(connection, crate::store::FIRST_SEQ)?;
    let kept = kept.and_then(|bytes| Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?)));
    Ok(kept.map_or(Seq::FIRST, Seq))
}

pub(crate) fn next_seq(connection: &Connection) -> Result<Seq, HotError> {
    next_seq_after(connection, Lsn(i64::MAX.cast_unsigned()))
}

pub(crate) fn next_seq_after(connection: &Connection, lsn: Lsn) -> Result<Seq, HotError> {
    const LAST: &str = "SELECT first_seq + rows FROM heads WHERE lsn <= ?1 ORDER BY lsn DESC LIMIT 1";
    let next = connection.query_row(LAST, [lsn.0.cast_signed()], |row| row.get::<_, i64>(0));
    match next.optional()? {
        Some(next) => Ok(Seq(next.cast_unsigned())),
        None => first_seq(connection),
    }
}

pub(crate) fn records(connection: &Connection, from: Lsn, to: Lsn, bytes_max: usize) -> Result<Vec<LogRecord>, HotError> {
    let to = i64::try_from(to.0).unwrap_or(i64::MAX);
    let mut statement =
        connection.prepare_cached("SELECT lsn, term, kind, crc, payload FROM log WHERE lsn >= ?1 AND lsn < ?2 ORDER BY lsn")?;
    let mut rows = statement.query([from.0.cast_signed(), to])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = checked(row)?;
        bytes += record.payload.len();
        if !records.is_empty() && bytes > bytes_max {
            break;
        }
        records.push(record);
    }
    Ok(records)
}

/// A row `lsn, term, kind, crc, payload` that is what was written.
fn checked(row: &Row<'_>) -> Result<LogRecord, HotError> {
    let lsn = Lsn(row.get::<_, i64>(0)?.cast_unsigned());
    let term = Term(row.get::<_, i64>(1)?.cast_unsigned());
    let (kind, crc): (u8, u32) = (row.get(2)?, row.get(3)?);
    let payload = Bytes::from(row.get::<_, Vec<u8>>(4)?);
    let known = EntryKind::from_number(kind).filter(|_| checksum(lsn, term, kind, &payload) == crc);
    let kind = known.ok_or(HotError::Corrupt { lsn })?;
    Ok(LogRecord { lsn, term, kind, payload })
}

const HEADS: &str = "
    SELECT lsn, first_seq, rows, head FROM heads
    WHERE lsn >= (SELECT coalesce(max(lsn), 0) FROM heads WHERE first_seq <= ?1 AND rows > 0)
      AND first_seq < ?2 AND rows > 0
    ORDER BY lsn";
const PAYLOAD: &str = "SELECT lsn, term, kind, crc, payload FROM log WHERE lsn = ?1";

pub(crate) fn scan(connection: &Connection, request: &ScanRequest) -> Result<ScanPage, HotError> {
    let mut statement = connection.prepare_cached(HEADS)?;
    let mut rows = statement.query(range(connection, request)?)?;
    let mut page = ScanPage { blocks: Vec::new(), next_seq: request.from_seq };
    let mut bytes = 0;
    while request.from_seq < request.to_seq_exclusive
        && let Some(row) = rows.next()?
    {
        if bytes > 0 && bytes >= request.bytes_max {
            return Ok(page);
        }
        bytes += visit(connection, row, request, &mut page)?;
    }
    Ok(page)
}

/// What is asked of `HEADS`; an error when its beginning is gone.
fn range(connection: &Connection, request: &ScanRequest) -> Result<[i64; 2], HotError> {
    let first = first_seq(connection)?;
    if request.from_seq < first {
        return Err(HotError::Trimmed { first });
    }
    Ok([request.from_seq.0.cast_signed(), i64::try_from(request.to_seq_exclusive.0).unwrap_or(i64::MAX)])
}

/// Headers of matching batches with the number of their first event; no payload is read.
pub(crate) fn heads(connection: &Connection, request: &ScanRequest) -> Result<Vec<(Seq, BatchHeader)>, HotError> {
    let mut statement = connection.prepare_cached(HEADS)?;
    let mut rows = statement.query(range(connection, request)?)?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        let (_, mut next, _, headers) = entry(row)?;
        for header in headers {
            let first_seq = next;
            next = first_seq.advanced_by(header.rows);
            let inside = next > request.from_seq && first_seq < request.to_seq_exclusive;
            if inside && request.may_match(&header) {
                heads.push((first_seq, header));
            }
        }
    }
    Ok(heads)
}

/// A row of `HEADS`: entry, first event, behind the last, headers.
fn entry(row: &Row<'_>) -> Result<(Lsn, Seq, Seq, Vec<BatchHeader>), HotError> {
    let lsn = Lsn(row.get::<_, i64>(0)?.cast_unsigned());
    let first = Seq(row.get::<_, i64>(1)?.cast_unsigned());
    let end = Seq(first.0 + row.get::<_, i64>(2)?.cast_unsigned());
    let headers = Head::decode(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?);
    Ok((lsn, first, end, headers.ok_or(HotError::Corrupt { lsn })?))
}

/// Adds an entry's matching batches; returns the bytes that were read.
fn visit(connection: &Connection, row: &Row<'_>, request: &ScanRequest, page: &mut ScanPage) -> Result<usize, HotError> {
    let (lsn, first, end, headers) = entry(row)?;
    page.next_seq = page.next_seq.max(end.min(request.to_seq_exclusive));
    if end <= request.from_seq || !headers.iter().any(|header| request.may_match(header)) {
        return Ok(0);
    }
    let mut payload = connection.prepare_cached(PAYLOAD)?;
    let found = payload.query_row([lsn.0.cast_signed()], |row| Ok(checked(row))).optional()?;
    // Within one statement's snapshot this cannot happen; if it does, the entry was trimmed.
    let Some(record) = found.transpose()? else { return Err(HotError::Trimmed { first: end }) };
    let append = LogAppend::decode(record.payload.clone()).map_err(|_damaged| HotError::Corrupt { lsn })?;
    let mut next = first;
    for (batch, header) in append.batches.into_iter().zip(&headers) {
        let first_seq = next;
        next = first_seq.advanced_by(header.rows);
        let wanted = next > request.from_seq && first_seq < request.to_seq_exclusive;
        if wanted && request.may_match(header) {
            page.blocks.push(Block { first_seq, batch });
        }
    }
    Ok(record.payload.len())
}
