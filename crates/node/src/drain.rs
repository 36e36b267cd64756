//! Whether the node is going away: nothing new is taken, streams end, what is in flight is finished.

use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;

/// Cheap to clone, all clones are one: a node has one.
#[derive(Clone)]
pub(crate) struct Drain(CancellationToken);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(CancellationToken::new())
    }

    pub(crate) fn begin(&self) {
        self.0.cancel();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns when it begins.
    pub(crate) async fn begun(&self) {
        self.0.cancelled().await;
    }

    pub(crate) fn refuse_if_begun(&self) -> Result<(), Refusal> {
        if self.has_begun() { Err(Refusal::Unavailable("the node is draining".to_owned())) } else { Ok(()) }
    }
}
