//! Settings in manifests: names that the node knows, addresses that fit the ports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use watershed_kubelet::environment::{self, Identity};
use watershed_kubelet::manifest::{Container, Manifests, Source, StatefulSet};

const ENV_PREFIX: &str = "WATERSHED_";

/// Names of settings.
pub(super) struct Known(BTreeSet<String>);

impl Known {
    /// The fields of `Config`.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string(root.join("crates/node/src/config.rs"))?)
    }

    pub(super) fn parse(source: &str) -> anyhow::Result<Self> {
        let (_, rest) = source.split_once("pub struct Config {").context("config.rs has no struct Config")?;
        let body = rest.split_once("\n}").context("struct Config has no end")?.0;
        let field = |line: &str| Some(line.trim().strip_prefix("pub ")?.split_once(':')?.0.to_owned());
        Ok(Self(body.lines().filter_map(field).collect()))
    }

    /// Names that the node would refuse.
    pub(super) fn strangers(&self, config: &Config) -> Vec<String> {
        let unknown = |name: &&String| !self.0.contains(*name);
        let variables =
            config.variables.keys().filter(unknown).map(|name| format!("{ENV_PREFIX}{} is no setting", name.to_uppercase()));
        let keys = config.file.keys().filter(unknown).map(|name| format!("{name} of the ConfigMap is no setting"));
        variables.chain(keys).collect()
    }
}

/// What a node would be told.
pub(super) struct Config {
    /// `WATERSHED_*`, by name of the setting, of pod 0.
    pub(super) variables: BTreeMap<String, String>,
    /// The TOML file.
    pub(super) file: toml::Table,
}

impl Config {
    pub(super) fn of(manifests: &Manifests, container: &Container) -> anyhow::Result<Self> {
        let set = manifests.stateful_set()?;
        let pod = Identity {
            name: format!("{}-0", set.metadata.name),
            namespace: set.metadata.namespace.clone(),
            ..Identity::default()
        };
        let variables = environment::resolve(&container.env, manifests, &pod)?;
        let setting = |(name, text): (String, String)| Some((name.strip_prefix(ENV_PREFIX)?.to_lowercase(), text));
        let variables = variables.into_iter().filter_map(setting).collect();
        Ok(Self { variables, file: config_file(manifests, container)?.parse()? })
    }

    /// A setting, wherever it stands.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).or_else(|| self.file.get(name)?.as_str())
    }

    /// Listeners and the container's ports; who is joined.
    pub(super) fn address_faults(&self, set: &StatefulSet, container: &Container) -> Vec<String> {
        let mut faults = Vec::new();
        for name in ["grpc", "http", "cluster"] {
            let wanted = super::port(container, name).map(|port| format!("0.0.0.0:{port}"));
            let given = self.get(&format!("{name}_addr"));
            if wanted.as_deref() != given {
                faults.push(format!("port {name} is {wanted:?}, the setting {name}_addr is {given:?}"));
            }
        }
        if let (Some(join), advertise) = (self.get("join"), self.get("advertise_addr")) {
            faults.extend(join_faults(join, advertise, set));
        }
        faults
    }
}

/// Every address of `join` is one that a pod advertises.
fn join_faults(join: &str, advertise: Option<&str>, set: &StatefulSet) -> Vec<String> {
    let first = format!("{}-0.", set.metadata.name);
    let Some(rest) = advertise.and_then(|address| address.strip_prefix(&first)) else {
        return vec![format!("pod 0 advertises {advertise:?}, it should begin with {first}")];
    };
    let pods: Vec<String> = (0..set.spec.replicas).map(|ordinal| format!("{}-{ordinal}.{rest}", set.metadata.name)).collect();
    let joined: Vec<&str> = join.split(',').collect();
    if joined == pods { Vec::new() } else { vec![format!("join is {joined:?}, the pods advertise {pods:?}")] }
}

/// The file of `--config`, found through the folder that it is mounted in.
fn config_file<'a>(manifests: &'a Manifests, container: &Container) -> anyhow::Result<&'a str> {
    let flag = container.args.iter().position(|word| word == "--config").context("args have no --config")?;
    let path = container.args.get(flag + 1).context("--config has no file")?;
    let (folder, name) = path.rsplit_once('/').context("--config needs a whole path")?;
    let mount = container.volume_mounts.iter().find(|mount| mount.mount_path == folder);
    let mount = mount.with_context(|| format!("nothing is mounted at {folder}"))?;
    let volumes = &manifests.stateful_set()?.spec.template.spec.volumes;
    match volumes.iter().find(|volume| volume.name == mount.name).map(|volume| &volume.source) {
        Some(Source::ConfigMap { name: map, .. }) => manifests
            .config_map(map)?
            .data
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("ConfigMap {map} has no {name}")),
        _ => anyhow::bail!("{folder} is no ConfigMap"),
    }
}
