//! The rules of the house that no lint knows: who may use whom, who owns which outside crate, how a file begins.

use std::fs;
use std::path::{Path, PathBuf};

/// DESIGN §10: a room, the rooms it may use, the outside crates that it owns.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    owns: &'static [&'static str],
}

const fn room(name: &'static str, may_use: &'static [&'static str], owns: &'static [&'static str]) -> Room {
    Room { name, may_use, owns }
}

const ROOMS: &[Room] = &[
    room("schema", &[], &["arrow-array"]),
    room("sample", &[], &["opentelemetry-proto"]),
    room("sources", &["schema", "sample"], &["opentelemetry-proto"]),
    room("cluster", &["schema"], &["openraft", "hashring"]),
    room("peer", &["schema"], &["ractor", "ractor_cluster", "rustls", "tokio-rustls", "aws-lc-rs", "rcgen"]),
    room("hot", &["schema", "sample", "sources"], &["rusqlite"]),
    room("catalog", &[], &["rusqlite", "iceberg"]),
    room("lake", &["schema", "catalog"], &["iceberg", "iceberg-catalog-rest", "parquet", "object_store"]),
    room("query", &["schema", "lake", "catalog"], &["datafusion", "object_store", "parquet"]),
    room("actors", &["schema", "cluster", "hot", "lake", "catalog"], &["ractor"]),
    room("client", &["schema"], &["tonic"]),
    room("pump", &[], &["postgres-protocol"]),
    room(
        "node",
        &["schema", "sample", "sources", "cluster", "hot", "catalog", "lake", "query", "actors", "peer", "client"],
        &["tonic", "axum", "opentelemetry-proto", "object_store"],
    ),
    room("cli", &["schema", "sources", "node", "client", "pump", "sample"], &["clap", "tonic", "opentelemetry-proto"]),
];

/// Crates that only their owners may name.
const OWNED: &[&str] = &[
    "opentelemetry-proto",
    "openraft",
    "hashring",
    "rusqlite",
    "iceberg",
    "iceberg-catalog-rest",
    "parquet",
    "object_store",
    "datafusion",
    "postgres-protocol",
    "ractor",
    "ractor_cluster",
    "rustls",
    "tokio-rustls",
    "aws-lc-rs",
    "rcgen",
    "tonic",
    "axum",
    "clap",
];

/// What only the tests of a room may use: (room, crate).
const FOR_TESTS: &[(&str, &str)] = &[("cluster", "hot"), ("lake", "sample"), ("lake", "sources")];

/// Pure rooms: no disk, no network in their manifests, no clock in their code.
const PURE: &[&str] = &["schema", "sources"];
const IMPURE: &[&str] = &["tokio", "rusqlite", "tonic", "object_store"];
const CLOCKS: &[&str] = &["Utc::now", "Local::now", "SystemTime", "Instant"];

const FILE_LINES_MAX: usize = 500;
/// Folders of others, and of what is made.
const NOT_OURS: &[&str] = &["target", "node_modules", "vendor"];

/// Everything that breaks a rule, one line each.
pub(crate) fn faults(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for room in ROOMS {
        let manifest = fs::read_to_string(root.join("crates").join(room.name).join("Cargo.toml"))?;
        faults.extend(manifest_faults(room, &manifest));
    }
    for file in rust_files(root)? {
        let name = file.strip_prefix(root)?.display().to_string();
        faults.extend(file_faults(&name, &fs::read_to_string(&file)?));
    }
    Ok(faults)
}

fn manifest_faults(room: &Room, manifest: &str) -> Vec<String> {
    let named: Vec<&str> = manifest.lines().filter_map(|line| line.split_once(".workspace").map(|(name, _)| name)).collect();
    let of_tests = manifest.split_once("[dev-dependencies]").map_or("", |(_, tests)| tests);
    let for_tests = |inside: &str| {
        FOR_TESTS.contains(&(room.name, inside))
            && manifest.matches(&format!("watershed-{inside}")).count()
                == of_tests.matches(&format!("watershed-{inside}")).count()
    };
    let mut faults = Vec::new();
    for name in named {
        let inside = name.strip_prefix("watershed-");
        if inside.is_some_and(|inside| !room.may_use.contains(&inside) && !for_tests(inside)) {
            faults.push(format!("crates/{}: may not use {name}", room.name));
        }
        if OWNED.contains(&name) && !room.owns.contains(&name) {
            faults.push(format!("crates/{}: {name} belongs to other rooms", room.name));
        }
        if PURE.contains(&room.name) && IMPURE.contains(&name) {
            faults.push(format!("crates/{}: is pure and may not use {name}", room.name));
        }
    }
    faults
}

fn file_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: the first line says what the file is (//!)"));
    }
    let is_pure = PURE.iter().any(|room| name.starts_with(&format!("crates/{room}/src/")));
    for clock in CLOCKS.iter().filter(|clock| is_pure && text.contains(**clock)) {
        faults.push(format!("{name}: a pure room has no clock, not {clock} either"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{name}: {lines} lines, limit {FILE_LINES_MAX}"));
    }
    if name.ends_with("/mod.rs") {
        faults.push(format!("{name}: module files are foo.rs beside foo/"));
    }
    faults
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden && !NOT_OURS.iter().any(|name| path.ends_with(name)) {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
        let faults = faults(root).expect("readable");
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_wrong_neighbour_is_found() {
        let room = room("schema", &[], &[]);
        let faults =
            manifest_faults(&room, "watershed-hot.workspace = true\nrusqlite.workspace = true\nbytes.workspace = true\n");
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn a_file_without_a_sentence_is_found() {
        assert_eq!(file_faults("a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(file_faults("a.rs", &format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX))).len(), 1);
    }
}
