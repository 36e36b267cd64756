//! Appends of one stream may arrive in any order; here each waits for its turn.
//!
//! An append ahead of its predecessor would be answered with a conflict behind an acknowledgement: to openraft that is a
//! follower that lost its log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::GroupError;
use super::wire::Place;

/// How long an append waits for those before it. They may be lost; then the sender starts a new stream.
const TURN_MAX: Duration = Duration::from_millis(250);

/// The newest stream of each sender. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Inbound(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By sender: place of the next append. As large as the group has ever had leaders.
    next: Mutex<BTreeMap<u64, Place>>,
    moved: Notify,
}

enum Turn {
    Now,
    Wait,
    /// The sender has given the stream up.
    Gone,
}

impl Inbound {
    /// Waits until all appends before `place` were handed on.
    ///
    /// # Errors
    /// [`GroupError::BadMessage`] when they do not come, or nobody waits for the answer any more.
    pub(crate) async fn turn(&self, sender: u64, place: Place) -> Result<(), GroupError> {
        let waited = tokio::time::timeout(TURN_MAX, async {
            loop {
                let mut moved = std::pin::pin!(self.0.moved.notified());
                // Before the look: what moves between the look and the wait must wake us.
                moved.as_mut().enable();
                match self.look(sender, place) {
                    Turn::Now => return Ok(()),
                    Turn::Gone => return Err(GroupError::BadMessage("append of a stream that was given up".to_owned())),
                    Turn::Wait => moved.await,
                }
            }
        });
        waited.await.unwrap_or_else(|_late| Err(GroupError::BadMessage("append without its predecessor".to_owned())))
    }

    fn look(&self, sender: u64, place: Place) -> Turn {
        let next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner).get(&sender).copied();
        let same_life = next.filter(|next| next.incarnation == place.incarnation);
        match same_life {
            Some(next) if next.stream > place.stream => Turn::Gone,
            // A repeated append changes nothing, so it may pass.
            Some(next) if next.stream == place.stream && place.number <= next.number => Turn::Now,
            _ if place.number == 0 => Turn::Now,
            _ => Turn::Wait,
        }
    }

    /// The append at `place` was handed on.
    pub(crate) fn passed(&self, sender: u64, place: Place) {
        let mut streams = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        let after = Place { number: place.number + 1, ..place };
        let known = streams.entry(sender).or_insert(after);
        if (known.incarnation, known.stream) != (place.incarnation, place.stream) || known.number < after.number {
            *known = after;
        }
        drop(streams);
        self.0.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stream: u64, number: u64) -> Place {
        Place { incarnation: 7, stream, number }
    }

    #[tokio::test]
    async fn appends_that_overtook_each_other_pass_in_order() {
        let (inbound, order) = (Inbound::default(), Arc::new(Mutex::new(Vec::new())));
        let pass = |number| {
            let (inbound, order) = (inbound.clone(), Arc::clone(&order));
            async move {
                inbound.turn(1, place(0, number)).await.expect("its turn");
                order.lock().expect("lock").push(number);
                inbound.passed(1, place(0, number));
            }
        };
        futures::future::join_all([3, 1, 2, 0].map(pass)).await;
        assert_eq!(*order.lock().expect("lock"), [0, 1, 2, 3]);
        inbound.turn(1, place(0, 2)).await.expect("a repeated one may pass");
    }

    #[tokio::test]
    async fn what_cannot_come_any_more_is_not_waited_for() {
        let inbound = Inbound::default();
        inbound.passed(1, place(5, 0));
        assert!(inbound.turn(1, place(4, 0)).await.is_err(), "an older stream");
        assert!(inbound.turn(1, place(5, 2)).await.is_err(), "number 1 is lost");
        inbound.turn(1, Place { incarnation: 8, stream: 0, number: 0 }).await.expect("the sender started again");
        inbound.turn(2, place(0, 0)).await.expect("another sender");
    }
}
