//! Services, policies, budgets and monitors point at the pods and their ports.

use watershed_kubelet::manifest::{Container, Labels, Manifests, NamedPort, PolicyRule, Selector, Service, StatefulSet};

/// What points at nothing, or lets in too much.
pub(super) fn faults(manifests: &Manifests, set: &StatefulSet, container: &Container) -> Vec<String> {
    let labels = &set.spec.template.metadata.labels;
    let mut faults = selector_faults(manifests, set, labels);
    for service in &manifests.services {
        faults.extend(service_faults(service, container));
    }
    let governing = manifests.services.iter().find(|service| service.metadata.name == set.spec.service_name);
    if !governing.is_some_and(|service| service.is_headless() && service.spec.publish_not_ready_addresses) {
        faults
            .push(format!("serviceName {} is no headless service that names pods before they are ready", set.spec.service_name));
    }
    faults.extend(policy_faults(manifests, container, labels));
    faults
}

fn selector_faults(manifests: &Manifests, set: &StatefulSet, labels: &Labels) -> Vec<String> {
    let services =
        manifests.services.iter().map(|one| (&one.metadata.name, Selector { match_labels: one.spec.selector.clone() }));
    let budgets = manifests.budgets.iter().map(|one| (&one.metadata.name, one.spec.selector.clone()));
    let policies = manifests.policies.iter().map(|one| (&one.metadata.name, one.spec.pod_selector.clone()));
    let all = services.chain(budgets).chain(policies).chain([(&set.metadata.name, set.spec.selector.clone())]);
    let misses = all.filter(|(_, selector)| selector.match_labels.is_empty() || !selector.selects(labels));
    let mut faults: Vec<String> =
        misses.map(|(name, selector)| format!("{name}: {selector:?} does not select the pods")).collect();
    match manifests.budgets.as_slice() {
        [budget] if budget.spec.max_unavailable == Some(1.into()) => {}
        _ => faults.push("one disruption budget with maxUnavailable 1 is wanted".to_owned()),
    }
    faults
}

fn service_faults(service: &Service, container: &Container) -> Vec<String> {
    let name = &service.metadata.name;
    let mut faults = Vec::new();
    for port in &service.spec.ports {
        let target = port.target_port.clone().unwrap_or(NamedPort::Number(port.port));
        let listens = container.port(&target).filter(|number| container.ports.iter().any(|one| one.container_port == *number));
        if listens != Some(port.port) {
            faults.push(format!("service {name}: port {} goes to {target:?}, where the container has {listens:?}", port.port));
        }
        if port.name == "grpc" && port.app_protocol.as_deref() != Some("kubernetes.io/h2c") {
            faults.push(format!("service {name}: port grpc needs appProtocol kubernetes.io/h2c"));
        }
    }
    faults
}

/// Every port that is open is one of ours; that between nodes is open to nodes only.
fn policy_faults(manifests: &Manifests, container: &Container, labels: &Labels) -> Vec<String> {
    let mut faults = Vec::new();
    let ingress: Vec<&PolicyRule> = manifests.policies.iter().flat_map(|policy| &policy.spec.ingress).collect();
    let opens = |rule: &PolicyRule, number| rule.ports.iter().any(|port| container.port(&port.port) == Some(number));
    for port in &container.ports {
        if !ingress.iter().any(|rule| opens(rule, port.container_port)) {
            faults.push(format!("no policy lets anybody in at port {}", port.name));
        }
    }
    for rule in ingress {
        let nodes_only = !rule.peers.is_empty() && rule.peers.iter().all(|peer| peer.pod_selector.selects(labels));
        let is_open = |number| rule.ports.is_empty() || opens(rule, number);
        if super::port(container, "cluster").is_some_and(is_open) && !nodes_only {
            faults.push("a policy opens port cluster to more than the nodes".to_owned());
        }
        let strange = rule
            .ports
            .iter()
            .find(|port| !container.ports.iter().any(|one| container.port(&port.port) == Some(one.container_port)));
        faults.extend(strange.map(|port| format!("a policy opens port {:?}, which nobody listens at", port.port)));
    }
    for policy in &manifests.policies {
        for (kind, rules) in [("Ingress", &policy.spec.ingress), ("Egress", &policy.spec.egress)] {
            if !rules.is_empty() && !policy.spec.policy_types.iter().any(|one| one == kind) {
                faults.push(format!("policy {}: has rules for {kind}, policyTypes does not name it", policy.metadata.name));
            }
        }
    }
    faults
}

/// A monitor asks exactly one service, at a port that it has.
pub(super) fn monitor_faults(manifests: &Manifests) -> Vec<String> {
    let [monitor] = manifests.monitors.as_slice() else { return vec!["one ServiceMonitor is wanted".to_owned()] };
    let asked: Vec<&Service> =
        manifests.services.iter().filter(|one| monitor.spec.selector.selects(&one.metadata.labels)).collect();
    let [service] = asked.as_slice() else {
        return vec![format!("it selects {} services, one is wanted: each node is asked once", asked.len())];
    };
    let missing = monitor.spec.endpoints.iter().filter(|end| !service.spec.ports.iter().any(|port| port.name == end.port));
    missing.map(|end| format!("service {} has no port {}", service.metadata.name, end.port)).collect()
}
