//! Work that may wait, on a thread of its own whose priority is lower than that of those who acknowledge.

use std::io;
use std::thread;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::sync::oneshot;

/// Runs `work`; a panic is an error. Not on the runtime's pool: a thread cannot raise its priority again.
pub(crate) async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, waiting) = oneshot::channel();
    let work = move || {
        step_back();
        // Who waited may be gone.
        drop(done.send(work()));
    };
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    waiting.await.map_err(io::Error::other)
}

/// About a quarter of the share of others where the processor is short, all of it where it is not: sched(7), niceness 6.
fn step_back() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    let set = |priority| set_thread_priority_and_policy(thread_native_id(), priority, policy);
    let share = ThreadPriorityValue::try_from(PRIORITY).map(ThreadPriority::Crossplatform);
    if !share.is_ok_and(|share| set(share).is_ok()) {
        tracing::debug!("background work keeps the priority of the process");
    }
}

/// Of 99; the default is 49 (niceness 0).
const PRIORITY: u8 = 33;
