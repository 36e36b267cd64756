//! `watershed lake`: what is in the lake, what it refused, and once more.

mod contents;
mod letters;

use clap::{Args, Subcommand};
use watershed_client::UpkeepStep;

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed lake stats
  watershed lake stats --table events_acme
  watershed lake snapshots --json
  watershed lake files --partition hour=2026-11-26
  watershed lake dead-letters list
  watershed lake dead-letters show 0-32769-65537
  watershed lake dead-letters replay
  watershed lake dead-letters purge 0-32769-65537
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
    DeadLetters(letters::Letters),
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

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    match flags.what {
        What::Contents(what) => contents::run(what).await,
        What::DeadLetters(letters) => letters::run(letters).await,
        What::Delete { target, actor } => delete(&target, actor.as_deref()).await,
        What::Maintain { target, dry_run } => tell(&target.connect().await?.maintain(dry_run).await?),
    }
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
