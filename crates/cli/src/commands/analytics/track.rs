//! `watershed track`: one aggregate over events of a name, as bars, or as a sparkline over time.

use std::fmt::Write as _;

use clap::Args;
use watershed_client::{TrackPoint, TrackRequest, TrackResponse};

use super::{Common, chart, narrow, progress};
use crate::out::Failure;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed track Signup --since 7d
  watershed track Signup --since 30d --every day --by properties.plan
  watershed track Purchase --aggregate sum --field properties.price --where \"outcome = 'success'\"
  watershed track page_load --aggregate percentile --field duration_ms --q 0.95 --every hour --since 1d --json";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    common: Common,
    /// Name of the events; none: all events.
    event: Option<String>,
    /// count, sum, avg, min, max, count_distinct or percentile.
    #[arg(long, default_value = "count")]
    aggregate: String,
    /// What is summed up: a column, or a path such as properties.price.
    #[arg(long)]
    field: Option<String>,
    /// For percentile: between 0 and 1.
    #[arg(long, default_value_t = 0.0)]
    q: f64,
    /// One line for each value of this field.
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
    /// A value for each minute, hour, day, week or month.
    #[arg(long, value_name = "BUCKET")]
    every: Option<String>,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let mut request = TrackRequest {
        event: flags.event.unwrap_or_default(),
        aggregate: flags.aggregate,
        field: flags.field.unwrap_or_default(),
        q: flags.q,
        by: flags.by.unwrap_or_default(),
        every: flags.every.unwrap_or_default(),
        ..TrackRequest::default()
    };
    narrow!(request, flags.common);
    let client = flags.common.target.connect().await?;
    let is_split = !request.by.is_empty();
    let answer = client.track("").with_request(request).on_progress(progress::say).await?;
    flags.common.print(&answer, answer.coverage.as_ref(), |answer| drawn(answer, is_split))
}

fn drawn(answer: &TrackResponse, is_split: bool) -> String {
    let name = |point: &TrackPoint| match &point.group {
        Some(group) => chart::plain(group),
        None if is_split => "(none)".to_owned(),
        None => String::new(),
    };
    if answer.points.iter().any(|point| point.bucket.is_some()) {
        return over_time(answer, name);
    }
    let bars: Vec<_> = answer.points.iter().map(|point| (name(point), point.value)).collect();
    chart::bars(&bars)
}

/// A line for each group.
fn over_time(answer: &TrackResponse, name: impl Fn(&TrackPoint) -> String) -> String {
    let mut text = String::new();
    let width = answer.points.iter().map(|point| name(point).chars().count()).max().unwrap_or(0);
    let top = answer.points.iter().filter_map(|point| point.value).fold(0.0, f64::max);
    for group in answer.points.chunk_by(|one, other| one.group == other.group) {
        let values: Vec<_> = group.iter().map(|point| point.value).collect();
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let (lowest, highest) = chart::ends(&values);
        writeln!(text, "{:width$} {}  {lowest} to {highest}", name(first), chart::sparkline(&values, top))
            .expect("invariant: a String takes every write");
        if group.len() == answer.points.len() || std::ptr::eq(last, &answer.points[answer.points.len() - 1]) {
            let (from, to) = (first.bucket.clone().unwrap_or_default(), last.bucket.clone().unwrap_or_default());
            writeln!(text, "{:width$} {from} to {to}", "").expect("invariant: a String takes every write");
        }
    }
    text
}
