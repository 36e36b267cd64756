//! What an actor's exit means: a stop was asked for, a failure ends the node.
//!
//! A shard that failed has its state on disk and nowhere else that can be trusted, so it is not restarted in
//! place: the node says that it failed, its process ends, and the next start reads the disk.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;

const STOP_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Supervisor;

/// The supervisor hears from its children only.
pub(crate) enum Message {}

impl ractor::Message for Message {}

impl Actor for Supervisor {
    type Msg = Message;
    type State = watch::Sender<Option<String>>;
    type Arguments = watch::Sender<Option<String>>;

    async fn pre_start(&self, _: ActorRef<Message>, failed: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        Ok(failed)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        event: SupervisionEvent,
        failed: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, reason) => {
                tracing::error!(actor = %actor.get_id(), %reason, "an actor failed: the node ends");
                failed.send_replace(Some(reason.to_string()));
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }
}

/// Asks an actor to end and waits.
pub(crate) async fn join<M: ractor::Message>(actor: &ActorRef<M>) {
    if let Err(error) = actor.stop_and_wait(None, Some(STOP_DEADLINE)).await {
        tracing::warn!(%error, "actor did not stop in time");
    }
}
