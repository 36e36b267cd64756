//! Which steps of the product break in which life of a node: a pure function of the seed.

use crate::random::Random;

/// Between every pair of steps of archiving and committing.
const POINTS: [&str; 7] = [
    "lake::after_parquet",
    "archive::before_staged",
    "archive::after_staged",
    "lake::before_commit",
    "lake::after_commit",
    "archive::before_archived",
    "archive::after_archived",
];

/// The same between the tables of a commit, where tenants have tables of their own.
const POINTS_OF_OWN: [&str; 2] = ["lake::before_own", "lake::between_tables"];

const STREAM: u64 = 2;

/// Fail points of all nodes, as the variable `FAILPOINTS` spells them.
#[derive(Clone, Debug, Default)]
pub struct FailPoints {
    /// In each life.
    pub always: Vec<String>,
    /// In the first life of each node only.
    pub first: Vec<String>,
    /// Draw one more for each life.
    pub drawn_from: Option<u64>,
    /// A commit has steps between tables.
    pub has_own_tables: bool,
}

impl FailPoints {
    /// Of a node's life; life 0 is its first. Healed nodes have those of `always` only.
    #[must_use]
    pub fn of(&self, place: usize, life: u32, is_healed: bool) -> String {
        let mut points = self.always.clone();
        if life == 0 && !is_healed {
            points.extend(self.first.iter().cloned());
        }
        let drawn_of = if self.has_own_tables { [&POINTS[..], &POINTS_OF_OWN].concat() } else { POINTS.to_vec() };
        points.extend(self.drawn_from.filter(|_| !is_healed).map(|seed| draw(seed, (place, life), &drawn_of)));
        points.join(";")
    }
}

/// It passes some times, then the node dies there, or hangs and comes back when another may have taken its place.
fn draw(seed: u64, (place, life): (usize, u32), points: &[&str]) -> String {
    let mut random = Random::new(seed, STREAM + ((place as u64) << 32) + (u64::from(life) << 8));
    let (point, passes) = (points[random.place(points.len())], random.between(1, 6));
    match random.between(0, 3) {
        0 => format!("{point}={passes}*off->1*sleep({})", random.between(2_000, 10_000)),
        _ => format!("{point}={passes}*off->1*panic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_differ_and_a_seed_draws_the_same_again() {
        let points = FailPoints {
            always: vec!["a=return".to_owned()],
            first: vec!["b=panic".to_owned()],
            drawn_from: Some(7),
            has_own_tables: false,
        };
        assert_eq!(points.of(0, 0, false), points.of(0, 0, false));
        assert!(points.of(0, 0, false).starts_with("a=return;b=panic;"));
        assert!(points.of(0, 1, false).starts_with("a=return;"));
        assert_eq!(points.of(0, 1, true), "a=return");
        let lives: std::collections::BTreeSet<String> = (0..20).map(|life| points.of(1, life, false)).collect();
        assert!(lives.len() > 10, "{lives:?}");
    }

    #[test]
    fn a_seed_that_parts_tables() {
        let points = FailPoints { drawn_from: Some(790), has_own_tables: true, ..FailPoints::default() };
        let is_there = |point: String| point.starts_with("lake::between_tables=") && point.ends_with("panic");
        assert!((0..3).all(|place| is_there(points.of(place, 0, false))), "the smoke test's seed");
    }
}
