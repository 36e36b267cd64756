//! `watershed tail --sql`: a live query's rows as its windows close.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::TryStreamExt as _;
use watershed_client::{Client, LiveQuery, LiveRows};

use crate::commands::query::{Format, Printer};
use crate::out::{self, Failure};

/// Prints rows until there were `left` of them.
pub(super) async fn run(client: &Client, query: LiveQuery, as_json: bool, mut left: u64) -> Result<(), Failure> {
    let mut rows = client.live(query).await?;
    let mut print = Printer::new(if as_json { Format::Ndjson } else { Format::Table });
    let (mut said, mut token) = ((0, 0), bytes::Bytes::new());
    while left > 0 {
        let next = tokio::select! {
            next = rows.try_next() => next?,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(LiveRows { windows, late, lost, resume_token }) = next else { break };
        token = resume_token;
        for window in windows {
            let shown = window.slice(0, window.num_rows().min(usize::try_from(left).unwrap_or(usize::MAX)));
            left -= shown.num_rows() as u64;
            print.batch(shown)?;
        }
        print.end()?;
        if said != (late, lost) {
            said = (late, lost);
            out::say(&format!("so far {late} events came after their window was closed, {lost} are not delivered"));
        }
    }
    if !token.is_empty() {
        out::say(&format!("go on with the same query:  --from {}", URL_SAFE_NO_PAD.encode(&token)));
    }
    Ok(())
}
