//! Messages inside the copy: <https://www.postgresql.org/docs/current/protocol-replication.html>, "Streaming Replication".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;

use crate::connection::{Connection, Incoming};
use crate::{Lsn, PumpError};

/// Seconds from 1970 to 2000, PostgreSQL's epoch.
const EPOCH_SECONDS: u64 = 946_684_800;

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// What the plugin wrote, and its place: that of the change; for a commit, the end of the transaction.
    Data { at: Lsn, text: Bytes },
    /// Everything up to `end` was decoded, and what belongs to the stream sent before.
    KeepAlive { end: Lsn, wants_reply: bool },
}

/// A stream of changes.
pub(crate) struct Replication(Connection);

impl Replication {
    /// Sends the command that begins it.
    pub(crate) async fn start(mut connection: Connection, command: &str) -> Result<Self, PumpError> {
        connection.copy_both(command).await?;
        Ok(Self(connection))
    }

    /// The next frame. Nothing is lost when it is dropped half-way.
    pub(crate) async fn next(&mut self) -> Result<Frame, PumpError> {
        loop {
            match self.0.next().await? {
                Incoming::Message(Message::CopyData(body)) => return frame(body.into_bytes()),
                Incoming::Message(Message::CopyDone | Message::CommandComplete(_) | Message::ReadyForQuery(_)) => {
                    return Err(PumpError::closed());
                }
                _ => {}
            }
        }
    }

    /// Tells the server that it may forget what is below `confirmed`.
    pub(crate) async fn confirm(&mut self, confirmed: Lsn) -> Result<(), PumpError> {
        self.0.send_copy_data(&status(confirmed, SystemTime::now())).await
    }

    /// Ends the stream and waits until the server has, too: then it has read the last confirmation.
    pub(crate) async fn finish(mut self) -> Result<(), PumpError> {
        self.0.send_copy_done().await?;
        while !matches!(self.0.next().await?, Incoming::Message(Message::ReadyForQuery(_))) {}
        self.0.terminate().await
    }
}

fn frame(mut bytes: Bytes) -> Result<Frame, PumpError> {
    const DATA_HEAD: usize = 1 + 3 * 8;
    const KEEP_ALIVE: usize = 1 + 2 * 8 + 1;
    match bytes.first() {
        Some(b'w') if bytes.len() >= DATA_HEAD => {
            bytes.advance(1);
            let at = Lsn(bytes.get_u64());
            bytes.advance(2 * 8);
            Ok(Frame::Data { at, text: bytes })
        }
        Some(b'k') if bytes.len() >= KEEP_ALIVE => {
            bytes.advance(1);
            let end = Lsn(bytes.get_u64());
            bytes.advance(8);
            Ok(Frame::KeepAlive { end, wants_reply: bytes.get_u8() != 0 })
        }
        _ => Err(PumpError::Protocol(format!("a message of the stream that is not known: {:?}", bytes.first()))),
    }
}

/// Written, flushed, applied: for us all the same.
fn status(confirmed: Lsn, now: SystemTime) -> BytesMut {
    let epoch = UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS);
    let micros = now.duration_since(epoch).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
    let mut out = BytesMut::new();
    out.put_u8(b'r');
    (0..3).for_each(|_| out.put_u64(confirmed.0));
    out.put_u64(micros);
    out.put_u8(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_what_is_cut_is_an_error() {
        let data = [&b"w"[..], &7_u64.to_be_bytes(), &8_u64.to_be_bytes(), &9_u64.to_be_bytes(), b"{}"].concat();
        assert_eq!(frame(data.clone().into()).unwrap(), Frame::Data { at: Lsn(7), text: Bytes::from_static(b"{}") });
        let alive = [&b"k"[..], &7_u64.to_be_bytes(), &8_u64.to_be_bytes(), b"\x01"].concat();
        assert_eq!(frame(alive.clone().into()).unwrap(), Frame::KeepAlive { end: Lsn(7), wants_reply: true });
        for cut in [&data[..20], &alive[..17], b"x", b""] {
            assert!(frame(Bytes::copy_from_slice(cut)).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn a_confirmation_counts_time_from_the_year_2000() {
        let out = status(Lsn(5), UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS + 1));
        assert_eq!((out.len(), out[0], out[8], out[16], out[24]), (34, b'r', 5, 5, 5));
        assert_eq!(out[25..33], 1_000_000_u64.to_be_bytes());
    }
}
