//! A node stands still under load: the others must not hoard what it does not take.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::load::{self, Load};
use super::nodes::Nodes;
use crate::out::Failure;
use crate::procfs;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long it is frozen.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Records a second meanwhile.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
}

pub(super) async fn run(nodes: &Nodes, flags: &Flags) -> Result<Value, Failure> {
    let load = load::Flags { seconds: 0, batch: 512, connections: 4, rate: flags.rate };
    let frozen = nodes.pids().len() - 1;
    let mut others = nodes.targets();
    others.truncate(frozen);
    let senders = Load::start(&others, &load);
    let (mut series, pids) = (Vec::new(), nodes.pids());
    for second in 0..flags.seconds + 20 {
        match second {
            10 => nodes.signal(frozen, "STOP")?,
            second if second == flags.seconds + 10 => nodes.signal(frozen, "CONT")?,
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        series.push(pids.iter().filter_map(|pid| procfs::resident_bytes(*pid)).map(|bytes| bytes >> 20).collect::<Vec<_>>());
    }
    let mut sent = senders.stop().await?;
    Ok(json!({
        "phase": "freeze", "frozen_from_second": 10, "frozen_to_second": flags.seconds + 10,
        "load": sent.json(), "resident_mib_each_second_by_node": series,
    }))
}
