//! One connection's life: read, put together, deliver, confirm.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::address::Address;
use crate::batch::{Batch, Batcher, Record};
use crate::connection::Connection;
use crate::node::{Answer, Node};
use crate::replication::{Frame, Replication};
use crate::waits::Waits;
use crate::{Lsn, PumpError, Report, Settings, slot};

/// How long a request that is on its way may take after the pump was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What outlives a connection.
pub(crate) struct Session {
    settings: Settings,
    address: Address,
    node: Node,
    report: Report,
}

/// A connection at work.
struct Streaming {
    stream: Replication,
    batcher: Batcher,
    status: Interval,
    /// When the first change of the open batch has waited long enough.
    due: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Goes,
    Stopped,
}

impl Session {
    pub(crate) fn new(settings: Settings) -> Result<Self, PumpError> {
        settings.check()?;
        let (address, node) = (Address::parse(&settings.url)?, Node::new(&settings)?);
        Ok(Self { settings, address, node, report: Report::default() })
    }

    pub(crate) fn report(&self) -> Report {
        self.report
    }

    pub(crate) fn waits(&self) -> Waits {
        Waits::new(self.settings.wait_min, self.settings.wait_max)
    }

    /// Connects and pumps until `shutdown`.
    pub(crate) async fn run(&mut self, shutdown: impl Future<Output = ()> + Clone) -> Result<(), PumpError> {
        let mut streaming = tokio::select! {
            streaming = self.connect() => streaming?,
            () = shutdown.clone() => return Ok(()),
        };
        while self.step(&mut streaming, shutdown.clone()).await? == Flow::Goes {}
        let Streaming { mut stream, .. } = streaming;
        let good_bye = async {
            stream.confirm(self.report.confirmed).await?;
            stream.finish().await
        };
        // What is confirmed is safe; if the good-bye is not heard, the slot gives the same again.
        match timeout(STOP_GRACE, good_bye).await {
            Ok(Ok(())) => tracing::info!(confirmed = %self.report.confirmed, "stopped"),
            Ok(Err(error)) => tracing::warn!(%error, "stopped without a good-bye"),
            Err(_elapsed) => tracing::warn!("stopped; PostgreSQL did not answer the good-bye"),
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Streaming, PumpError> {
        let mut connection = Connection::open(&self.address).await?;
        let origin = slot::origin(&mut connection).await?;
        slot::ensure(&mut connection, &self.settings, &origin).await?;
        let stream = Replication::start(connection, &slot::start_command(&self.settings)).await?;
        tracing::info!(slot = %self.settings.slot, database = %origin.database, to = %self.settings.to, "streaming");
        let mut status = interval(self.settings.status_interval);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Streaming { stream, batcher: Batcher::new(&self.settings, &origin), status, due: None })
    }

    async fn step(&mut self, streaming: &mut Streaming, shutdown: impl Future<Output = ()> + Clone) -> Result<Flow, PumpError> {
        let due = streaming.due;
        tokio::select! {
            biased;
            () = shutdown.clone() => Ok(Flow::Stopped),
            _ = streaming.status.tick() => {
                streaming.stream.confirm(self.report.confirmed).await?;
                Ok(Flow::Goes)
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.deliver(streaming, shutdown).await,
            frame = streaming.stream.next() => self.take(streaming, frame?, shutdown).await,
        }
    }

    async fn take(
        &mut self,
        streaming: &mut Streaming,
        frame: Frame,
        shutdown: impl Future<Output = ()> + Clone,
    ) -> Result<Flow, PumpError> {
        match frame {
            Frame::KeepAlive { end, wants_reply } => {
                streaming.batcher.seen(end);
                self.confirm_if_idle(streaming);
                if wants_reply {
                    streaming.stream.confirm(self.report.confirmed).await?;
                }
            }
            Frame::Data { at, text } => match self.read(streaming, at, &text)? {
                Record::Begin => streaming.batcher.begin(),
                Record::Commit => {
                    streaming.batcher.commit(at);
                    self.confirm_if_idle(streaming);
                }
                Record::Change(line) => {
                    if !streaming.batcher.is_empty() && !streaming.batcher.has_room(&line) {
                        let flow = self.deliver(streaming, shutdown).await?;
                        if flow == Flow::Stopped {
                            return Ok(flow);
                        }
                    }
                    streaming.batcher.push(at, &line);
                    streaming.due.get_or_insert_with(|| Instant::now() + self.settings.linger);
                }
                Record::Other => {}
            },
        }
        Ok(Flow::Goes)
    }

    /// A change that can never be delivered ends the pump, unless it is told to pass over such changes.
    fn read(&mut self, streaming: &mut Streaming, at: Lsn, text: &[u8]) -> Result<Record, PumpError> {
        match streaming.batcher.read(at, text) {
            Err(error) if self.settings.skip_rejected => {
                tracing::error!(%error, "passed over");
                self.report.rejected += 1;
                Ok(Record::Other)
            }
            read => read,
        }
    }

    /// Without changes that wait for an answer, what was seen is done.
    fn confirm_if_idle(&mut self, streaming: &mut Streaming) {
        if streaming.batcher.is_empty() {
            self.confirmed(&streaming.batcher.take());
        }
    }

    fn confirmed(&mut self, batch: &Batch) {
        self.report.confirmed = self.report.confirmed.max(batch.confirms.unwrap_or_default());
    }

    /// Sends the open batch until it is answered, while PostgreSQL hears that we are alive.
    async fn deliver(
        &mut self,
        streaming: &mut Streaming,
        shutdown: impl Future<Output = ()> + Clone,
    ) -> Result<Flow, PumpError> {
        streaming.due = None;
        let mut batch = streaming.batcher.take();
        let body = Bytes::from(std::mem::take(&mut batch.body));
        let answer = {
            let mut answered = pin!(post_until_answered(&self.node, body, self.waits()));
            let mut stopped = pin!(async {
                shutdown.await;
                sleep(STOP_GRACE).await;
            });
            loop {
                tokio::select! {
                    answer = &mut answered => break answer?,
                    _ = streaming.status.tick() => streaming.stream.confirm(self.report.confirmed).await?,
                    () = &mut stopped => return Ok(Flow::Stopped),
                }
            }
        };
        self.count(&batch, &answer)?;
        streaming.stream.confirm(self.report.confirmed).await?;
        Ok(Flow::Goes)
    }

    fn count(&mut self, batch: &Batch, answer: &Answer) -> Result<(), PumpError> {
        if answer.rejected > 0 {
            let (count, reasons) = (answer.rejected, answer.reasons());
            let error = PumpError::Rejected { count, from: batch.places.start, to: batch.places.end, reasons };
            if !self.settings.skip_rejected {
                return Err(error);
            }
            tracing::error!(%error, "passed over");
        }
        self.report.rejected += answer.rejected;
        self.report.changes += (batch.changes as u64).saturating_sub(answer.rejected);
        self.report.requests += 1;
        self.confirmed(batch);
        Ok(())
    }
}

/// Sends a request until the node has taken it or says that it never will.
async fn post_until_answered(node: &Node, body: Bytes, mut waits: Waits) -> Result<Answer, PumpError> {
    loop {
        let error = match node.post(body.clone()).await {
            Err(error) if error.is_retryable() => error,
            answered => return answered,
        };
        let told = if let PumpError::NodeAway { retry_after, .. } = &error { *retry_after } else { None };
        let wait = waits.next_wait().max(told.unwrap_or_default());
        tracing::warn!(%error, ?wait, "not taken, sent again later");
        sleep(wait).await;
    }
}
