//! Each check turns red when what it guards is broken, in the manifests as they are now.

use super::*;

fn good() -> String {
    let root = crate::root();
    render(&root, &root.join("deploy/k8s/overlays/three-nodes")).expect("`cargo xtask prepare` has brought kubectl")
}

const DOCKERFILE: &str = "FROM a\nUSER 65532:65532\nEXPOSE 4317 4318 4319\nENTRYPOINT [\"/usr/local/bin/watershed\"]\n";

fn found(yaml: &str) -> String {
    let known = settings::Known::read(&crate::root()).expect("a struct");
    match Manifests::parse(yaml).and_then(|manifests| faults(&manifests, &known, DOCKERFILE)) {
        Ok(faults) => faults.join("\n"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn what_is_right_has_no_faults() {
    assert_eq!(found(&good()), "");
}

/// What is broken, and a word of the fault.
const BROKEN: &[(&str, &str, &str)] = &[
    ("name: WATERSHED_SHARDS", "name: WATERSHED_SHARD", "WATERSHED_SHARD is no setting"),
    ("log_format =", "log_fromat =", "log_fromat of the ConfigMap is no setting"),
    ("http_addr = \"0.0.0.0:4318\"", "http_addr = \"0.0.0.0:4320\"", "port http is"),
    ("targetPort: cluster", "targetPort: custer", "service watershed-cluster: port 4319"),
    ("appProtocol: kubernetes.io/h2c", "appProtocol: tcp", "needs appProtocol"),
    ("clusterIP: None", "clusterIP: 10.0.0.1", "no headless service"),
    (
        "  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: watershed",
        "  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: water",
        "does not select the pods",
    ),
    ("maxUnavailable: 1", "maxUnavailable: 2", "maxUnavailable 1 is wanted"),
    ("terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 45", "45 is less than 50"),
    ("seconds: 5\n", "seconds: 16\n", "60 is less than 61"),
    ("drain_timeout = \"20s\"", "drain_timeout = \"30s\"", "60 is less than 70"),
    ("path: /readyz", "path: /ready", "readinessProbe must ask /readyz"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "must not run as root"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "read-only"),
    ("- ALL", "- CHOWN", "drop all capabilities"),
    ("type: RuntimeDefault", "type: Unconfined", "seccomp"),
    ("runAsUser: 65532", "runAsUser: 1000", "the pod runs as 1000:65532"),
    ("enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks"),
    ("value: $(POD_NAME).", "value: $(PODNAME).", "$(PODNAME) is not defined above it"),
    ("watershed-2.watershed-cluster", "watershed-3.watershed-cluster", "the pods advertise"),
    ("replicas: 3", "replicas: 4", "the pods advertise"),
    ("mountPath: /var/lib/watershed\n", "mountPath: /var/lib/water\n", "no volume that lasts"),
    ("value: /etc/watershed-cluster/secret", "value: /etc/watershed-cluster/token", "no file of a Secret"),
    ("name: cluster-secret\n          readOnly", "name: cluster-secrets\n          readOnly", "there is no such volume"),
    (
        "- from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: watershed\n    ports:",
        "- ports:",
        "opens port cluster to more",
    ),
    ("    - port: 4317\n", "    - port: 4316\n", "no policy lets anybody in at port grpc"),
    ("restartAt: none", "initContainers: []", "initContainers"),
];

#[test]
fn each_break_is_found_by_name() {
    let good = good();
    for (right, wrong, fault) in BROKEN {
        let yaml = if *right == "restartAt: none" {
            good.replacen("      enableServiceLinks", &format!("      {wrong}\n      enableServiceLinks"), 1)
        } else {
            good.replacen(right, wrong, 1)
        };
        assert_ne!(yaml, good, "{right} is not in the manifests");
        let faults = found(&yaml);
        assert!(faults.contains(fault), "{right} → {wrong}: wanted {fault:?}, found {faults:?}");
    }
}
