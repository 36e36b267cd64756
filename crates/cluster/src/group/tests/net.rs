//! A network in memory that can cut, lose, delay and repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use watershed_schema::NodeId;

use crate::group::Group;
use crate::transport::{Call, RaftCall, Transport, TransportError};

/// How the network behaves, in per cent and milliseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) delay_ms_max: u64,
}

/// What went over the network.
#[derive(Clone, Default)]
pub(super) struct Traffic {
    pub(super) calls: BTreeMap<u8, u64>,
    pub(super) largest: BTreeMap<u8, usize>,
}

/// All nodes and the ways between them. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    groups: BTreeMap<NodeId, Group>,
    cut: BTreeSet<(NodeId, NodeId)>,
    weather: Weather,
    dice: u64,
    traffic: Traffic,
}

impl State {
    /// A number of `0..below`.
    fn roll(&mut self, below: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % below.max(1)
    }
}

impl Net {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("lock")
    }

    pub(super) fn join(&self, node: NodeId, group: Group) {
        self.state().groups.insert(node, group);
    }

    pub(super) fn leave(&self, node: NodeId) {
        self.state().groups.remove(&node);
    }

    /// From now on nothing gets from `from` to `to`; nobody is told.
    pub(super) fn cut(&self, from: NodeId, to: NodeId) {
        self.state().cut.insert((from, to));
    }

    pub(super) fn heal(&self) {
        self.state().cut.clear();
    }

    pub(super) fn set_weather(&self, weather: Weather, seed: u64) {
        let mut state = self.state();
        (state.weather, state.dice) = (weather, seed);
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().traffic.clone()
    }

    pub(super) fn transport(&self, me: NodeId) -> Arc<dyn Transport> {
        Arc::new(Endpoint { me, net: self.clone() })
    }

    /// Whether something gets through, how late, and how often.
    fn way(&self, from: NodeId, to: NodeId) -> Option<(Duration, bool)> {
        let mut state = self.state();
        let weather = state.weather;
        let lost = state.cut.contains(&(from, to)) || state.roll(100) < weather.lost;
        let delay = Duration::from_millis(state.roll(weather.delay_ms_max + 1));
        let repeated = state.roll(100) < weather.repeated;
        (!lost).then_some((delay, repeated))
    }

    fn count(&self, call: &Call) {
        let mut state = self.state();
        *state.traffic.calls.entry(call.kind as u8).or_default() += 1;
        let largest = state.traffic.largest.entry(call.kind as u8).or_default();
        *largest = call.body.len().max(*largest);
    }

    /// One delivery; it goes on when the caller has given up.
    async fn deliver(
        self,
        (from, to): (NodeId, NodeId),
        delay: Duration,
        kind: RaftCall,
        body: Bytes,
    ) -> Option<Result<Bytes, TransportError>> {
        tokio::time::sleep(delay).await;
        let group = self.state().groups.get(&to).cloned();
        let Some(group) = group else { return Some(Err(TransportError::Unreachable(format!("no node {to}")))) };
        let answer = group.receive(kind, body).await.map_err(|error| TransportError::Refused(error.to_string()));
        let (delay, _) = self.way(to, from)?;
        tokio::time::sleep(delay).await;
        Some(answer)
    }
}

struct Endpoint {
    me: NodeId,
    net: Net,
}

#[async_trait::async_trait]
impl Transport for Endpoint {
    async fn call(&self, to: NodeId, call: Call) -> Result<Bytes, TransportError> {
        self.net.count(&call);
        let Some((delay, repeated)) = self.net.way(self.me, to) else { return std::future::pending().await };
        let deliver = |delay| tokio::spawn(self.net.clone().deliver((self.me, to), delay, call.kind, call.body.clone()));
        if repeated {
            drop(deliver(delay * 2));
        }
        match deliver(delay).await {
            Ok(Some(answer)) => answer,
            Ok(None) => std::future::pending().await,
            Err(panicked) => Err(TransportError::Unknown(panicked.to_string())),
        }
    }
}
