//! The folder: one process at a time, and what was fixed when it was made.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::Context as _;
use watershed_schema::TenantId;

/// Holds the folder until it is dropped.
pub(super) fn lock(folder: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("data_dir {}", folder.display()))?;
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("data_dir {}", folder.display()))?;
    file.try_lock().map_err(|_held| anyhow::anyhow!("data_dir {}: another process uses it", folder.display()))?;
    Ok(file)
}

/// The number of shards that this folder was made with; changing it would move events away from their readers.
pub(super) fn shards(folder: &Path, wanted: u16) -> anyhow::Result<u16> {
    let path = folder.join("shards.count");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let made = text.trim().parse().with_context(|| path.display().to_string())?;
            anyhow::ensure!(made == wanted, "shards: {} was made with {made}, the settings say {wanted}", folder.display());
            Ok(made)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            super::cluster_id::write_durably(&path, &wanted.to_string())?;
            Ok(wanted)
        }
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Tenants that are spread over all shards: those of the settings and whoever was once, for their events lie there still.
/// The folder knows a tenant before its first event is spread.
pub(super) fn spread(folder: &Path, wanted: Vec<TenantId>) -> anyhow::Result<Vec<TenantId>> {
    let path = folder.join("tenants.spread");
    let known = names(&path).with_context(|| path.display().to_string())?;
    let wanted: BTreeSet<TenantId> = wanted.into_iter().collect();
    for tenant in known.difference(&wanted) {
        tracing::info!(%tenant, "stays spread over all shards: its events are, though high_volume_tenants does not name it");
    }
    if !wanted.is_subset(&known) {
        let lines: String = known.union(&wanted).map(|tenant| format!("{tenant}\n")).collect();
        super::cluster_id::write_durably(&path, &lines)?;
    }
    Ok(known.union(&wanted).cloned().collect())
}

/// One a line; none without a file.
fn names(path: &Path) -> anyhow::Result<BTreeSet<TenantId>> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.lines().map(|name| Ok(TenantId::new(name)?)).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(names: &[&str]) -> Vec<TenantId> {
        names.iter().map(|name| TenantId::new(name).expect("a name")).collect()
    }

    #[test]
    fn a_tenant_that_was_spread_once_stays_spread() {
        let dir = tempfile::tempdir().expect("a folder");
        let spread = |names| spread(dir.path(), tenants(names)).expect("reads and writes");
        assert_eq!(spread(&["globex", "acme"]), tenants(&["acme", "globex"]));
        assert_eq!(spread(&["initech"]), tenants(&["acme", "globex", "initech"]));
        assert_eq!(spread(&[]), tenants(&["acme", "globex", "initech"]));
        let file = std::fs::read_to_string(dir.path().join("tenants.spread")).expect("is there");
        assert_eq!(file, "acme\nglobex\ninitech\n");
    }

    #[test]
    fn a_folder_without_spread_tenants_has_no_file_of_them() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(spread(dir.path(), Vec::new()).expect("reads"), []);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_no_empty_list() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("tenants.spread"), "acme\n\u{0}\n").expect("writes");
        let refused = spread(dir.path(), Vec::new()).expect_err("is malformed");
        assert!(format!("{refused:#}").contains("tenants.spread"), "{refused:#}");
    }
}
