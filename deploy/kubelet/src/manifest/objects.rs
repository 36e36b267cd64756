//! Objects around a pod.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{NamedPort, PodSpec};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// Name and labels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Name.
    pub name: String,
    /// Namespace; empty means `default`.
    pub namespace: String,
    /// Labels.
    pub labels: Labels,
}

/// Which pods; only by labels that are equal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// All of them must be there.
    pub match_labels: Labels,
}

impl Selector {
    /// Whether something with these labels is meant. An empty selector means everything.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Files by name.
#[derive(Clone, Debug, Deserialize)]
pub struct ConfigMap {
    /// Its name.
    pub metadata: Meta,
    /// Text by name of file.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

/// Files by name, base64.
#[derive(Clone, Debug, Deserialize)]
pub struct Secret {
    /// Its name.
    pub metadata: Meta,
    /// Base64 by name of file.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// Its name.
    pub metadata: Meta,
    /// What it says.
    pub spec: ServiceSpec,
}

/// What a service says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// `None` for a headless one.
    #[serde(default, rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Names pods that are not ready.
    #[serde(default)]
    pub publish_not_ready_addresses: bool,
    /// Labels of its pods.
    #[serde(default)]
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// Whether it has no address of its own.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip.as_deref() == Some("None")
    }
}

/// A port of a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Where clients connect.
    pub port: u16,
    /// Where the pod listens; absent means `port`.
    pub target_port: Option<NamedPort>,
    /// A hint for proxies.
    pub app_protocol: Option<String>,
}

/// A StatefulSet.
#[derive(Clone, Debug, Deserialize)]
pub struct StatefulSet {
    /// Its name.
    pub metadata: Meta,
    /// What it says.
    pub spec: StatefulSetSpec,
}

/// What a StatefulSet says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatefulSetSpec {
    /// How many pods; absent means 1.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The headless service that names them.
    pub service_name: String,
    /// Its pods.
    pub selector: Selector,
    /// `OrderedReady` (default) or `Parallel`.
    #[serde(default)]
    pub pod_management_policy: Option<String>,
    /// How long a pod must have been ready before the next is restarted, in seconds.
    #[serde(default)]
    pub min_ready_seconds: u64,
    /// Only the default, `RollingUpdate`, is played.
    #[serde(default)]
    pub update_strategy: Value,
    /// Volumes are always kept here.
    #[serde(default)]
    pub persistent_volume_claim_retention_policy: Value,
    /// A pod.
    pub template: Template,
    /// A volume for each pod.
    #[serde(default)]
    pub volume_claim_templates: Vec<ClaimTemplate>,
}

const fn one() -> u32 {
    1
}

/// A pod to be.
#[derive(Clone, Debug, Deserialize)]
pub struct Template {
    /// Labels.
    #[serde(default)]
    pub metadata: Meta,
    /// What it says.
    pub spec: PodSpec,
}

/// A volume of each pod.
#[derive(Clone, Debug, Deserialize)]
pub struct ClaimTemplate {
    /// Its name.
    pub metadata: Meta,
}

/// A disruption budget.
#[derive(Clone, Debug, Deserialize)]
pub struct Budget {
    /// Its name.
    pub metadata: Meta,
    /// What it says.
    pub spec: BudgetSpec,
}

/// What a budget says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSpec {
    /// Its pods.
    pub selector: Selector,
    /// How many may be away.
    pub max_unavailable: Option<Value>,
}

/// A network policy.
#[derive(Clone, Debug, Deserialize)]
pub struct Policy {
    /// Its name.
    pub metadata: Meta,
    /// What it says.
    pub spec: PolicySpec,
}

/// What a network policy says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// Whom it is about.
    pub pod_selector: Selector,
    /// `Ingress`, `Egress`.
    pub policy_types: Vec<String>,
    /// What may come in.
    #[serde(default)]
    pub ingress: Vec<PolicyRule>,
    /// What may go out.
    #[serde(default)]
    pub egress: Vec<PolicyRule>,
}

/// Peers and ports that are let through.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// Who, or to whom; empty means everybody.
    #[serde(default, alias = "from", alias = "to")]
    pub peers: Vec<PolicyPeer>,
    /// Ports; empty means all.
    #[serde(default)]
    pub ports: Vec<PolicyPort>,
}

/// Pods of the same namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyPeer {
    /// Which.
    pub pod_selector: Selector,
}

/// A port in a policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyPort {
    /// Which.
    pub port: NamedPort,
    /// TCP if absent.
    pub protocol: Option<String>,
}

/// A ServiceMonitor.
#[derive(Clone, Debug, Deserialize)]
pub struct Monitor {
    /// Its name.
    pub metadata: Meta,
    /// What it says.
    pub spec: MonitorSpec,
}

/// What a ServiceMonitor says.
#[derive(Clone, Debug, Deserialize)]
pub struct MonitorSpec {
    /// Services.
    pub selector: Selector,
    /// What is asked.
    pub endpoints: Vec<MonitorEndpoint>,
}

/// A port that Prometheus asks.
#[derive(Clone, Debug, Deserialize)]
pub struct MonitorEndpoint {
    /// Name of the service's port.
    pub port: String,
    /// Path.
    pub path: String,
}
