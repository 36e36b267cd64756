//! `watershed ratio`: events of one kind for each of another.

use clap::Args;
use watershed_client::{EventStep, RatioRequest};

use super::{Common, chart, narrow, progress};
use crate::out::Failure;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed ratio Purchase Signup --since 7d";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    common: Common,
    /// Name of the events that are divided.
    a: String,
    /// Name of the events that they are divided by.
    b: String,
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let step = |event: &str| Some(EventStep { event: event.to_owned(), filters: Vec::new() });
    let mut request = RatioRequest { a: step(&flags.a), b: step(&flags.b), ..RatioRequest::default() };
    narrow!(request, flags.common);
    let client = flags.common.target.connect().await?;
    let answer = client.ratio("", "").with_request(request).on_progress(progress::say).await?;
    let names = [chart::plain(&flags.a), chart::plain(&flags.b)];
    flags.common.print(&answer, answer.coverage.as_ref(), |answer| {
        let [a, b] = &names;
        let counts = [(a.clone(), Some(answer.a as f64)), (b.clone(), Some(answer.b as f64))];
        format!("{}{a} / {b} = {}\n", chart::bars(&counts), answer.value)
    })
}
