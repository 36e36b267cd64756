//! Nodes that nobody asks anything.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::nodes::Nodes;
use crate::out::Failure;
use crate::procfs;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// How long.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    seconds: u64,
}

pub(super) async fn run(nodes: &Nodes, flags: &Flags) -> Result<Value, Failure> {
    let before = nodes.cpu_us();
    tokio::time::sleep(Duration::from_secs(flags.seconds)).await;
    let cpu = nodes.cpu_us() - before;
    let resident: Vec<_> = nodes.pids().into_iter().filter_map(procfs::resident_bytes).collect();
    Ok(json!({
        "phase": "idle", "seconds": flags.seconds, "cores_together": cpu as f64 / 1e6 / flags.seconds as f64,
        "resident_bytes": resident,
    }))
}
