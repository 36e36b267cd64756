//! What a stream says for as long as its node serves.

use std::future::Future;

use futures::stream::{self, Stream};

use crate::drain::Drain;
use crate::refusal::Refusal;

/// What has something to say, again and again, until it refuses to go on.
pub(super) trait Source: Send + 'static {
    type Told: Send;

    fn next(&mut self) -> impl Future<Output = Result<Self::Told, Refusal>> + Send;
}

/// All of it, until the node drains; that, as any refusal, is the last.
pub(super) fn until_drained<S: Source>(source: S, drain: Drain) -> impl Stream<Item = Result<S::Told, Refusal>> + Send + 'static {
    // In a box: what is moved into a future lies in it twice, and there are as many as there are streams that sleep.
    stream::unfold(Some(Box::new((source, drain))), |open| async move {
        let mut open = open?;
        let (source, drain) = &mut *open;
        let next = tokio::select! {
            biased;
            () = drain.begun() => Err(Refusal::Unavailable("the node is draining, resume elsewhere".to_owned())),
            next = source.next() => next,
        };
        match next {
            Ok(told) => Some((Ok(told), Some(open))),
            Err(refusal) => Some((Err(refusal), None)),
        }
    })
}
