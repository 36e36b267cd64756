//! Breaks each guarantee on purpose and demands that the checker finds it; and that it is content when nothing is broken.
//!
//! A checker that was never seen red proves nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use watershed_kubelet::network::Network;
use watershed_kubelet::shell::say;

use crate::checker::Trouble;
use crate::cluster::{FailPoints, Settings};
use crate::fault::{Fault, Kind, Target};
use crate::report::Report;
use crate::run::{Scenario, run};
use crate::workload::Load;

/// A guarantee, the fail point that breaks it, and the faults under which that shows.
struct Proof {
    name: &'static str,
    breaks: &'static str,
    /// Steps at which nodes die or hang once, with and without the break.
    first: &'static [&'static str],
    plan: fn() -> Vec<Fault>,
    /// Tenants with tables of their own.
    own_tables: &'static [&'static str],
    /// What the checker must find.
    shows: Trouble,
}

const PROOFS: [Proof; 5] = [
    Proof {
        name: "an acknowledgement waits for the quorum",
        breaks: "shard::ack_before_commit=return",
        first: &[],
        plan: one_after_the_other,
        own_tables: &[],
        shows: Trouble::Lost,
    },
    Proof {
        name: "a retry is recognised",
        breaks: "shard::skip_dedupe=return",
        first: &[],
        plan: Vec::new,
        own_tables: &[],
        shows: Trouble::Duplicated,
    },
    Proof {
        name: "what the lake has is not committed again",
        breaks: "lake::skip_watermark=return",
        first: &["archive::before_archived=1*off->1*panic"],
        plan: Vec::new,
        own_tables: &[],
        shows: Trouble::Duplicated,
    },
    Proof {
        name: "what a tenant's own table has is not committed again",
        breaks: "lake::skip_watermark=return",
        first: &["lake::between_tables=1*off->1*panic"],
        plan: Vec::new,
        own_tables: &["acme", "globex"],
        shows: Trouble::Duplicated,
    },
    Proof {
        name: "a commit is of the table that was examined",
        breaks: "lake::unpinned=return",
        first: &["lake::before_commit=1*sleep(12000)"],
        plan: zombie,
        own_tables: &[],
        shows: Trouble::Duplicated,
    },
];

/// Each node is cut off once while clients still reach it: whatever it leads, somebody writes to it.
fn one_after_the_other() -> Vec<Fault> {
    let cut = |place: usize| Fault { target: Target::Place(place), ..cut_off(3_000 + 9_000 * place as u64, 6_000) };
    (0..3).map(cut).collect()
}

/// The committer hangs before its first commit; while it does, another takes its place and hangs, too. The first one wakes
/// and commits what the second one has already examined.
fn zombie() -> Vec<Fault> {
    vec![cut_off(4_500, 9_000)]
}

fn cut_off(at_ms: u64, lasts_ms: u64) -> Fault {
    Fault { at_ms, lasts_ms, kind: Kind::Partition, target: Target::Committer, is_mute: false }
}

/// The program and the tools.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `watershed`, built with fail points.
    pub server: PathBuf,
    /// A Python with PyIceberg.
    pub python: Option<PathBuf>,
}

/// Runs every proof twice under `dir`; whether the checker is to be trusted, and what it saw. `only`: those whose fail point
/// has it in its name.
///
/// # Errors
/// When the world cannot be made.
pub async fn prove(tools: &Tools, dir: &Path, network: &Arc<Network>, only: &str) -> anyhow::Result<(bool, Vec<Report>)> {
    let (mut holds, mut reports) = (true, Vec::new());
    for (number, proof) in PROOFS.iter().enumerate().filter(|(_, proof)| proof.breaks.contains(only)) {
        for is_broken in [false, true] {
            let name = format!("p{number}{}", if is_broken { "b" } else { "w" });
            let dir = dir.join(&name);
            std::fs::create_dir_all(&dir)?;
            let report = run(&scenario(proof, is_broken, name, tools), &dir, network).await?;
            say(&report.summary());
            let is_right = if is_broken { finds(proof, &report) } else { report.is_content };
            say(&format!("{}: {}", report.name, if is_right { "as it must be" } else { "NOT as it must be" }));
            holds &= is_right;
            reports.push(report);
        }
    }
    Ok((holds, reports))
}

/// Not any trouble: the one that this break makes.
fn finds(proof: &Proof, report: &Report) -> bool {
    report.findings.iter().any(|finding| finding.trouble == proof.shows)
}

const DURATION: Duration = Duration::from_secs(32);

fn scenario(proof: &Proof, is_broken: bool, run: String, tools: &Tools) -> Scenario {
    let always = is_broken.then(|| proof.breaks.to_owned()).into_iter().collect();
    let first = proof.first.iter().map(|point| (*point).to_owned()).collect();
    Scenario {
        name: format!("{}{}", proof.name, if is_broken { ", broken by " } else { "" })
            + if is_broken { proof.breaks } else { "" },
        seed: 1,
        cluster: Settings {
            nodes: 3,
            server: tools.server.clone(),
            shards: 2,
            high_volume: vec!["globex".to_owned()],
            own_tables: proof.own_tables.iter().map(|tenant| (*tenant).to_owned()).collect(),
            fail_points: FailPoints { always, first, ..FailPoints::default() },
            run,
        },
        load: Load {
            tenants: ["acme", "globex"].map(str::to_owned).to_vec(),
            senders: 2,
            rate: 300,
            events_max: 20_000,
            again_once_in: 10,
            give_up_once_in: 4,
        },
        plan: (proof.plan)(),
        duration: DURATION,
        python: tools.python.clone(),
    }
}
