//! Scripts of `foreign/browser`, which drive a real browser.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs a script to its end; what it printed.
///
/// # Panics
/// When it fails: then something went wrong on the page.
#[must_use]
pub fn run(script: &str, arguments: &[&str]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/browser").join(script);
    let mut node = Command::new("node");
    node.current_dir(crate::target().join("foreign/browser")).arg(path).args(arguments);
    let output = node.output().unwrap_or_else(|error| panic!("{error}: run `cargo xtask prepare`"));
    assert!(output.status.success(), "{script}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
