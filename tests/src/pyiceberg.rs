//! PyIceberg and pyarrow, which nobody here wrote, over the lake of a node's folder.

use std::path::Path;
use std::process::Command;

/// What PyIceberg sees, and what pyarrow sees in the files alone.
///
/// # Panics
/// When they cannot read it.
#[must_use]
pub fn read_lake(data_dir: &Path) -> serde_json::Value {
    read_table(data_dir, "events")
}

/// The same of another table.
///
/// # Panics
/// When they cannot read it.
#[must_use]
pub fn read_table(data_dir: &Path, table: &str) -> serde_json::Value {
    let lake = data_dir.canonicalize().expect("a folder").join("lake");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/read_lake.py");
    let mut command = Command::new(crate::target().join("foreign/python/bin/python"));
    command.arg(script).arg(lake.join("catalog.db")).arg(format!("file://{}/warehouse", lake.display())).arg(table);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask prepare`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
