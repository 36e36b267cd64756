//! Exit codes and help, as a user meets them.

use std::process::{Command, Output};

fn watershed(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watershed"));
    command.args(words).env_remove("WATERSHED_ENDPOINT").output().expect("the binary runs")
}

const COMMANDS: [&str; 9] = ["serve", "config", "query", "tail", "trace", "send", "status", "doctor", "bench"];

#[test]
fn every_command_has_help_with_examples() {
    for command in COMMANDS {
        let output = watershed(&[command, "--help"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("Examples:") && text.contains(&format!("watershed {command}")),
            "{command}: {text}"
        );
    }
}

#[test]
fn wrong_usage_is_2_and_names_what_is_wrong() {
    let cases: [(&[&str], &str); 6] = [
        (&["nonsense"], "nonsense"),
        (&["serve", "--set", "nonsense=1"], "nonsense"),
        (&["serve", "--shards", "0"], "shards"),
        (&["config", "--flush-interval", "soon"], "soon"),
        (&["query", "--endpoint", "not a url", "SELECT 1"], "not a url"),
        (&["query", "SELECT $since"], "--since"),
    ];
    for (words, named) in cases {
        let output = watershed(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(named)), (Some(2), true), "{words:?}: {said}");
    }
}

#[test]
fn a_node_that_does_not_start_says_why() {
    let output = watershed(&["bench", "ingest", "--seconds", "1", "--set", "nonsense=1"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("did not start") && said.contains("unknown field `nonsense`"), "{said}");
}

#[test]
fn nobody_there_is_3() {
    for words in [&["status", "--endpoint", "http://127.0.0.1:1"][..], &["send", "--endpoint", "http://127.0.0.1:1"]] {
        assert_eq!(watershed(words).status.code(), Some(3), "{words:?}");
    }
}

#[test]
fn the_effective_settings_are_toml() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("w.toml");
    std::fs::write(&path, "shards = 8\n").expect("writes");
    let output = watershed(&["config", "--config", &path.display().to_string(), "--hot-retention", "90s"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("shards = 8") && text.contains("hot_retention = \"1m 30s\"") && text.contains("budget = \"64MiB\""),
        "{text}"
    );
}

#[test]
fn the_doctor_looks_at_disk_clock_ports_and_catalog() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let flags = ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"];
    let doctor = |path: &str| watershed(&[&["doctor"], &flags[..], &[path]].concat());
    let healthy = doctor(&data.display().to_string());
    let text = String::from_utf8_lossy(&healthy.stdout).into_owned();
    assert!(healthy.status.success(), "{text}");
    for word in ["disk", "clock", "grpc_addr", "http_addr", "catalog"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    std::fs::create_dir_all(data.join("lake")).expect("makes");
    std::fs::write(data.join("lake/catalog.db"), "no database").expect("writes");
    assert_eq!(doctor(&data.display().to_string()).status.code(), Some(1));
}
