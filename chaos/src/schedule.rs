//! The plan of faults: a pure function of the seed.

use crate::fault::{Fault, Kind, Target};
use crate::random::Random;

/// Load without faults first, so that there is something to lose; and last, so that a fault ends within the run.
const CALM_MS: u64 = 3_000;
const STREAM: u64 = 1;

/// What a plan is drawn for.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Length of the run, milliseconds.
    pub duration_ms: u64,
    /// Faults that may come.
    pub kinds: Vec<Kind>,
    /// Number of nodes.
    pub nodes: usize,
    /// Number of shards.
    pub shards: u32,
}

/// The faults of a run, in the order in which they begin.
#[must_use]
pub fn plan(seed: u64, bounds: &Bounds) -> Vec<Fault> {
    let mut random = Random::new(seed, STREAM);
    let mut kinds = bounds.kinds.clone();
    // It is no moment but a setting of each node's life: `cluster::lives`.
    kinds.retain(|kind| *kind != Kind::Committer);
    let (mut faults, mut at_ms) = (Vec::new(), CALM_MS);
    let end_ms = bounds.duration_ms.saturating_sub(CALM_MS);
    while at_ms < end_ms && !kinds.is_empty() {
        let fault = draw(&mut random, &kinds, bounds, at_ms, end_ms);
        // Two disks of three lost is data lost, by any quorum.
        if fault.kind == Kind::Wipe {
            kinds.retain(|kind| *kind != Kind::Wipe);
        }
        let overlaps = random.once_in(4);
        at_ms += if overlaps { fault.lasts_ms / 2 } else { fault.lasts_ms } + random.between(1_000, 5_000);
        faults.push(fault);
    }
    faults
}

fn draw(random: &mut Random, kinds: &[Kind], bounds: &Bounds, at_ms: u64, end_ms: u64) -> Fault {
    let kind = kinds[random.place(kinds.len())];
    let (least, most) = match kind {
        Kind::Kill | Kind::Power | Kind::Wipe => (200, 6_000),
        Kind::Stop => (1_000, 30_000),
        Kind::Partition | Kind::Oneway => (2_000, 15_000),
        Kind::Full => (3_000, 10_000),
        Kind::Restart | Kind::Committer => (200, 1_000),
    };
    let lasts_ms = random.between(least, most).min((bounds.duration_ms / 3).max(least)).min((end_ms - at_ms).max(least));
    let target = target(random, kind, bounds);
    Fault { at_ms, lasts_ms, kind, target, is_mute: random.once_in(2) }
}

fn target(random: &mut Random, kind: Kind, bounds: &Bounds) -> Target {
    let shard = u32::try_from(random.between(0, u64::from(bounds.shards))).expect("invariant: below a u32");
    let place = random.place(bounds.nodes);
    match (kind, random.between(0, 6)) {
        (Kind::Restart, _) | (Kind::Kill | Kind::Power, 0) => Target::All,
        (_, 1) => Target::Committer,
        (_, 2) => Target::Place(place),
        (_, 3) => Target::Follower(shard),
        _ => Target::Leader(shard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(duration_ms: u64) -> Bounds {
        Bounds { duration_ms, kinds: Kind::ALL.to_vec(), nodes: 3, shards: 4 }
    }

    #[test]
    fn a_seed_draws_the_same_plan_again_and_another_one_another() {
        assert_eq!(plan(7, &bounds(600_000)), plan(7, &bounds(600_000)));
        assert_ne!(plan(7, &bounds(600_000)), plan(8, &bounds(600_000)));
    }

    #[test]
    fn every_kind_comes_and_a_disk_is_lost_once_at_most() {
        for seed in 0..50 {
            let faults = plan(seed, &bounds(1_200_000));
            let count = |kind| faults.iter().filter(|fault| fault.kind == kind).count();
            assert!(count(Kind::Wipe) <= 1, "seed {seed}");
            assert!([Kind::Kill, Kind::Stop, Kind::Partition, Kind::Oneway].iter().all(|kind| count(*kind) > 0), "seed {seed}");
        }
    }

    #[test]
    fn faults_come_in_order_and_end_within_the_run() {
        for seed in 0..50 {
            let faults = plan(seed, &bounds(60_000));
            assert!(faults.is_sorted_by_key(|fault| fault.at_ms), "seed {seed}");
            assert!(faults.iter().all(|fault| fault.at_ms + fault.lasts_ms <= 60_000), "seed {seed}: {faults:?}");
        }
    }

    /// The run of `tests/smoke.rs`.
    #[test]
    fn a_plan_of_each_kind() {
        let kinds = [Kind::Kill, Kind::Stop, Kind::Partition, Kind::Restart];
        let bounds = Bounds { duration_ms: 40_000, kinds: kinds.to_vec(), nodes: 3, shards: 4 };
        let has_all = |seed: &u64| {
            let faults = plan(*seed, &bounds);
            kinds.iter().all(|kind| faults.iter().any(|fault| fault.kind == *kind))
        };
        assert!(has_all(&14), "{:?}", (0..100).filter(has_all).collect::<Vec<u64>>());
    }
}
