//! Reads one shard for all who sleep on it.

use std::time::Duration;

use ractor::ActorRef;
use tokio::time::timeout;
use watershed_hot::ScanRequest;
use watershed_schema::Seq;

use super::hub::{Message, called};
use crate::shard::{Page, ReadError, ShardHandle};

/// How long a shard is waited for before it is looked for again: its replica may have moved.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    pub(super) shard: ShardHandle,
    pub(super) hub: ActorRef<Message>,
}

impl Watch {
    /// Until nobody sleeps there any more.
    pub(super) async fn run(self, from: Seq) {
        let mut next = Some(from);
        while let Some(at) = next {
            let came = self.came(at).await;
            let id = self.shard.id();
            next = called(self.hub.call(|reply| Message::Came(id, came, reply), None).await).ok().flatten();
        }
    }

    /// What is there behind `at`, once there is something; nothing after a while.
    async fn came(&self, at: Seq) -> Option<Result<Page, ReadError>> {
        let mut positions = self.shard.watch();
        let news = timeout(LOOK_AGAIN, positions.wait_for(|now| now.tail() > at)).await.map(|news| news.is_ok());
        match news {
            Ok(true) => {}
            // The replica went.
            Ok(false) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_nothing) => return None,
        }
        Some(self.shard.read(ScanRequest::from(at)).await)
    }
}
