//! Answers that are larger than a session takes at a time: the first piece at once, the others when they are asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use watershed_schema::NodeId;

/// Kind of a question for the next piece.
pub(super) const MORE: u8 = 101;
/// Bytes of a piece.
const PIECE_BYTES: usize = 192 * 1024;
/// Bytes of answers that wait for their last piece.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(30);

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
pub(super) struct Rests(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    answers: BTreeMap<(NodeId, u64), (Instant, Bytes)>,
    bytes: usize,
    next: u64,
}

impl Rests {
    /// What is sent of an answer at once; the rest is kept for a while.
    pub(super) fn first(&self, to: NodeId, answer: Bytes) -> Result<Bytes, String> {
        if answer.len() <= PIECE_BYTES {
            return Ok([&[0], answer.as_ref()].concat().into());
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.forget_old();
        if waiting.bytes + answer.len() > WAITING_BYTES_MAX {
            return Err(format!("{} bytes more than {WAITING_BYTES_MAX} wait to be fetched", answer.len()));
        }
        waiting.next += 1;
        let id = waiting.next;
        let mut first = BytesMut::with_capacity(13 + PIECE_BYTES);
        first.put_u8(1);
        first.put_u64(id);
        first.put_u32(u32::try_from(answer.len()).unwrap_or(u32::MAX));
        first.put_slice(&answer[..PIECE_BYTES]);
        waiting.bytes += answer.len();
        waiting.answers.insert((to, id), (Instant::now(), answer));
        Ok(first.freeze())
    }

    /// The piece that is asked for; the last one ends it.
    pub(super) fn next(&self, to: NodeId, mut body: Bytes) -> Result<Bytes, String> {
        if body.len() != 12 {
            return Err(format!("a question for more of {} bytes, must be 12", body.len()));
        }
        let (id, at) = (body.get_u64(), body.get_u32() as usize);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, answer) = waiting.answers.get(&(to, id)).ok_or("an answer that is not known any more")?;
        if at >= answer.len() {
            return Err(format!("a piece at {at} of {}", answer.len()));
        }
        let piece = answer.slice(at..answer.len().min(at + PIECE_BYTES));
        if at + piece.len() == answer.len() {
            waiting.forget((to, id));
        }
        Ok(piece)
    }
}

impl Waiting {
    fn forget(&mut self, key: (NodeId, u64)) {
        if let Some((_, answer)) = self.answers.remove(&key) {
            self.bytes -= answer.len();
        }
    }

    fn forget_old(&mut self) {
        let old: Vec<_> = self.answers.iter().filter(|(_, (since, _))| since.elapsed() > WAIT_MAX).map(|(key, _)| *key).collect();
        old.into_iter().for_each(|key| self.forget(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_the_answer_again() {
        let (rests, me) = (Rests::default(), NodeId(1));
        let answer: Bytes = (0..=250_u8).cycle().take(PIECE_BYTES * 2 + 7).collect();
        let Ok(Piece::First(First { id, total, piece })) = opened(rests.first(me, answer.clone()).unwrap()) else {
            panic!("parted")
        };
        assert_eq!(total, answer.len());
        assert!(rests.next(NodeId(2), more(id, PIECE_BYTES)).is_err(), "it is somebody else's");
        let second = rests.next(me, more(id, PIECE_BYTES)).unwrap();
        let third = rests.next(me, more(id, PIECE_BYTES * 2)).unwrap();
        assert_eq!([piece, second, third].concat(), answer);
        assert!(rests.next(me, more(id, PIECE_BYTES)).is_err(), "it was fetched");
        assert_eq!(rests.0.lock().unwrap().bytes, 0);
    }

    #[test]
    fn a_small_answer_comes_whole() {
        let answer = Bytes::from_static(b"small");
        assert_eq!(opened(Rests::default().first(NodeId(1), answer.clone()).unwrap()), Ok(Piece::Whole(answer)));
        assert!(opened(Bytes::new()).is_err() && opened(Bytes::from_static(&[1, 2])).is_err());
    }
}
