//! A node stands still under load: the others must not hoard what it does not take.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::load::{self, Load};
use super::nodes::Nodes;
use crate::out::Failure;
use crate::procfs;

/// Seconds in which the frozen node catches up.
const AFTERWARDS: u64 = 20;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long it is frozen.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Seconds of load before: caches fill up, whether a node is frozen or not.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600))]
    warm_up: u64,
    /// Records a second meanwhile.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
}

pub(super) async fn run(nodes: &Nodes, flags: &Flags) -> Result<Value, Failure> {
    let load = load::Flags { seconds: 0, batch: 512, connections: 4, tenants: 0, rate: flags.rate };
    let frozen = nodes.pids().len() - 1;
    let mut others = nodes.targets();
    others.truncate(frozen);
    let senders = Load::start(&others, &load);
    let (mut series, pids) = (Vec::new(), nodes.pids());
    let (from, to) = (flags.warm_up, flags.warm_up + flags.seconds);
    for second in 0..to + AFTERWARDS {
        if second == from || second == to {
            nodes.signal(frozen, if second == from { "STOP" } else { "CONT" })?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        series.push(pids.iter().filter_map(|pid| procfs::resident_bytes(*pid)).map(|bytes| bytes >> 20).collect::<Vec<_>>());
    }
    let mut sent = senders.stop().await?;
    Ok(json!({
        "phase": "freeze", "frozen_from_second": from, "frozen_to_second": to,
        "load": sent.json(), "resident_mib_each_second_by_node": series,
    }))
}
