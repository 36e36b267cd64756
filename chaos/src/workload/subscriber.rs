//! One subscription that lives through everything: it goes from node to node with its resume token.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, sleep, timeout};
use watershed_client::{Client, Filter, Item, Start};

use super::Shared;
use super::otlp::id_of;
use crate::checker::{Moment, Read, Row};
use crate::random::Random;

const STREAM: u64 = 2 << 8;
/// A node that has nothing for so long is left: it may be frozen or cut off.
const SILENCE_MAX: Duration = Duration::from_secs(3);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// What a subscription saw.
#[derive(Debug)]
pub struct Followed {
    tenant: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    /// Behind the last row.
    token: Option<bytes::Bytes>,
    gaps: Vec<String>,
    /// Errors that are no lost connection, and how often each came.
    errors: BTreeMap<String, u64>,
    resumed: u64,
}

impl Followed {
    pub(super) fn new(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose events.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// How many events it saw.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().rows.len()
    }

    /// How often it went on from its token.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.state().resumed
    }

    /// What the server said that no subscriber should hear; for people, the set says what was lost.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let state = self.state();
        let errors = state.errors.iter().map(|(error, times)| format!("{error} ({times} times)"));
        errors.chain(state.gaps.iter().cloned()).map(|said| format!("subscription of {}: {said}", self.tenant)).collect()
    }

    /// For the checker.
    #[must_use]
    pub fn read(&self) -> Read {
        let rows = self.state().rows.clone();
        Read { reader: "subscription".to_owned(), tenant: self.tenant.clone(), moment: Moment::Final, rows }
    }

    fn start(&self) -> Start {
        let mut state = self.state();
        state.resumed += 1;
        state.token.clone().map_or(Start::Earliest, Start::Token)
    }

    fn take(&self, item: Item) {
        let mut state = self.state();
        if let Some(lost) = item.lost {
            state.gaps.push(format!("a gap in shard {}: {lost:?}", item.shard));
        }
        let row = |(seq, id): (u64, Option<u64>)| Row { id: id.unwrap_or(u64::MAX), shard: item.shard, seq };
        let seen = item.events.into_iter().map(|(seq, event)| (seq, event.span_id.as_deref().and_then(id_of)));
        state.rows.extend(seen.map(row));
        state.token = Some(item.resume_token);
    }

    fn complain(&self, error: &watershed_client::Error) {
        *self.state().errors.entry(error.to_string()).or_default() += 1;
    }
}

/// Follows until the run is over.
pub(super) async fn follow(followed: Arc<Followed>, number: u64, shared: Arc<Shared>) {
    let mut random = Random::new(shared.seed, STREAM + number);
    while !shared.all_stop.load(Ordering::Relaxed) {
        let endpoint = &shared.endpoints[random.place(shared.endpoints.len())];
        // It leaves a good node, too: going on elsewhere must always work.
        let leaves = Instant::now() + Duration::from_secs(random.between(4, 12));
        if let Ok(Ok(client)) = timeout(CONNECT_DEADLINE, Client::connect(endpoint)).await {
            let client = client.with_tenant(&followed.tenant).expect("invariant: a tenant's name is ASCII");
            follow_one(&followed, &client, leaves).await;
        }
        sleep(PAUSE).await;
    }
}

async fn follow_one(followed: &Followed, client: &Client, leaves: Instant) {
    let mut stream = client.subscribe(Filter::default(), followed.start());
    while Instant::now() < leaves {
        match timeout(SILENCE_MAX, stream.next()).await {
            Ok(Some(Ok(item))) => followed.take(item),
            Ok(Some(Err(error))) => return followed.complain(&error),
            Ok(None) | Err(_) => return,
        }
    }
}
