//! `watershed cohort`: who comes back, as a heat map.

use std::fmt::Write as _;

use clap::Args;
use watershed_client::{CohortEntry, CohortRequest, CohortResponse, EventStep};

use super::{Common, chart, narrow, progress};
use crate::out::Failure;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed cohort Signup Login --since 60d
  watershed cohort Signup Purchase --granularity month --periods 6
  watershed cohort Signup Login --granularity day --periods 14 --rolling --json";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    common: Common,
    /// An actor's first event of this name makes the cohort.
    anchor: String,
    /// Whoever sends this one came back.
    activity: String,
    /// Periods that are looked at, the cohort's own included.
    #[arg(long, default_value_t = 8)]
    periods: u32,
    /// day, week or month.
    #[arg(long, default_value = "week")]
    granularity: String,
    /// Measured from each actor's own anchor: 1, 7 or 30 days.
    #[arg(long)]
    rolling: bool,
    /// Who is an actor: session, trace, a column or a path; else actor_id, else anonymous_id.
    #[arg(long, value_name = "FIELD")]
    actor: Option<String>,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let step = |event| Some(EventStep { event, filters: Vec::new() });
    let mut request = CohortRequest {
        anchor: step(flags.anchor),
        activity: step(flags.activity),
        periods: flags.periods,
        granularity: flags.granularity,
        rolling: flags.rolling,
        actor: flags.actor.unwrap_or_default(),
        ..CohortRequest::default()
    };
    narrow!(request, flags.common);
    let client = flags.common.target.connect().await?;
    let answer = client.cohort("", "").with_request(request).on_progress(progress::say).await?;
    flags.common.print(&answer, answer.coverage.as_ref(), drawn)
}

/// Darker is more; a star stands at what is not over yet.
fn drawn(answer: &CohortResponse) -> String {
    let mut text = String::new();
    let periods = answer.cohorts.first().map_or(0, |cohort| cohort.entries.len());
    let head = (0..periods).fold(String::new(), |mut head, period| {
        write!(head, " {period:>7}").expect("invariant: a String takes every write");
        head
    });
    writeln!(text, "{:10} {:>8}{head}", "cohort", "actors").expect("invariant: a String takes every write");
    for cohort in &answer.cohorts {
        let day = cohort.start.split('T').next().unwrap_or_default();
        let entries: String = cohort.entries.iter().map(cell).collect();
        writeln!(text, "{day:10} {:>8}{entries}", cohort.actors).expect("invariant: a String takes every write");
    }
    if answer.cohorts.iter().flat_map(|cohort| &cohort.entries).any(|entry| entry.incomplete) {
        text.push_str("* not over yet\n");
    }
    text
}

fn cell(entry: &CohortEntry) -> String {
    let shade = chart::shade(entry.share);
    let star = if entry.incomplete { '*' } else { ' ' };
    format!(" {shade}{shade}{:>3.0}%{star}", entry.share * 100.0)
}
