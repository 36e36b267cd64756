//! `watershed lake dead-letters`: rows that the lake refused.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use watershed_client::{DeadLetter, DeadLetterRow};

use crate::Target;
use crate::out::{self, Failure};

#[derive(Subcommand)]
pub(super) enum Letters {
    /// One line each, with the reason.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// A letter and its rows; what is wrong with a row that cannot be read.
    Show {
        #[command(flatten)]
        target: Target,
        /// From the list.
        name: String,
        /// Most rows that are shown.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Write them into the lake after all; each is written once, however often this runs.
    Replay {
        #[command(flatten)]
        target: Target,
        /// Names from the list; none = all.
        names: Vec<String>,
    },
    /// Give them up: their rows are nowhere any longer.
    Purge {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Names from the list.
    names: Vec<String>,
    /// All that there are.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(letters: Letters) -> Result<(), Failure> {
    match letters {
        Letters::List { target } => list(&target).await,
        Letters::Show { target, name, limit } => show(&target, &name, limit).await,
        Letters::Replay { target, names } => replay(&target, names).await,
        Letters::Purge { target, which } => purge(&target, which).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let letters = target.connect().await?.dead_letters().await?;
    let text = letters.iter().fold(String::new(), |mut text, letter| {
        let DeadLetter { name, rows, attempts, reason, .. } = letter;
        let (since, tenants) = (since(letter), tenants(letter));
        write(&mut text, format_args!("{name}\t{rows} rows\t{tenants}\t{since}\t{attempts} attempts\t{reason}\n"));
        text
    });
    Ok(out::data(&text)?)
}

async fn show(target: &Target, name: &str, limit: u32) -> Result<(), Failure> {
    let found = target.connect().await?.dead_letter(name, limit).await?;
    let letter = found.letter.unwrap_or_default();
    let DeadLetter { name, rows, attempts, reason, file, shard, from_seq_inclusive, to_seq_exclusive, .. } = &letter;
    let mut text = String::new();
    for (key, value) in [
        ("name", name.clone()),
        ("reason", reason.clone()),
        ("attempts", attempts.to_string()),
        ("since", since(&letter)),
        ("run", format!("shard {shard}, {from_seq_inclusive} to {to_seq_exclusive}")),
        ("rows", rows.to_string()),
        ("tenants", tenants(&letter)),
        ("file", file.clone()),
    ] {
        write(&mut text, format_args!("{key}\t{value}\n"));
    }
    for DeadLetterRow { seq, tenant, event, damage } in &found.rows {
        let shown = if damage.is_empty() { event } else { damage };
        write(&mut text, format_args!("{seq}\t{tenant}\t{shown}\n"));
    }
    Ok(out::data(&text)?)
}

async fn replay(target: &Target, names: Vec<String>) -> Result<(), Failure> {
    let replayed = target.connect().await?.replay_dead_letters(names).await?;
    fates(replayed.into_iter().map(|one| (one.name, "in the lake".to_owned(), one.refused)).collect())
}

async fn purge(target: &Target, Which { names, all }: Which) -> Result<(), Failure> {
    let names = if all { vec!["*".to_owned()] } else { names };
    let purged = target.connect().await?.purge_dead_letters(names).await?;
    fates(purged.into_iter().map(|one| (one.name, format!("{} rows are gone", one.rows), one.refused)).collect())
}

/// Name, what happened, or why it did not.
fn fates(fates: Vec<(String, String, String)>) -> Result<(), Failure> {
    for (name, done, refused) in &fates {
        out::data(&format!("{name}\t{}\n", if refused.is_empty() { done } else { refused }))?;
    }
    let refused = fates.iter().filter(|(_, _, refused)| !refused.is_empty()).count();
    if refused > 0 { Err(Failure::refused(&format!("{refused} of {} were refused", fates.len()))) } else { Ok(()) }
}

fn since(letter: &DeadLetter) -> String {
    let at = DateTime::from_timestamp_micros(letter.since_us);
    at.map_or_else(|| letter.since_us.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The log knows no more than so many.
fn tenants(letter: &DeadLetter) -> String {
    letter.tenants.join(",")
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("invariant: a String takes every write");
}
