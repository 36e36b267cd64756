//! A short run with a fixed seed: real nodes are killed, frozen, cut off and restarted, and nothing acknowledged is lost.

#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Its plan has each of the four kinds; see `a_plan_of_each_kind`.
const SEED: &str = "14";
/// Whichever node is the committer first, it dies between two tables; see `a_seed_that_parts_tables`.
const SEED_OF_OWN: &str = "790";
const FAULTS: &str = "kill,stop,partition,restart";
const DURATION: &str = "40s";

/// Where cargo puts programs: tests lie in `<target>/<profile>/deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.ancestors().nth(3).expect("built by cargo").to_owned()
}

/// Why no namespace can be made here.
fn hindrance() -> Option<String> {
    match Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"]).output()
    {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

fn chaos(result: &Path) -> Command {
    let server = target().join("debug/watershed");
    assert!(server.exists(), "no binary at {}: run `cargo xtask test`", server.display());
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_watershed-chaos"));
    chaos.arg("--server").arg(server).arg("--json").arg(result);
    let python = target().join("foreign/python/bin/python");
    if python.exists() {
        chaos.arg("--python").arg(python);
    }
    chaos
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens_to_a_node() {
    run(&["--seed", SEED, "--duration", DURATION, "--faults", FAULTS, "--nodes", "3"]);
}

/// Each node takes another tenant for one without a table of its own, and dies or hangs between two steps of archiving, those
/// between the tables of a commit among them.
#[test]
fn nothing_is_lost_or_twice_while_nodes_have_different_lists_of_own_tables() {
    let Some(said) =
        run(&["--seed", SEED_OF_OWN, "--duration", DURATION, "--faults", "committer,partition", "--own-tables", "acme,globex"])
    else {
        return;
    };
    let is_between =
        |exit: &serde_json::Value| exit["fail_points"].as_str().is_some_and(|point| point.contains("lake::between_tables"));
    assert!(said["exits"].as_array().expect("a list").iter().any(is_between), "a node died between two tables: {said}");
}

/// A run whose checker must be content; `None` where there can be none.
fn run(flags: &[&str]) -> Option<serde_json::Value> {
    if let Some(reason) = hindrance() {
        eprintln!("skipped: network namespaces are not allowed here: {reason}");
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let result = dir.path().join("result.json");
    let mut chaos = chaos(&result);
    chaos.args(flags);
    let status = chaos.status().expect("it runs");
    let said = std::fs::read_to_string(&result).unwrap_or_default();
    assert!(status.success(), "{status}: {said}");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let count = |name: &str| said["counts"][name].as_u64().expect("a count");
    assert!(count("acknowledged") > 500, "there was a load: {said}");
    assert!(count("resumed") > 5, "subscriptions went from node to node: {said}");
    assert_eq!(said["readers"].as_array().expect("readers").iter().filter(|reader| **reader == "subscription").count(), 1);
    Some(said)
}
