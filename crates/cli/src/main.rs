//! The binary `watershed`: a node, and a client for everything else.

mod commands;
mod out;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One store for every event a product emits.
#[derive(Parser)]
#[command(name = "watershed", version, after_help = "Examples:\n  watershed serve\n  watershed config --shards 8")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(commands::settings::Flags),
    /// Print the effective settings as TOML.
    Config(commands::settings::Flags),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(flags) => commands::serve::run(&flags),
        Command::Config(flags) => commands::settings::print(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
