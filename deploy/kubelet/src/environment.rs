//! The variables of a container, and `$(NAME)` in its words.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::manifest::{EnvVar, Labels, Manifests, ValueFrom};

/// What a pod is called, and where it is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// `watershed-0`.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its address.
    pub ip: String,
    /// The machine it runs on.
    pub node: String,
    /// Its labels.
    pub labels: Labels,
}

/// The variables as the container sees them.
///
/// # Errors
/// When a ConfigMap, a Secret, a file of theirs or a field does not exist, or `$(NAME)` names what is not above it.
pub fn resolve(variables: &[EnvVar], manifests: &Manifests, pod: &Identity) -> anyhow::Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for variable in variables {
        let text = text_of(variable, manifests, pod).with_context(|| format!("variable {}", variable.name))?;
        let text = if variable.value_from.is_some() { text } else { expand(&text, &known) };
        if let Some(name) = unexpanded(&text).filter(|_| variable.value_from.is_none()) {
            anyhow::bail!("variable {}: $({name}) is not defined above it", variable.name);
        }
        known.insert(variable.name.clone(), text);
    }
    Ok(known)
}

fn text_of(variable: &EnvVar, manifests: &Manifests, pod: &Identity) -> anyhow::Result<String> {
    match &variable.value_from {
        None => Ok(variable.value.clone().unwrap_or_default()),
        Some(ValueFrom::FieldRef { field_path }) => field(field_path, pod),
        Some(ValueFrom::ConfigMapKeyRef { name, key }) => {
            manifests.config_map(name)?.data.get(key).cloned().with_context(|| format!("ConfigMap {name} has no {key}"))
        }
        Some(ValueFrom::SecretKeyRef { name, key }) => {
            let text = manifests.secret(name)?.data.get(key).with_context(|| format!("Secret {name} has no {key}"))?;
            Ok(String::from_utf8(BASE64_STANDARD.decode(text)?)?)
        }
    }
}

/// A label that is not there is empty, as in Kubernetes.
fn field(path: &str, pod: &Identity) -> anyhow::Result<String> {
    if let Some(label) = path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']")) {
        return Ok(pod.labels.get(label).cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" => Ok(pod.name.clone()),
        "metadata.namespace" => Ok(pod.namespace.clone()),
        "status.podIP" => Ok(pod.ip.clone()),
        "spec.nodeName" => Ok(pod.node.clone()),
        other => anyhow::bail!("field {other} is not played"),
    }
}

/// Replaces `$(NAME)`; `$$(NAME)` stays `$(NAME)`, and what is unknown stays as it is.
#[must_use]
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        done.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            done.push('$');
            rest = after;
        } else if let Some((name, value, after)) = reference(rest, known) {
            done.push_str(&value.unwrap_or(format!("$({name})")));
            rest = after;
        } else {
            done.push('$');
        }
    }
    done + rest
}

fn reference<'a>(rest: &'a str, known: &BTreeMap<String, String>) -> Option<(&'a str, Option<String>, &'a str)> {
    let (name, after) = rest.strip_prefix('(')?.split_once(')')?;
    Some((name, known.get(name).cloned(), after))
}

fn unexpanded(text: &str) -> Option<&str> {
    Some(text.split_once("$(")?.1.split_once(')')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, json: &str) -> EnvVar {
        let mut value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        value["name"] = name.into();
        serde_json::from_value(value).expect("a variable")
    }

    fn pod() -> Identity {
        Identity { name: "w-1".to_owned(), namespace: "ns".to_owned(), ..Identity::default() }
    }

    #[test]
    fn words_are_expanded_from_what_stands_above() {
        let name = variable("POD", r#"{"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}"#);
        let address = variable("ADDR", r#"{"value": "$(POD).w.svc:1"}"#);
        let zone = variable("ZONE", r#"{"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['zone']"}}}"#);
        let known = resolve(&[name.clone(), address.clone(), zone], &Manifests::default(), &pod()).expect("resolves");
        assert_eq!((known["ADDR"].as_str(), known["ZONE"].as_str()), ("w-1.w.svc:1", ""));
        let error = resolve(&[address, name], &Manifests::default(), &pod()).expect_err("the order is wrong");
        assert!(error.to_string().contains("ADDR: $(POD) is not defined above it"), "{error}");
    }

    #[test]
    fn what_does_not_exist_is_an_error() {
        let secret = variable("S", r#"{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}"#);
        assert!(resolve(&[secret], &Manifests::default(), &pod()).is_err());
    }

    #[test]
    fn a_doubled_dollar_is_one() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("$$(A) $(A) $A $(B) é$", &known), "$(A) 1 $A $(B) é$");
    }
}
