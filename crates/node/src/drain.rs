//! Whether the node is going away: nothing new is taken, streams end, what is in flight is finished.

use std::sync::Arc;

use tokio::sync::watch;

use crate::refusal::Refusal;

/// Cheap to clone; one for the whole node.
#[derive(Clone)]
pub(crate) struct Drain(Arc<watch::Sender<bool>>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it begins.
    pub(crate) async fn begun(&self) {
        drop(self.0.subscribe().wait_for(|draining| *draining).await);
    }

    pub(crate) fn refuse_if_begun(&self) -> Result<(), Refusal> {
        if self.has_begun() { Err(Refusal::Unavailable("the node is draining".to_owned())) } else { Ok(()) }
    }
}
