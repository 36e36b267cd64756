//! The manifests of `deploy/k8s` and the real binary: what they tell a node is what it knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use watershed_kubelet::environment::{self, Identity};
use watershed_kubelet::manifest::Manifests;
use watershed_tests::target;

/// Overlays that need nothing outside.
const PLAYABLE: [&str; 2] = ["single", "three-nodes"];

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

/// Plays `overlay` through its steps under load. At the end everything that was acknowledged is there, or the last step fails.
fn play_under_load(overlay: &str, steps: impl Fn(&Client) -> Vec<String>) {
    let dir = tempfile::tempdir().expect("a folder");
    play(overlay, |client| {
        let during = vec!["--during".to_owned(), client.load(dir.path())];
        [during, steps(client), vec![client.all_is_there(dir.path())]].concat()
    });
}

/// Plays `overlay` with flags and steps; what was said.
fn play(overlay: &str, steps: impl Fn(&Client) -> Vec<String>) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let (manifests, watershed) = (dir.path().join("manifests.yaml"), target().join("debug/watershed"));
    std::fs::write(&manifests, rendered(overlay)).expect("written");
    let mut kubelet = Command::new(target().join("debug/kubelet"));
    kubelet.arg("--manifests").arg(&manifests).arg("--binary").arg(&watershed).arg("--data").arg(dir.path());
    let output = kubelet.args(["--deadline", "240"]).args(steps(&Client(watershed))).output().expect("kubelet runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// The command line against the service, as steps.
struct Client(PathBuf);

impl Client {
    fn run(&self, words: &str) -> String {
        format!("{} {words} --endpoint http://watershed.watershed.svc:4317", self.0.display())
    }

    fn send(&self) -> String {
        format!("exec={}", self.run("send --count 20"))
    }

    fn stored(&self) -> String {
        format!("{} --format csv 'SELECT count(*) AS n FROM events'", self.run("query"))
    }

    fn count(&self, events: u32) -> String {
        format!("exec=test \"$({})\" = \"$(printf 'n\\n{events}')\"", self.stored())
    }

    /// Sends without a pause until there is a file `stop`, then says in `sent` what was acknowledged and what was tried.
    fn load(&self, dir: &Path) -> String {
        let (dir, send) = (dir.display(), self.run("send --count 20"));
        let sending = format!("tried=$((tried+20)); if {send}; then acked=$((acked+20)); fi");
        format!(
            "acked=0 tried=0; until [ -e {dir}/stop ]; do {sending}; done; echo $acked $tried >{dir}/all; mv {dir}/all {dir}/sent"
        )
    }

    fn all_is_there(&self, dir: &Path) -> String {
        let dir = dir.display();
        let told = format!("touch {dir}/stop; until [ -e {dir}/sent ]; do sleep 0.1; done; read acked tried <{dir}/sent");
        let stored = format!("stored=$({} | tail -1); echo $acked acknowledged of $tried, $stored stored >&2", self.stored());
        format!("exec={told}; {stored}; [ $acked -gt 200 ] && [ $stored -ge $acked ] && [ $stored -le $tried ]")
    }
}

/// The pod gets another address each time; clients only know the service.
#[test]
fn a_pod_that_is_restarted_and_killed_keeps_what_it_acknowledged() {
    let steps =
        |client: &Client| vec![client.send(), "restart".to_owned(), client.send(), "signal=0:KILL".to_owned(), client.count(40)];
    let said = play("single", steps);
    assert!(said.contains("is ready") && said.contains("ended with exit status: 0"), "{said}");
}

#[test]
fn three_pods_become_five_and_three_again() {
    let steps = |client: &Client| {
        let drain = |pod: &str| format!("exec={}", client.run(&format!("cluster drain {pod}.")));
        vec!["scale=5".to_owned(), drain("watershed-4"), drain("watershed-3"), "scale=3".to_owned()]
    };
    play_under_load("three-nodes", steps);
}

#[test]
fn three_pods_are_restarted_one_by_one_and_killed() {
    let steps = |client: &Client| {
        let signals = ["signal=0:KILL", "restart", "signal=2:KILL", "delete=1"].map(str::to_owned);
        let steps = signals
            .into_iter()
            .enumerate()
            .flat_map(|(done, step)| [client.send(), step, client.count(20 * (u32::try_from(done).expect("small") + 1))]);
        steps.collect()
    };
    play("three-nodes", steps);
}
