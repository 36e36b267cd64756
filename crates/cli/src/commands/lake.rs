//! `watershed lake`: what is in the lake, what it refused, and once more.

mod contents;

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use watershed_client::DeadLetter;

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed lake stats
  watershed lake snapshots --json
  watershed lake files --partition hour=2026-11-26
  watershed lake dead-letters list
  watershed lake dead-letters replay
  watershed lake dead-letters replay 0-32769-65537";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(flatten)]
    Contents(contents::Contents),
    /// Rows that the lake refused for good: kept, in no query until they are replayed.
    #[command(subcommand)]
    DeadLetters(Letters),
}

#[derive(Subcommand)]
enum Letters {
    /// One line each, with the reason.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Write them into the lake after all; each is written once, however often this runs.
    Replay {
        #[command(flatten)]
        target: Target,
        /// Names from the list; none = all.
        names: Vec<String>,
    },
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    match flags.what {
        What::Contents(what) => contents::run(what).await,
        What::DeadLetters(Letters::List { target }) => list(&target).await,
        What::DeadLetters(Letters::Replay { target, names }) => replay(&target, names).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let letters = target.connect().await?.dead_letters().await?;
    let line = |text: &mut String, DeadLetter { name, rows, attempts, reason, .. }: &DeadLetter| {
        writeln!(text, "{name}\t{rows} rows\t{attempts} attempts\t{reason}").expect("invariant: a String takes every write");
    };
    let text = letters.iter().fold(String::new(), |mut text, letter| {
        line(&mut text, letter);
        text
    });
    Ok(out::data(&text)?)
}

async fn replay(target: &Target, names: Vec<String>) -> Result<(), Failure> {
    let replayed = target.connect().await?.replay_dead_letters(names).await?;
    for one in &replayed {
        let fate = if one.refused.is_empty() { "in the lake" } else { one.refused.as_str() };
        out::data(&format!("{}\t{fate}\n", one.name))?;
    }
    let refused = replayed.iter().filter(|one| !one.refused.is_empty()).count();
    if refused > 0 { Err(Failure::refused(&format!("{refused} of {} were refused", replayed.len()))) } else { Ok(()) }
}
