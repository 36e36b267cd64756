//! Buckets in which nothing happened.

use std::collections::HashMap;

use super::Point;
use crate::QueryError;
use crate::analytics::POINTS_MAX;
use crate::analytics::calendar::Grain;
use crate::analytics::range::Range;

/// Times that are to be covered where no event is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    from_us: Option<i64>,
    to_us: Option<i64>,
}

impl Ends {
    pub(super) fn of(range: &Range, now_us: i64) -> Self {
        Self { from_us: range.from_us, to_us: range.to_us.or(range.is_until_now.then_some(now_us)) }
    }
}

/// Every bucket of every group; `points` are in order, and each has a bucket.
pub(super) fn filled(
    points: Vec<Point>,
    (grain, is_split): (Grain, bool),
    ends: Ends,
    empty: Option<f64>,
) -> Result<Vec<Point>, QueryError> {
    let seen = || points.iter().filter_map(|point| point.bucket);
    let first = seen().chain(ends.from_us).min().map(|at| grain.index(at));
    let last = seen().chain(ends.to_us).max().map(|at| grain.index(at));
    let Some((first, last)) = first.zip(last) else { return Ok(points) };
    let mut groups: Vec<Option<String>> = points.iter().map(|point| point.group.clone()).collect();
    groups.dedup();
    if groups.is_empty() && !is_split {
        groups.push(None);
    }
    let buckets = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    let wanted = buckets.saturating_mul(groups.len());
    if wanted > POINTS_MAX {
        return Err(QueryError::invalid(
            "every",
            format!("{wanted} values in the answer, limit {POINTS_MAX}: ask for longer buckets"),
        ));
    }
    let known: HashMap<_, _> = points.iter().map(|point| ((&point.group, point.bucket), point.value)).collect();
    let point = |group: &Option<String>, index: i64| {
        let bucket = Some(grain.start(index));
        Point { group: group.clone(), bucket, value: known.get(&(group, bucket)).copied().unwrap_or(empty) }
    };
    let all = groups.iter().flat_map(|group| (first..=last).map(move |index| (group, index)));
    Ok(all.map(|(group, index)| point(group, index)).collect())
}
