//! `watershed track`, `funnel`, `cohort`, `ratio`: questions of analytics, answered by a chart or as JSON.

pub(crate) mod chart;
pub(crate) mod cohort;
pub(crate) mod funnel;
mod progress;
pub(crate) mod ratio;
pub(crate) mod track;

use clap::Args;
use watershed_client::Coverage;

use crate::Target;
use crate::out::{self, Failure};

/// What every question has.
#[derive(Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) target: Target,
    /// This long ago until now: an integer and s, m, h, d, w, M (30 days) or y.
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["from", "to"])]
    since: Option<String>,
    /// From this time on, inclusive (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until this time, inclusive (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// A condition in SQL, as behind WHERE; may be repeated, all must hold.
    #[arg(long = "where", value_name = "SQL")]
    filters: Vec<String>,
    /// The answer as JSON, as over HTTP.
    #[arg(long)]
    json: bool,
}

/// Moves what every question has into a request.
macro_rules! narrow {
    ($request:expr, $common:expr) => {{
        $request.since = $common.since.clone().unwrap_or_default();
        $request.from = $common.from.clone().unwrap_or_default();
        $request.to = $common.to.clone().unwrap_or_default();
        $request.filters = $common.filters.clone();
    }};
}
pub(crate) use narrow;

impl Common {
    /// Prints the answer, then where it comes from.
    pub(crate) fn print<T: serde::Serialize>(
        &self,
        answer: &T,
        coverage: Option<&Coverage>,
        chart: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string(answer).map_err(anyhow::Error::from)?;
            return Ok(out::data(&format!("{text}\n"))?);
        }
        out::data(&chart(answer))?;
        if let Some(coverage) = coverage {
            let Coverage { hot_events, lake_events, complete_to, .. } = coverage;
            out::say(&format!("{hot_events} events from hot, {lake_events} from the lake; complete to {complete_to}"));
        }
        Ok(())
    }
}
