//! Who holds many rows in memory, one after the other: a run that is staged, columns that are merged. So a process needs memory
//! for the greatest of these, not for their sum.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Given in the order in which they were asked for. Clones give the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<()>>);

/// Until it is dropped, nobody else has one.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not looked at")] OwnedMutexGuard<()>);

impl Turns {
    pub(crate) async fn next(&self) -> Turn {
        Turn(Arc::clone(&self.0).lock_owned().await)
    }
}
