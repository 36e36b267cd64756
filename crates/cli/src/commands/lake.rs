//! `watershed lake`: what is in the lake, what it refused, and once more.

mod contents;

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use watershed_client::{DeadLetter, UpkeepStep};

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed lake stats
  watershed lake stats --table events_acme
  watershed lake snapshots --json
  watershed lake files --partition hour=2026-11-26
  watershed lake dead-letters list
  watershed lake dead-letters replay
  watershed lake dead-letters replay 0-32769-65537
  watershed lake maintain --dry-run
  watershed lake delete --tenant acme --actor user-17";

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
    /// Keeps the lake in shape now: compaction, then old snapshots, then orphans. It happens by itself, too.
    Maintain {
        #[command(flatten)]
        target: Target,
        /// Only tell which orphans there are.
        #[arg(long)]
        dry_run: bool,
    },
    /// Takes a tenant's rows out of the lake, or those of one actor. Their files go with the snapshots that name them.
    Delete {
        #[command(flatten)]
        target: Target,
        /// `actor_id` or `anonymous_id`; none = all rows of the tenant.
        #[arg(long, value_name = "ID")]
        actor: Option<String>,
    },
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
        What::Delete { target, actor } => delete(&target, actor.as_deref()).await,
        What::Maintain { target, dry_run } => tell(&target.connect().await?.maintain(dry_run).await?),
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

async fn delete(target: &Target, actor: Option<&str>) -> Result<(), Failure> {
    if target.tenant.is_none() {
        return Err(Failure::usage("--tenant must be given: nobody's rows are deleted by default"));
    }
    if actor == Some("") {
        return Err(Failure::usage("--actor must not be empty"));
    }
    tell(&target.connect().await?.delete_rows(actor).await?)
}

/// One line for each round, and the names that it told.
fn tell(steps: &[UpkeepStep]) -> Result<(), Failure> {
    for step in steps {
        let UpkeepStep { job, snapshots_removed, files_removed, files_added, rows_removed, bytes_removed, .. } = step;
        out::data(&format!(
            "{job}\t{snapshots_removed} snapshots\t{files_removed} files removed\t{files_added} added\t{rows_removed} rows removed\t{bytes_removed} bytes\t{}\n",
            step.failed
        ))?;
        step.names.iter().try_for_each(|name| out::data(&format!("  {name}\n")))?;
    }
    let failed = steps.iter().filter(|step| !step.failed.is_empty()).count();
    if failed > 0 { Err(Failure::refused(&format!("{failed} of {} rounds failed", steps.len()))) } else { Ok(()) }
}
