//! The folders of a pod: files of ConfigMaps and Secrets, claims that last, and empty ones.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::manifest::{Item, Manifests, PodSpec, Source, StatefulSet};

/// A folder of this machine that a container sees.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Here.
    pub source: PathBuf,
    /// There.
    pub target: String,
    /// Whether it may be written.
    pub is_writable: bool,
}

const FILE_MODE: u32 = 0o644;
/// Writable by the group, which new files inherit: what Kubernetes makes of a volume with `fsGroup`.
const CLAIM_MODE: u32 = 0o2775;

/// Makes all folders of a pod; those of claims are found again under `claims`.
///
/// # Errors
/// When a volume is not there, or a file cannot be written.
pub fn mounts(manifests: &Manifests, set: &StatefulSet, pod: &str, work: &Path, claims: &Path) -> anyhow::Result<Vec<Mount>> {
    let spec = &set.spec.template.spec;
    let container = spec.containers.first().context("a pod has no container")?;
    let mut mounts = Vec::new();
    for mount in &container.volume_mounts {
        let is_claim = set.spec.volume_claim_templates.iter().any(|claim| claim.metadata.name == mount.name);
        let (source, is_writable) = if is_claim {
            (claim(&claims.join(format!("{}-{pod}", mount.name)), spec)?, true)
        } else {
            volume(manifests, spec, &mount.name, work)?
        };
        mounts.push(Mount { source, target: mount.mount_path.clone(), is_writable: is_writable && !mount.read_only });
    }
    Ok(mounts)
}

fn claim(folder: &Path, spec: &PodSpec) -> anyhow::Result<PathBuf> {
    if !fs::exists(folder)? {
        fs::create_dir_all(folder)?;
        chown(folder, None, spec.security_context.fs_group)?;
        fs::set_permissions(folder, Permissions::from_mode(CLAIM_MODE))?;
    }
    Ok(folder.to_owned())
}

fn volume(manifests: &Manifests, spec: &PodSpec, name: &str, work: &Path) -> anyhow::Result<(PathBuf, bool)> {
    let volume = spec.volumes.iter().find(|volume| volume.name == name).with_context(|| format!("no volume {name}"))?;
    let folder = work.join("volumes").join(name);
    fs::create_dir_all(&folder)?;
    let group = spec.security_context.fs_group;
    match &volume.source {
        Source::EmptyDir(_) => {
            fs::set_permissions(&folder, Permissions::from_mode(0o1777))?;
            return Ok((folder, true));
        }
        Source::ConfigMap { name, default_mode, items } => {
            let data = &manifests.config_map(name)?.data;
            let files = data.iter().map(|(file, text)| (file.clone(), text.clone().into_bytes())).collect();
            write_all(&folder, &chosen(files, items.as_deref())?, default_mode.unwrap_or(FILE_MODE), group)?;
        }
        Source::Secret { secret_name, default_mode, items } => {
            let data = &manifests.secret(secret_name)?.data;
            let decoded = data.iter().map(|(file, text)| Ok((file.clone(), BASE64_STANDARD.decode(text)?)));
            let files = decoded.collect::<anyhow::Result<_>>()?;
            write_all(&folder, &chosen(files, items.as_deref())?, default_mode.unwrap_or(FILE_MODE), group)?;
        }
    }
    Ok((folder, false))
}

type Files = BTreeMap<String, Vec<u8>>;

fn chosen(mut all: Files, items: Option<&[Item]>) -> anyhow::Result<Files> {
    let Some(items) = items else { return Ok(all) };
    let take = |item: &Item| {
        let file = all.remove(&item.key).with_context(|| format!("no file {}", item.key))?;
        Ok((item.path.clone(), file))
    };
    items.iter().map(take).collect()
}

fn write_all(folder: &Path, files: &Files, mode: u32, group: Option<u32>) -> anyhow::Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes)?;
        chown(&path, None, group)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(())
}
