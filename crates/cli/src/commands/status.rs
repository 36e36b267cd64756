//! `watershed status`: where each shard stands.

use std::fmt::Write as _;

use clap::Args;
use watershed_client::{ShardStatus, StatusResponse};

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:\n  watershed status\n  watershed status --json | jq '.shards[0]'";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let status = flags.target.connect().await?.status().await?;
    Ok(out::data(&if flags.json { json(&status) } else { table(&status) })?)
}

fn table(status: &StatusResponse) -> String {
    let mut text = format!("watershed {}\n", status.version);
    text.push_str(&backlog(status));
    writeln!(
        text,
        "{:>5} {:>9} {:>6} {:>8} {:>6} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "shard", "role", "leader", "voters", "term", "trimmed", "archived", "tail", "not archived", "hot MiB"
    )
    .expect("invariant: a String takes every write");
    for ShardStatus { shard, term, trimmed_seq, archived_seq, tail_seq, hot_bytes, role, leader_node, voters, .. } in
        &status.shards
    {
        let voters = voters.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let (lag, mib) = (tail_seq - archived_seq, *hot_bytes as f64 / 1_048_576.0);
        writeln!(text, "{shard:>5} {role:>9} {leader_node:>6} {voters:>8} {term:>6} {trimmed_seq:>12} {archived_seq:>12} {tail_seq:>12} {lag:>12} {mib:>10.1}")
            .expect("invariant: a String takes every write");
    }
    text
}

/// What waits for the lake, and why, when there is anything to say.
fn backlog(status: &StatusResponse) -> String {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let StatusResponse { archive_backlog_bytes: used, archive_backlog_max_bytes: max, archive_failing: failing, .. } = status;
    let full = if used >= max && *max > 0 { ", no more is taken" } else { "" };
    if failing.is_empty() && full.is_empty() {
        return String::new();
    }
    let seconds = status.archive_failing_ms / 1_000;
    format!("{:.1} of {:.1} MiB wait for the lake{full}; archiving fails for {seconds} s: {failing}\n", mib(*used), mib(*max))
}

fn json(status: &StatusResponse) -> String {
    let shard = |shard: &ShardStatus| {
        serde_json::json!({
            "shard": shard.shard, "leader": shard.leader, "role": shard.role, "leader_node": shard.leader_node,
            "voters": shard.voters, "term": shard.term, "trimmed_seq": shard.trimmed_seq,
            "archived_seq": shard.archived_seq, "staged_seq": shard.staged_seq, "tail_seq": shard.tail_seq,
            "hot_bytes": shard.hot_bytes,
        })
    };
    let shards: Vec<_> = status.shards.iter().map(shard).collect();
    let status = serde_json::json!({
        "version": status.version, "node": status.node, "control_leader_node": status.control_leader_node,
        "archive_backlog_bytes": status.archive_backlog_bytes, "archive_backlog_max_bytes": status.archive_backlog_max_bytes,
        "archive_failing": status.archive_failing, "archive_failing_ms": status.archive_failing_ms, "shards": shards,
    });
    format!("{status}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_shard() {
        let shard = ShardStatus {
            shard: 2,
            role: "leader".to_owned(),
            leader_node: 1,
            voters: vec![1, 2, 3],
            term: 3,
            trimmed_seq: 1,
            archived_seq: 5,
            tail_seq: 9,
            hot_bytes: 3 << 20,
            ..ShardStatus::default()
        };
        let text = table(&StatusResponse { version: "0.1.0".into(), shards: vec![shard], ..StatusResponse::default() });
        let words: Vec<_> = text.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(words, ["2", "leader", "1", "1,2,3", "3", "1", "5", "9", "4", "3.0"]);
    }
}
