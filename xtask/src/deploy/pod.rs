//! A pod: its folders, its end, what it may do, and the image it comes from.

use watershed_kubelet::manifest::{Container, Handler, Manifests, PodSpec, Probe, Source, StatefulSet};

use super::settings::Config;

/// Requests in flight are given `drain_timeout`, then the archiver is: `node::serve`.
const DRAINS: u64 = 2;
/// To close what is left.
const MARGIN_SECS: u64 = 5;

pub(super) fn faults(manifests: &Manifests, set: &StatefulSet, container: &Container, config: &Config) -> Vec<String> {
    let pod = &set.spec.template.spec;
    let mut faults = mount_faults(manifests, set, container, config);
    faults.extend(end_faults(pod, container, config));
    faults.extend(probe_faults(container));
    faults.extend(security_faults(pod, container));
    if pod.enable_service_links {
        faults.push("enableServiceLinks: services would become WATERSHED_* variables".to_owned());
    }
    faults
}

fn end_faults(pod: &PodSpec, container: &Container, config: &Config) -> Vec<String> {
    let Some(drain_secs) = config.get("drain_timeout").and_then(|text| text.strip_suffix('s')?.parse::<u64>().ok()) else {
        return vec!["drain_timeout must be written, in seconds: the time that a pod is given depends on it".to_owned()];
    };
    let Some(Handler::Sleep { seconds }) = container.lifecycle.pre_stop else {
        return vec!["preStop must sleep: the image has no program for more".to_owned()];
    };
    let (given, wanted) = (pod.termination_grace_period_seconds, seconds + DRAINS * drain_secs + MARGIN_SECS);
    if given >= wanted {
        return Vec::new();
    }
    vec![format!(
        "terminationGracePeriodSeconds {given} is less than {wanted}: preStop {seconds} + {DRAINS} × drain_timeout {drain_secs} + {MARGIN_SECS}"
    )]
}

fn probe_faults(container: &Container) -> Vec<String> {
    let probes = [
        ("startupProbe", &container.startup_probe, "/livez"),
        ("readinessProbe", &container.readiness_probe, "/readyz"),
        ("livenessProbe", &container.liveness_probe, "/livez"),
    ];
    let is_right = |probe: &Option<Probe>, path: &str| match probe.as_ref().map(|probe| &probe.handler) {
        Some(Handler::HttpGet(get)) => get.path == path && container.port(&get.port) == super::port(container, "http"),
        _ => false,
    };
    let wrong = probes.into_iter().filter(|(_, probe, path)| !is_right(probe, path));
    wrong.map(|(name, _, path)| format!("{name} must ask {path} at port http")).collect()
}

fn mount_faults(manifests: &Manifests, set: &StatefulSet, container: &Container, config: &Config) -> Vec<String> {
    let pod = &set.spec.template.spec;
    let is_claim = |name: &str| set.spec.volume_claim_templates.iter().any(|claim| claim.metadata.name == name);
    let mut faults = Vec::new();
    for mount in &container.volume_mounts {
        if !is_claim(&mount.name) && !pod.volumes.iter().any(|volume| volume.name == mount.name) {
            faults.push(format!("{} is mounted, there is no such volume", mount.name));
        }
    }
    let data = container.volume_mounts.iter().find(|mount| Some(mount.mount_path.as_str()) == config.get("data_dir"));
    if !data.is_some_and(|mount| is_claim(&mount.name) && !mount.read_only) {
        faults.push(format!("data_dir {:?} is no volume that lasts", config.get("data_dir")));
    }
    let lake = config.file.get("lake").and_then(|lake| lake.get("token_file")?.as_str());
    for path in config.get("cluster_secret_file").into_iter().chain(lake) {
        if !is_secret(manifests, pod, container, path) {
            faults.push(format!("{path} is no file of a Secret"));
        }
    }
    faults
}

fn is_secret(manifests: &Manifests, pod: &PodSpec, container: &Container, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    let mounts = container.volume_mounts.iter().filter(|mount| mount.mount_path == folder && mount.read_only);
    let mut volumes = mounts.flat_map(|mount| pod.volumes.iter().filter(|volume| volume.name == mount.name));
    volumes.any(|volume| match &volume.source {
        Source::Secret { secret_name, .. } => manifests.secret(secret_name).is_ok_and(|secret| secret.data.contains_key(file)),
        _ => false,
    })
}

fn security_faults(pod: &PodSpec, container: &Container) -> Vec<String> {
    let (who, may) = (&pod.security_context, &container.security_context);
    let rules = [
        (who.run_as_non_root && who.run_as_user.is_some_and(|user| user > 0), "must not run as root"),
        (who.fs_group == who.run_as_group && who.fs_group.is_some(), "fsGroup must be the node's group, to write its volume"),
        (who.seccomp_profile["type"] == "RuntimeDefault", "needs the seccomp profile RuntimeDefault"),
        (may.read_only_root_filesystem, "must have a root that is read-only"),
        (may.allow_privilege_escalation == Some(false), "must not gain rights"),
        (may.capabilities.drop == ["ALL"], "must drop all capabilities"),
        (pod.automount_service_account_token == Some(false), "needs no token of the API server"),
        (container.resources["limits"]["memory"].is_string(), "needs a limit of memory"),
        (container.resources["requests"]["memory"].is_string(), "needs a request of memory"),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| format!("the container {rule}")).collect()
}

/// The image and the manifests agree about user, program and ports.
pub(super) fn image_faults(pod: &PodSpec, container: &Container, dockerfile: &str) -> Vec<String> {
    let last = |word: &str| dockerfile.lines().filter_map(|line| line.strip_prefix(word)).next_back().unwrap_or_default().trim();
    let (user, group) = (pod.security_context.run_as_user.unwrap_or(0), pod.security_context.run_as_group.unwrap_or(0));
    let program = container.command.join(" ");
    let exposed: Vec<&str> = last("EXPOSE ").split(' ').collect();
    let mut faults = Vec::new();
    if last("USER ") != format!("{user}:{group}") {
        faults.push(format!("the pod runs as {user}:{group}, the image as {}", last("USER ")));
    }
    if last("ENTRYPOINT ") != format!("[\"{program}\"]") {
        faults.push(format!("the pod runs {program}, the image {}", last("ENTRYPOINT ")));
    }
    let hidden = container.ports.iter().filter(|port| !exposed.contains(&port.container_port.to_string().as_str()));
    faults.extend(hidden.map(|port| format!("the image does not expose port {}", port.container_port)));
    faults
}
