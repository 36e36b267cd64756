//! Calls and answers as bytes. Every message begins with its version.

use std::time::Duration;

use bytes::Bytes;

use crate::hello::cut;
use crate::limits::REASON_BYTES_MAX;
use crate::{CallError, Refused, Request};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 23;

/// What comes over a session.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// Are you there?
    Heartbeat,
    Call {
        kind: u8,
        group: u32,
        deadline: Duration,
        answer_bytes_max: usize,
        body: Bytes,
    },
}

/// A call's frame; `token` tells the receiver whose it is.
pub(crate) fn call(token: u64, request: &Request, deadline: Duration) -> Vec<u8> {
    let mut frame = head(token, 1, HEAD_BYTES + request.body.len());
    frame.push(request.kind);
    frame.extend_from_slice(&request.group.to_be_bytes());
    let deadline_millis = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1);
    frame.extend_from_slice(&deadline_millis.to_be_bytes());
    frame.extend_from_slice(&u32::try_from(request.answer_bytes_max).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&request.body);
    frame
}

pub(crate) fn heartbeat(token: u64) -> Vec<u8> {
    head(token, 0, HEAD_BYTES)
}

fn head(token: u64, tag: u8, bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(bytes);
    frame.extend_from_slice(&[VERSION, tag]);
    frame.extend_from_slice(&token.to_be_bytes());
    frame
}

/// The token and what is asked. The error is for the caller.
pub(crate) fn read(mut frame: Bytes) -> Result<(u64, Asked), String> {
    let (version, tag) = (take::<1>(&mut frame)?[0], take::<1>(&mut frame)?[0]);
    if version != VERSION {
        return Err(format!("call of version {version}, this node knows {VERSION}"));
    }
    let token = u64::from_be_bytes(take(&mut frame)?);
    match tag {
        0 => Ok((token, Asked::Heartbeat)),
        1 => {
            let kind = take::<1>(&mut frame)?[0];
            let group = u32::from_be_bytes(take(&mut frame)?);
            let deadline = Duration::from_millis(u32::from_be_bytes(take(&mut frame)?).into());
            let answer_bytes_max = usize::try_from(u32::from_be_bytes(take(&mut frame)?)).unwrap_or(usize::MAX);
            Ok((token, Asked::Call { kind, group, deadline, answer_bytes_max, body: frame }))
        }
        _ => Err(format!("message with tag {tag}")),
    }
}

fn take<const N: usize>(frame: &mut Bytes) -> Result<[u8; N], String> {
    if frame.len() < N {
        return Err("call is cut off".to_owned());
    }
    Ok(frame.split_to(N).as_ref().try_into().expect("invariant: split to this length"))
}

/// What goes back.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Done(Bytes),
    Refused(Refused),
    /// The deadline passed while the service was at it.
    Expired,
    /// The answer has so many bytes, more than the caller makes room for.
    TooLarge(usize),
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, body): (u8, &[u8]) = match self {
            Self::Done(body) => (0, body),
            Self::Refused(Refused(reason)) => (1, cut(reason, REASON_BYTES_MAX).as_bytes()),
            Self::Expired => (2, &[]),
            Self::TooLarge(bytes) => (3, &u64::try_from(*bytes).unwrap_or(u64::MAX).to_be_bytes()),
        };
        [&[VERSION, tag], body].concat()
    }

    pub(crate) fn decode(frame: Vec<u8>) -> Result<Self, CallError> {
        let mut body = Bytes::from(frame);
        let unreadable = |_| CallError::Unknown { why: "the answer cannot be read" };
        let head: [u8; 2] = take(&mut body).map_err(unreadable)?;
        match head {
            [VERSION, 0] => Ok(Self::Done(body)),
            [VERSION, 1] => Ok(Self::Refused(Refused(String::from_utf8_lossy(&body).into_owned()))),
            [VERSION, 2] => Ok(Self::Expired),
            [VERSION, 3] => {
                let bytes = u64::from_be_bytes(take(&mut body).map_err(unreadable)?);
                Ok(Self::TooLarge(usize::try_from(bytes).unwrap_or(usize::MAX)))
            }
            _ => Err(unreadable(String::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let request = Request::new(3, 77, Bytes::from_static(b"body")).answer_bytes_max(9);
        let frame = call(5, &request, Duration::from_millis(250));
        let body = Bytes::from_static(b"body");
        let asked = Asked::Call { kind: 3, group: 77, deadline: Duration::from_millis(250), answer_bytes_max: 9, body };
        assert_eq!(read(frame.into()), Ok((5, asked)));
        assert_eq!(read(heartbeat(5).into()), Ok((5, Asked::Heartbeat)));
    }

    #[test]
    fn broken_calls_are_refused() {
        let frame = call(5, &Request::new(3, 77, Bytes::new()), Duration::ZERO);
        for end in 0..frame.len() {
            assert!(read(Bytes::copy_from_slice(&frame[..end])).is_err(), "{end}");
        }
        let newer = [&[9], &frame[1..]].concat();
        assert_eq!(read(newer.into()), Err("call of version 9, this node knows 1".to_owned()));
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let refused = Answer::Refused(Refused("no".to_owned()));
        for answer in [Answer::Done(Bytes::from_static(b"x")), refused, Answer::Expired, Answer::TooLarge(300_000)] {
            assert_eq!(Answer::decode(answer.encode()), Ok(answer));
        }
        assert!(Answer::decode(vec![]).is_err());
        assert!(Answer::decode(vec![2, 0]).is_err());
    }
}
