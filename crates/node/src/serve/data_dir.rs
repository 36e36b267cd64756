//! The folder: one process at a time, and what was fixed when it was made.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::Context as _;

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
