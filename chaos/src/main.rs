//! `watershed-chaos --seed 7 --duration 60s --faults kill,stop,partition --server target/debug/watershed`.

mod flags;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use watershed_chaos::prove::prove;
use watershed_chaos::run::run;
use watershed_kubelet::isolation;
use watershed_kubelet::network::Network;
use watershed_kubelet::shell::say;

use flags::{Command, Flags};

fn main() -> ExitCode {
    let flags = Flags::parse();
    match isolation::enter().and_then(|()| play(&flags)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Whether all is as it must be.
fn play(flags: &Flags) -> anyhow::Result<bool> {
    isolation::end_after(flags.deadline());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = carry_out(flags) => done,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("told to end"),
            _ = terminate.recv() => anyhow::bail!("told to end"),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn carry_out(flags: &Flags) -> anyhow::Result<bool> {
    let network = Arc::new(Network::create()?);
    let gone = tempfile::tempdir()?;
    let dir = flags.keep.as_deref().unwrap_or(gone.path());
    std::fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    if let Some(Command::Prove { only }) = &flags.command {
        let (holds, reports) = Box::pin(prove(&flags.tools()?, &dir, &network, only)).await?;
        write(flags.json.as_deref(), &reports)?;
        return Ok(holds);
    }
    let report = Box::pin(run(&flags.scenario()?, &dir, &network)).await?;
    write(flags.json.as_deref(), &report)?;
    say(&report.summary());
    Ok(report.is_content)
}

fn write(path: Option<&Path>, result: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(result)?).with_context(|| path.display().to_string())
}
