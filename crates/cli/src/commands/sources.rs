//! `watershed sources`: what can be sent and where to.

use std::fmt::Write as _;

use clap::Args;
use watershed_sources::registry::{self, Source};

use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed sources
  watershed sources segment
  watershed sources cdc --example | curl -d @- http://127.0.0.1:4318/v1/cdc";

#[derive(Args)]
pub(crate) struct Flags {
    /// One source instead of all.
    name: Option<String>,
    /// Print only the example payload.
    #[arg(long, requires = "name")]
    example: bool,
}

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let text = match &flags.name {
        None => registry::ALL.iter().map(line).collect(),
        Some(name) => {
            let known = || registry::ALL.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
            let source =
                registry::by_name(name).ok_or_else(|| Failure::usage(&format!("source `{name}` is none of {}", known())))?;
            if flags.example { source.example.to_owned() } else { page(source) }
        }
    };
    Ok(out::data(&text)?)
}

fn line(source: &Source) -> String {
    format!("{:<12} {:<14} {}\n", source.name, source.endpoints[0].path, source.about)
}

fn page(source: &Source) -> String {
    let mut text = format!("{}: {}\n\n", source.name, source.about);
    for endpoint in source.endpoints {
        writeln!(text, "POST {:<16} at most {} KiB", endpoint.path, endpoint.bytes_max / 1024)
            .expect("invariant: a String takes every write");
    }
    text + "\nExample:\n" + source.example
}
