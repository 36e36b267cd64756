//! Answers that are larger than a session takes at a time: the first piece at once, the others when they are asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use watershed_schema::NodeId;

use super::parts::PART_BYTES;
use super::waiting::Waiting;

/// Kind of a question for the next piece.
pub(super) const MORE: u8 = 101;

/// An answer as it came: whole, or its first piece.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Whole(Bytes),
    First(First),
}

/// The first piece, and what is asked for the others with.
#[derive(Debug, PartialEq)]
pub(super) struct First {
    pub(super) id: u64,
    pub(super) total: usize,
    pub(super) piece: Bytes,
}

/// Reads the head of an answer.
pub(super) fn opened(mut answer: Bytes) -> Result<Piece, String> {
    match answer.try_get_u8() {
        Ok(0) => Ok(Piece::Whole(answer)),
        Ok(1) if answer.len() > 12 => {
            let (id, total) = (answer.get_u64(), answer.get_u32() as usize);
            Ok(Piece::First(First { id, total, piece: answer }))
        }
        _ => Err("an answer without a head".to_owned()),
    }
}

/// The body of a question for the piece at `at`.
pub(super) fn more(id: u64, at: usize) -> Bytes {
    let mut body = BytesMut::with_capacity(12);
    body.put_u64(id);
    body.put_u32(u32::try_from(at).unwrap_or(u32::MAX));
    body.freeze()
}

/// Answers that are not fetched yet.
#[derive(Default)]
pub(super) struct Rests {
    waiting: Mutex<Waiting<Bytes>>,
    next: AtomicU64,
}

impl Rests {
    /// What is sent of an answer at once; the rest is kept for a while.
    pub(super) fn first(&self, to: NodeId, answer: Bytes) -> Result<Bytes, String> {
        if answer.len() <= PART_BYTES {
            return Ok([&[0], answer.as_ref()].concat().into());
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut first = BytesMut::with_capacity(13 + PART_BYTES);
        first.put_u8(1);
        first.put_u64(id);
        first.put_u32(u32::try_from(answer.len()).unwrap_or(u32::MAX));
        first.put_slice(&answer[..PART_BYTES]);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert((to, id), answer.len(), answer)?;
        Ok(first.freeze())
    }

    /// The piece that is asked for; the last one ends it.
    pub(super) fn next(&self, to: NodeId, mut body: Bytes) -> Result<Bytes, String> {
        if body.len() != 12 {
            return Err(format!("a question for more of {} bytes, must be 12", body.len()));
        }
        let (id, at) = (body.get_u64(), body.get_u32() as usize);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = waiting.get_mut((to, id)).ok_or("an answer that is not known any more")?;
        if at >= answer.len() {
            return Err(format!("a piece at {at} of {}", answer.len()));
        }
        let end = answer.len().min(at + PART_BYTES);
        let (piece, is_last) = (answer.slice(at..end), end == answer.len());
        if is_last {
            waiting.remove((to, id));
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_the_answer_again() {
        let (rests, me) = (Rests::default(), NodeId(1));
        let answer: Bytes = (0..=250_u8).cycle().take(PART_BYTES * 2 + 7).collect();
        let Ok(Piece::First(First { id, total, piece })) = opened(rests.first(me, answer.clone()).unwrap()) else {
            panic!("parted")
        };
        assert_eq!(total, answer.len());
        assert!(rests.next(NodeId(2), more(id, PART_BYTES)).is_err(), "it is somebody else's");
        let second = rests.next(me, more(id, PART_BYTES)).unwrap();
        let third = rests.next(me, more(id, PART_BYTES * 2)).unwrap();
        assert_eq!([piece, second, third].concat(), answer);
        assert!(rests.next(me, more(id, PART_BYTES)).is_err(), "it was fetched");
    }

    #[test]
    fn a_small_answer_comes_whole() {
        let answer = Bytes::from_static(b"small");
        assert_eq!(opened(Rests::default().first(NodeId(1), answer.clone()).unwrap()), Ok(Piece::Whole(answer)));
        assert!(opened(Bytes::new()).is_err() && opened(Bytes::from_static(&[1, 2])).is_err());
    }
}
