//! The manifests of `deploy/k8s` and the real binary: what they tell a node is what it knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use watershed_kubelet::environment::{self, Identity};
use watershed_kubelet::manifest::Manifests;
use watershed_tests::target;

/// Overlays whose settings the node has today. `xtask deploy` checks the others against the plan.
const PLAYABLE: [&str; 1] = ["single"];

fn rendered(overlay: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/k8s/overlays").join(overlay);
    let kubectl = target().join("foreign/python/bin/kubectl");
    assert!(kubectl.exists(), "no kubectl at {}: run `cargo xtask test`", kubectl.display());
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn settings_file(manifests: &Manifests, folder: &Path) -> PathBuf {
    let path = folder.join("watershed.toml");
    let [map] = manifests.config_maps.as_slice() else { panic!("one ConfigMap is wanted") };
    std::fs::write(&path, &map.data["watershed.toml"]).expect("written");
    path
}

#[test]
fn the_node_takes_the_settings_of_its_manifests() {
    for overlay in PLAYABLE {
        let manifests = Manifests::parse(&rendered(overlay)).expect("manifests");
        let dir = tempfile::tempdir().expect("a folder");
        let container = &manifests.stateful_set().expect("one").spec.template.spec.containers[0];
        let variables = environment::resolve(&container.env, &manifests, &Identity::default()).expect("resolves");
        let mut command = Command::new(target().join("debug/watershed"));
        command.arg("config").arg("--config").arg(settings_file(&manifests, dir.path())).envs(variables);
        let output = command.output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
        for line in ["data_dir = \"/var/lib/watershed\"", "grpc_addr = \"0.0.0.0:4317\"", "http_addr = \"0.0.0.0:4318\""] {
            assert!(said.contains(line), "{overlay}: {line} is not in\n{said}");
        }
    }
}

/// The pod gets another address each time; clients only know the service.
#[test]
fn a_pod_that_is_restarted_and_killed_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let (manifests, watershed) = (dir.path().join("single.yaml"), target().join("debug/watershed"));
    std::fs::write(&manifests, rendered("single")).expect("written");
    let client = format!("{} --endpoint http://watershed.watershed.svc:4317", watershed.display());
    let client = |words: &str| client.replacen(" --endpoint", &format!(" {words} --endpoint"), 1);
    let send = format!("exec={}", client("send --count 20"));
    let count =
        format!("exec=test \"$({} 'SELECT count(*) AS n FROM events')\" = \"$(printf 'n\\n40')\"", client("query --format csv"));
    let mut kubelet = Command::new(target().join("debug/kubelet"));
    kubelet.arg("--manifests").arg(&manifests).arg("--binary").arg(&watershed).arg("--data").arg(dir.path());
    let steps = [send.as_str(), "restart", &send, "signal=0:KILL", &count];
    let output = kubelet.args(["--deadline", "120"]).args(steps).output().expect("kubelet runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("is ready") && said.contains("ended with exit status: 0"), "{said}");
}
