//! One process: its command, variables, folders and probes.

use serde::Deserialize;
use serde_json::Value;

/// A container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What is run; here the binary is given by hand.
    pub image: String,
    /// Program; the manifests must say it, because there is no image to ask.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables, in order: `$(NAME)` sees those above.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Ports by name.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Folders.
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
    /// Until it succeeds, the others wait.
    pub startup_probe: Option<Probe>,
    /// Whether requests may come.
    pub readiness_probe: Option<Probe>,
    /// Whether it must be restarted.
    pub liveness_probe: Option<Probe>,
    /// What is done before the end.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What it may do.
    #[serde(default)]
    pub security_context: Security,
    /// Not played.
    #[serde(default)]
    pub resources: Value,
    /// Not played.
    pub image_pull_policy: Option<String>,
}

impl Container {
    /// The number of a port.
    #[must_use]
    pub fn port(&self, port: &NamedPort) -> Option<u16> {
        match port {
            NamedPort::Number(number) => Some(*number),
            NamedPort::Name(name) => self.ports.iter().find(|port| port.name == *name).map(|port| port.container_port),
        }
    }
}

/// A variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its text.
    pub value: Option<String>,
    /// Where its text is.
    pub value_from: Option<ValueFrom>,
}

/// Where a variable's text is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ValueFrom {
    /// A field of the pod.
    #[serde(rename_all = "camelCase")]
    FieldRef {
        /// Like `metadata.name`.
        field_path: String,
    },
    /// A file of a ConfigMap.
    ConfigMapKeyRef {
        /// Which ConfigMap.
        name: String,
        /// Which file.
        key: String,
    },
    /// A file of a Secret.
    SecretKeyRef {
        /// Which Secret.
        name: String,
        /// Which file.
        key: String,
    },
}

/// A port of a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its number.
    pub container_port: u16,
}

/// A port by number or name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum NamedPort {
    /// 4318.
    Number(u16),
    /// `http`.
    Name(String),
}

/// A folder inside.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// Which volume.
    pub name: String,
    /// Where.
    pub mount_path: String,
    /// Whether it is read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// A question to the container, again and again. Defaults are Kubernetes'.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What is asked.
    #[serde(flatten)]
    pub handler: Handler,
    /// Seconds before the first.
    #[serde(default)]
    pub initial_delay_seconds: u64,
    /// Seconds between two.
    #[serde(default = "ten")]
    pub period_seconds: u64,
    /// Seconds for an answer.
    #[serde(default = "one")]
    pub timeout_seconds: u64,
    /// Failures in a row that count.
    #[serde(default = "three")]
    pub failure_threshold: u64,
    /// Successes in a row that count.
    #[serde(default = "one")]
    pub success_threshold: u64,
}

const fn one() -> u64 {
    1
}

const fn three() -> u64 {
    3
}

const fn ten() -> u64 {
    10
}

/// What is asked or done.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Handler {
    /// An HTTP GET; 200 to 399 is a success.
    HttpGet(HttpGet),
    /// A connection.
    TcpSocket {
        /// Which port.
        port: NamedPort,
    },
    /// A program in the container; 0 is a success.
    Exec {
        /// It and its arguments.
        command: Vec<String>,
    },
    /// Nothing, for some time.
    Sleep {
        /// How long.
        seconds: u64,
    },
}

/// An HTTP GET.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGet {
    /// Path.
    pub path: String,
    /// Port.
    pub port: NamedPort,
}

/// What is done around a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lifecycle {
    /// Before SIGTERM.
    pub pre_stop: Option<Handler>,
}

/// What a container may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Security {
    /// Whether it may gain rights.
    pub allow_privilege_escalation: Option<bool>,
    /// Whether its root cannot be written.
    pub read_only_root_filesystem: bool,
    /// Rights.
    pub capabilities: Capabilities,
}

/// Rights of root, given and taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Taken; only `ALL` is played.
    pub drop: Vec<String>,
}
