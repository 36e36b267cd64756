//! `watershed funnel`: how many actors take some steps in order.

use std::fmt::Write as _;

use clap::Args;
use watershed_client::{EventStep, FunnelRequest, FunnelResponse};

use super::{Common, chart, narrow, progress};
use crate::out::Failure;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed funnel Signup Activation Purchase --within 1h --since 30d
  watershed funnel Signup Purchase --within 7d --by properties.plan
  watershed funnel Search Open --within 5m --window step --mode strict_order --actor session --json";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    common: Common,
    /// Names of the events, in order.
    #[arg(required = true)]
    steps: Vec<String>,
    /// How long the way may take.
    #[arg(long, value_name = "DURATION")]
    within: String,
    /// first: measured from the first step; step: from each step to the next.
    #[arg(long, default_value = "first")]
    window: String,
    /// ordered, strict_order or strict_increase.
    #[arg(long, default_value = "ordered")]
    mode: String,
    /// Whose way it is: session, trace, a column or a path; else actor_id, else anonymous_id.
    #[arg(long, value_name = "FIELD")]
    actor: Option<String>,
    /// One funnel for each value that the event of the first step has.
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let steps = flags.steps.into_iter().map(|event| EventStep { event, filters: Vec::new() }).collect();
    let mut request = FunnelRequest {
        steps,
        within: flags.within,
        window: flags.window,
        mode: flags.mode,
        actor: flags.actor.unwrap_or_default(),
        by: flags.by.unwrap_or_default(),
        ..FunnelRequest::default()
    };
    narrow!(request, flags.common);
    let is_split = !request.by.is_empty();
    let client = flags.common.target.connect().await?;
    let answer = client.funnel("").with_request(request).on_progress(progress::say).await?;
    flags.common.print(&answer, answer.coverage.as_ref(), |answer| drawn(answer, is_split))
}

fn drawn(answer: &FunnelResponse, is_split: bool) -> String {
    let mut text = String::new();
    for group in &answer.groups {
        if is_split {
            let name = group.group.as_deref().map_or_else(|| "(none)".to_owned(), chart::plain);
            writeln!(text, "{name}").expect("invariant: a String takes every write");
        }
        let names: Vec<String> = group.steps.iter().map(|step| chart::plain(&step.event)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, step) in names.iter().zip(&group.steps) {
            write!(text, "{name:width$} {} {}", chart::bar(step.from_first), step.actors)
                .expect("invariant: a String takes every write");
            if let Some((median, p90)) = step.median_ms.zip(step.p90_ms) {
                let (from_first, from_previous) = (chart::percent(step.from_first), chart::percent(step.from_previous));
                let (median, p90) = (chart::duration(median), chart::duration(p90));
                write!(text, "  {from_first}, {from_previous} of the step before, after {median} (p90 {p90})")
                    .expect("invariant: a String takes every write");
            }
            text.push('\n');
        }
    }
    text
}
