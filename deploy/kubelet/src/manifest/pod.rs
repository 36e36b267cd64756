//! What runs together under one name and address.

use serde::Deserialize;
use serde_json::Value;

use super::Container;

/// What a pod says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    /// One container is played.
    pub containers: Vec<Container>,
    /// Folders.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Who the process is.
    #[serde(default)]
    pub security_context: PodSecurity,
    /// From the order to end until SIGKILL, preStop included; in seconds.
    #[serde(default = "thirty")]
    pub termination_grace_period_seconds: u64,
    /// Whether services become variables; true if absent.
    #[serde(default = "yes")]
    pub enable_service_links: bool,
    /// There is no API server here.
    pub service_account_name: Option<String>,
    /// There is no API server here.
    pub automount_service_account_token: Option<bool>,
    /// Every pod has a machine of its own here.
    #[serde(default)]
    pub topology_spread_constraints: Vec<Value>,
}

const fn thirty() -> u64 {
    30
}

const fn yes() -> bool {
    true
}

/// Who the process is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodSecurity {
    /// Refuse to run as root.
    pub run_as_non_root: bool,
    /// User; absent means the image's.
    pub run_as_user: Option<u32>,
    /// Group; absent means the image's.
    pub run_as_group: Option<u32>,
    /// Group that owns volumes.
    pub fs_group: Option<u32>,
    /// Played as `OnRootMismatch`: a volume is handed over when it is made.
    pub fs_group_change_policy: Option<String>,
    /// Not played.
    pub seccomp_profile: Value,
}

/// A folder with a name.
#[derive(Clone, Debug, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What is in it.
    #[serde(flatten)]
    pub source: Source,
}

/// What is in a folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// The files of a ConfigMap.
    #[serde(rename_all = "camelCase")]
    ConfigMap {
        /// Which.
        name: String,
        /// Mode of the files; 0644 if absent.
        default_mode: Option<u32>,
        /// Only these; all if absent.
        items: Option<Vec<Item>>,
    },
    /// The files of a Secret.
    #[serde(rename_all = "camelCase")]
    Secret {
        /// Which.
        secret_name: String,
        /// Mode of the files; 0644 if absent.
        default_mode: Option<u32>,
        /// Only these; all if absent.
        items: Option<Vec<Item>>,
    },
    /// An empty folder, new with each pod.
    EmptyDir(Value),
}

/// A file under another name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name in the ConfigMap or Secret.
    pub key: String,
    /// Its name in the folder.
    pub path: String,
}
