//! Calls that are larger than a session takes at a time: sent in parts, put together again.
//!
//! One part is on its way at a time, so heartbeats pass between them.

use std::sync::{Mutex, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use watershed_schema::NodeId;

use super::waiting::Waiting;

/// Kind of a part; the inner call's stands in its head.
pub(super) const PART: u8 = 100;
/// Bytes of a part.
pub(super) const PART_BYTES: usize = 192 * 1024;
const HEAD_BYTES: usize = 8 + 4 + 4 + 1;

/// The parts of a call.
pub(super) fn cut(id: u64, kind: u8, body: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..body.len()).step_by(PART_BYTES).map(move |from| {
        let piece = &body[from..body.len().min(from + PART_BYTES)];
        let mut part = BytesMut::with_capacity(HEAD_BYTES + piece.len());
        part.put_u64(id);
        part.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        part.put_u32(u32::try_from(from).unwrap_or(u32::MAX));
        part.put_u8(kind);
        part.put_slice(piece);
        part.freeze()
    })
}

/// Calls that are not whole yet.
#[derive(Default)]
pub(super) struct Parts(Mutex<Waiting<BytesMut>>);

impl Parts {
    /// Takes a part; the call's kind and body when it was the last.
    pub(super) fn take(&self, from: NodeId, mut part: Bytes) -> Result<Option<(u8, Bytes)>, String> {
        if part.len() < HEAD_BYTES {
            return Err(format!("a part of {} bytes, at least {HEAD_BYTES}", part.len()));
        }
        let (id, total, at, kind) = (part.get_u64(), part.get_u32() as usize, part.get_u32() as usize, part.get_u8());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if at == 0 {
            waiting.insert((from, id), total, BytesMut::new())?;
        }
        let body = waiting.get_mut((from, id)).ok_or("a part of a call that is not known")?;
        if body.len() != at || at + part.len() > total {
            return Err(format!("a part at {at}, expected at {}", body.len()));
        }
        body.extend_from_slice(&part);
        if body.len() < total {
            return Ok(None);
        }
        Ok(waiting.remove((from, id)).map(|whole| (kind, whole.freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_the_call_again() {
        let parts = Parts::default();
        let body: Bytes = (0..=250_u8).cycle().take(PART_BYTES * 2 + 7).collect();
        let cut: Vec<Bytes> = cut(7, 2, &body).collect();
        assert_eq!(cut.len(), 3);
        assert_eq!(parts.take(NodeId(1), cut[0].clone()), Ok(None));
        assert_eq!(parts.take(NodeId(2), cut[0].clone()), Ok(None), "each node counts for itself");
        assert_eq!(parts.take(NodeId(1), cut[1].clone()), Ok(None));
        assert_eq!(parts.take(NodeId(1), cut[2].clone()), Ok(Some((2, body))));
        assert!(parts.take(NodeId(1), cut[1].clone()).is_err(), "it was whole");
        assert!(parts.take(NodeId(2), cut[2].clone()).unwrap_err().contains("expected at"), "one is missing");
        assert!(parts.take(NodeId(1), Bytes::from_static(b"short")).is_err());
    }
}
