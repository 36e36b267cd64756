//! The manifests of `deploy/k8s`, rendered and checked without a cluster: against Kubernetes' schema, then against what no schema knows.

mod network;
mod pod;
mod settings;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use watershed_kubelet::manifest::{Container, Manifests};

const OVERLAYS: [&str; 3] = ["single", "three-nodes", "r2"];
/// The oldest Kubernetes that the manifests are for: `preStop.sleep` is there for good since then.
const KUBERNETES: &str = "1.34";
/// Has no schema offline: it is a kind of the Prometheus operator.
const MONITOR: &str = "service-monitor";

/// Checks every overlay, and every component in one that is made for it.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let folder = crate::prepare::target(root).join("deploy");
    fs::create_dir_all(&folder)?;
    let known = settings::Known::read(root)?;
    let dockerfile = fs::read_to_string(root.join("deploy/Dockerfile"))?;
    let mut faults = Vec::new();
    for overlay in OVERLAYS {
        let yaml = render(root, &root.join("deploy/k8s/overlays").join(overlay))?;
        validate(root, &folder.join(format!("{overlay}.yaml")), &yaml)?;
        faults.extend(
            self::faults(&Manifests::parse(&yaml)?, &known, &dockerfile)?.into_iter().map(|one| format!("{overlay}: {one}")),
        );
    }
    let monitored = Manifests::parse(&render(root, &monitored(&folder, root)?)?)?;
    faults.extend(network::monitor_faults(&monitored).into_iter().map(|one| format!("{MONITOR}: {one}")));
    anyhow::ensure!(faults.is_empty(), "deploy: {} faults\n{}", faults.len(), faults.join("\n"));
    crate::report(&format!("deploy: {} are fit for Kubernetes {KUBERNETES}", OVERLAYS.join(", ")));
    Ok(())
}

fn faults(manifests: &Manifests, known: &settings::Known, dockerfile: &str) -> anyhow::Result<Vec<String>> {
    let set = manifests.stateful_set()?;
    let [container] = set.spec.template.spec.containers.as_slice() else { anyhow::bail!("one container is wanted") };
    let config = settings::Config::of(manifests, container)?;
    let mut faults = known.strangers(&config);
    faults.extend(config.address_faults(set, container));
    faults.extend(network::faults(manifests, set, container));
    faults.extend(pod::faults(manifests, set, container, &config));
    faults.extend(pod::image_faults(&set.spec.template.spec, container, dockerfile));
    Ok(faults)
}

fn tool(root: &Path, name: &str) -> anyhow::Result<Command> {
    let path = crate::prepare::target(root).join("foreign/python/bin").join(name);
    anyhow::ensure!(fs::exists(&path)?, "no {name} at {}: run `cargo xtask prepare`", path.display());
    Ok(Command::new(path))
}

fn render(root: &Path, folder: &Path) -> anyhow::Result<String> {
    let output = tool(root, "kubectl")?.arg("kustomize").arg(folder).output()?;
    anyhow::ensure!(
        output.status.success(),
        "kubectl kustomize {}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn validate(root: &Path, file: &Path, yaml: &str) -> anyhow::Result<()> {
    fs::write(file, yaml)?;
    let output = tool(root, "kubernetes-validate")?.args(["-k", KUBERNETES, "--strict", "--quiet"]).arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "kubernetes-validate {}:\n{said}", file.display());
    Ok(())
}

/// A component alone cannot be rendered. Kustomize wants relative paths.
fn monitored(folder: &Path, root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let place = fs::canonicalize(folder)?.join(MONITOR);
    fs::create_dir_all(&place)?;
    let up = "../".repeat(place.components().count() - 1);
    let root = fs::canonicalize(root)?;
    let k8s = format!("{up}{}/deploy/k8s", root.strip_prefix("/")?.display());
    let text = format!("resources: [{k8s}/overlays/single]\ncomponents: [{k8s}/components/{MONITOR}]\n");
    fs::write(place.join("kustomization.yaml"), text).context("a kustomization for the component")?;
    Ok(place)
}

/// The number of the port of that name.
fn port(container: &Container, name: &str) -> Option<u16> {
    container.ports.iter().find(|port| port.name == name).map(|port| port.container_port)
}

#[cfg(test)]
mod tests;
