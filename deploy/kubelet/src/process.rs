//! A container's process: its root, its rights, its variables.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

use crate::environment::expand;
use crate::manifest::{Container, PodSpec};
use crate::volumes::Mount;

const SCRIPT: &str = include_str!("container.sh");
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container is started from.
#[derive(Clone, Debug)]
pub struct Start {
    /// Name of the pod, of its namespace and its host.
    pub pod: String,
    /// Folder of the pod, gone with it.
    pub work: PathBuf,
    /// Program that stands for the image.
    pub binary: PathBuf,
    /// Hosts file.
    pub hosts: PathBuf,
    /// Folders.
    pub mounts: Vec<Mount>,
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Start {
    /// Starts the process; its id is that of the container's own process.
    ///
    /// # Errors
    /// When a folder cannot be made or nothing can be run.
    pub fn spawn(&self, spec: &PodSpec, container: &Container) -> anyhow::Result<Child> {
        let (program, rest) = container.command.split_first().context("command is empty: there is no image to ask")?;
        self.fresh_root()?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.pod, "unshare", "--mount", "--uts", "--ipc", "sh", "-c", SCRIPT, "container.sh"]);
        command.arg(&self.work).arg(&self.pod);
        command.arg(if container.security_context.read_only_root_filesystem { "ro" } else { "rw" });
        command.arg(&self.binary).args([program, "ro"]).arg(&self.hosts).args(["/etc/hosts", "ro"]);
        command.arg("/dev/null").args(["/etc/resolv.conf", "ro"]);
        for mount in &self.mounts {
            command.arg(&mount.source).args([mount.target.as_str(), if mount.is_writable { "rw" } else { "ro" }]);
        }
        command.arg("--").args(rights(spec, container)?).arg(program);
        command.args(rest.iter().chain(&container.args).map(|word| expand(word, &self.variables)));
        command.env_clear().env("PATH", PATH).env("HOSTNAME", &self.pod).envs(&self.variables);
        let log = log_file(&self.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command.spawn()?)
    }

    /// What was written into the root is lost with the container.
    fn fresh_root(&self) -> anyhow::Result<()> {
        for name in ["upper", "work", "root"] {
            let folder = self.work.join(name);
            if fs::exists(&folder)? {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
        }
        Ok(())
    }
}

/// The words of `setpriv`: user, groups, capabilities.
fn rights(spec: &PodSpec, container: &Container) -> anyhow::Result<Vec<String>> {
    let (who, may) = (&spec.security_context, &container.security_context);
    let user = who.run_as_user.context("runAsUser is absent: there is no image to ask")?;
    anyhow::ensure!(!who.run_as_non_root || user != 0, "runAsNonRoot: the user is root");
    let group = who.run_as_group.unwrap_or(0);
    let mut words = vec![format!("--reuid={user}"), format!("--regid={group}")];
    words.push(who.fs_group.map_or("--clear-groups".to_owned(), |group| format!("--groups={group}")));
    if may.allow_privilege_escalation == Some(false) {
        words.push("--no-new-privs".to_owned());
    }
    match may.capabilities.drop.as_slice() {
        [] => {}
        [all] if all == "ALL" => words.extend(["--bounding-set=-all".to_owned(), "--inh-caps=-all".to_owned()]),
        other => anyhow::bail!("capabilities.drop {other:?} is not played, only ALL"),
    }
    Ok(words)
}

/// A command in a running container, with its network, root and rights.
///
/// # Errors
/// When the rights cannot be played.
pub fn exec(pid: u32, words: &[String], spec: &PodSpec, container: &Container) -> anyhow::Result<Command> {
    let mut command = Command::new("nsenter");
    command.args([format!("--target={pid}"), format!("--root=/proc/{pid}/root")]).args(["--mount", "--net", "--uts", "setpriv"]);
    command.args(rights(spec, container)?).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn log_file(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())
}
