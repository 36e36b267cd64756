//! Plays Kubernetes: `kubelet --manifests rendered.yaml --binary watershed restart scale=5 scale=3`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use watershed_kubelet::board::Board;
use watershed_kubelet::hosts::Name;
use watershed_kubelet::manifest::{Manifests, NamedPort, Service, StatefulSet};
use watershed_kubelet::network::Network;
use watershed_kubelet::pod::World;
use watershed_kubelet::scenario::Step;
use watershed_kubelet::shell::{self, say};
use watershed_kubelet::stateful_set::Controller;
use watershed_kubelet::{isolation, proxy};

/// Starts the pods of a StatefulSet as processes, does the steps, and ends them. Needs root; leaves nothing behind.
///
/// Steps: restart, scale=N, delete=N, signal=N:NAME, exec=COMMAND, wait=SECONDS.
#[derive(Parser)]
struct Flags {
    /// What `kubectl kustomize` prints.
    #[arg(long, value_name = "FILE")]
    manifests: PathBuf,
    /// Program that stands for the image.
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// Folder for volumes and logs; absent means memory, gone at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Shell command that runs beside the steps, where services have their names; it must end well too.
    #[arg(long, value_name = "COMMAND")]
    during: Option<String>,
    /// Seconds after which everything is ended.
    #[arg(long, default_value_t = 300)]
    deadline: u64,
    /// Seconds that a pod may take to become ready.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// What is done, in order.
    steps: Vec<Step>,
}

const WORK: &str = "/run/pods";

fn main() -> ExitCode {
    let flags = Flags::parse();
    match isolation::enter().and_then(|()| play(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn play(flags: &Flags) -> anyhow::Result<()> {
    isolation::end_after(Duration::from_secs(flags.deadline));
    let world = world(flags)?;
    let (replicas, data) = (world.set.spec.replicas, world.data.clone());
    let mut set = Controller::new(world, Duration::from_secs(flags.patience));
    let done = run(flags, replicas, &mut set);
    if done.is_err() {
        show_logs(&data);
    }
    done
}

fn run(flags: &Flags, replicas: u32, set: &mut Controller) -> anyhow::Result<()> {
    set.scale(replicas)?;
    let beside = flags.during.as_deref().map(shell::start).transpose()?;
    for step in &flags.steps {
        step.run(set).with_context(|| format!("step {step}"))?;
    }
    if let Some(mut child) = beside {
        let exit = child.wait()?;
        anyhow::ensure!(exit.success(), "the command beside the steps ended with {exit}");
    }
    set.scale(0)
}

fn world(flags: &Flags) -> anyhow::Result<Arc<World>> {
    let manifests = Manifests::parse(&fs::read_to_string(&flags.manifests)?)?;
    let set = manifests.stateful_set()?.clone();
    refuse_what_is_not_played(&set)?;
    let work = PathBuf::from(WORK);
    let data = flags.data.clone().unwrap_or_else(|| work.join("data"));
    fs::create_dir_all(&work)?;
    fs::create_dir_all(&data)?;
    let network = Network::create()?;
    let (names, listeners) = services(&manifests, &set, &network)?;
    let board = Arc::new(Board::new(names, &work.join("hosts"))?);
    shell::bind(board.file(), Path::new("/etc/hosts"))?;
    for listener in listeners {
        proxy::listen(Arc::clone(&board), listener.0, listener.1, listener.2)?;
    }
    let binary = fs::canonicalize(&flags.binary).with_context(|| flags.binary.display().to_string())?;
    Ok(Arc::new(World { manifests, set, network, board, binary, data: fs::canonicalize(data)?, work }))
}

fn refuse_what_is_not_played(set: &StatefulSet) -> anyhow::Result<()> {
    let pod = &set.spec.template.spec;
    anyhow::ensure!(pod.containers.len() == 1, "one container is played, not {}", pod.containers.len());
    anyhow::ensure!(!pod.enable_service_links, "enableServiceLinks is not played");
    anyhow::ensure!(set.spec.selector.selects(&set.spec.template.metadata.labels), "the selector does not select the pods");
    Ok(())
}

/// Address, port, port of the pods.
type Listener = (std::net::Ipv4Addr, u16, u16);

/// Names for all services of the set, and an address for each that is not headless.
fn services(manifests: &Manifests, set: &StatefulSet, network: &Network) -> anyhow::Result<(Vec<Name>, Vec<Listener>)> {
    let (mut names, mut listeners) = (Vec::new(), Vec::new());
    let labels = &set.spec.template.metadata.labels;
    let is_ours = |service: &&Service| service.spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    for service in manifests.services.iter().filter(is_ours) {
        let address = if service.is_headless() { None } else { Some(network.service()?) };
        names.push(Name {
            service: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            address,
            publishes_unready: service.spec.publish_not_ready_addresses,
        });
        let container = &set.spec.template.spec.containers[0];
        for port in address.iter().flat_map(|address| service.spec.ports.iter().map(move |port| (*address, port))) {
            let target = port.1.target_port.clone().unwrap_or(NamedPort::Number(port.1.port));
            let target = container.port(&target).with_context(|| format!("service {}: {target:?}", service.metadata.name))?;
            listeners.push((port.0, port.1.port, target));
        }
    }
    Ok((names, listeners))
}

const LOG_LINES: usize = 20;

/// The last lines of every pod.
fn show_logs(data: &Path) {
    let files = fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        say(&format!("--- {}", file.display()));
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().for_each(|line| say(line));
    }
}
