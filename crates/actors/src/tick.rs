//! An actor that does one thing again and again; it has no other messages.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};

/// What is done.
pub(crate) trait Tick: Sized + Send + Sync + 'static {
    /// How often.
    const EVERY: Duration;

    /// Does it once. An error ends the node.
    fn tick(&mut self) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send;

    /// Starts it under `supervisor`.
    fn start(self, supervisor: ActorCell) -> impl Future<Output = Result<ActorRef<Now>, SpawnErr>> + Send {
        async { Ok(Ticking::spawn_linked(None, Ticking(PhantomData), self, supervisor).await?.0) }
    }
}

pub(crate) struct Now;

impl ractor::Message for Now {}

struct Ticking<T>(PhantomData<T>);

impl<T: Tick> Actor for Ticking<T> {
    type Msg = Now;
    type State = T;
    type Arguments = T;

    async fn pre_start(&self, myself: ActorRef<Now>, state: T) -> Result<T, ActorProcessingErr> {
        drop(myself.send_interval(T::EVERY, || Now));
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Now>, Now: Now, state: &mut T) -> Result<(), ActorProcessingErr> {
        Box::pin(state.tick()).await
    }
}
