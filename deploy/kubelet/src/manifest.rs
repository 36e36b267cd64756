//! Rendered manifests as types: the objects that are played, and those that `cargo xtask deploy` compares with them.

mod container;
mod objects;
mod pod;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use container::{Container, EnvVar, Handler, HttpGet, Lifecycle, NamedPort, Port, Probe, Security, ValueFrom, VolumeMount};
pub use objects::{
    Budget, ClaimTemplate, ConfigMap, Labels, Meta, Monitor, Policy, PolicyPeer, PolicyRule, Secret, Selector, Service,
    ServicePort, StatefulSet,
};
pub use pod::{Item, PodSecurity, PodSpec, Source, Volume};

/// What `kubectl kustomize` prints, sorted by kind.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Services.
    pub services: Vec<Service>,
    /// StatefulSets.
    pub stateful_sets: Vec<StatefulSet>,
    /// Disruption budgets.
    pub budgets: Vec<Budget>,
    /// Network policies.
    pub policies: Vec<Policy>,
    /// ServiceMonitors of the Prometheus operator.
    pub monitors: Vec<Monitor>,
}

impl Manifests {
    /// Reads YAML documents.
    ///
    /// # Errors
    /// When it is no YAML, or an object has a field that is neither played nor known to be left out.
    pub fn parse(yaml: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for document in serde_saphyr::from_multiple::<Value>(yaml)? {
            let kind = document["kind"].as_str().context("an object has no kind")?.to_owned();
            let name = document["metadata"]["name"].as_str().unwrap_or("?").to_owned();
            all.add(&kind, document).with_context(|| format!("{kind} {name}"))?;
        }
        Ok(all)
    }

    fn add(&mut self, kind: &str, document: Value) -> anyhow::Result<()> {
        match kind {
            "ConfigMap" => self.config_maps.push(typed(document)?),
            "Secret" => self.secrets.push(typed(document)?),
            "Service" => self.services.push(typed(document)?),
            "StatefulSet" => self.stateful_sets.push(typed(document)?),
            "PodDisruptionBudget" => self.budgets.push(typed(document)?),
            "NetworkPolicy" => self.policies.push(typed(document)?),
            "ServiceMonitor" => self.monitors.push(typed(document)?),
            "Namespace" | "ServiceAccount" => {}
            other => anyhow::bail!("kind {other} is not known here"),
        }
        Ok(())
    }

    /// The one StatefulSet.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn stateful_set(&self) -> anyhow::Result<&StatefulSet> {
        match self.stateful_sets.as_slice() {
            [one] => Ok(one),
            other => anyhow::bail!("one StatefulSet is wanted, found {}", other.len()),
        }
    }

    /// The files of a ConfigMap.
    ///
    /// # Errors
    /// When there is no such ConfigMap.
    pub fn config_map(&self, name: &str) -> anyhow::Result<&ConfigMap> {
        self.config_maps.iter().find(|map| map.metadata.name == name).with_context(|| format!("no ConfigMap {name}"))
    }

    /// A Secret.
    ///
    /// # Errors
    /// When there is no such Secret.
    pub fn secret(&self, name: &str) -> anyhow::Result<&Secret> {
        self.secrets.iter().find(|secret| secret.metadata.name == name).with_context(|| format!("no Secret {name}"))
    }
}

fn typed<T: DeserializeOwned>(document: Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(document)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_played_is_refused_by_name() {
        let text = "kind: StatefulSet\nmetadata: {name: a}\nspec:\n  serviceName: a\n  selector: {matchLabels: {}}\n  template:\n    spec:\n      containers: []\n      initContainers: []\n";
        let error = format!("{:#}", Manifests::parse(text).expect_err("refused"));
        assert!(error.contains("StatefulSet a") && error.contains("initContainers"), "{error}");
    }

    #[test]
    fn documents_are_sorted_by_kind() {
        let text = "kind: ConfigMap\nmetadata: {name: c}\ndata: {f: x}\n---\nkind: Namespace\nmetadata: {name: n}\n";
        let all = Manifests::parse(text).expect("reads");
        assert_eq!(all.config_map("c").expect("is there").data["f"], "x");
        assert!(all.config_map("d").is_err() && all.stateful_set().is_err());
    }
}
