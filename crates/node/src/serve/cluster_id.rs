//! The cluster's name, drawn once.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

pub(super) fn of(folder: &Path) -> anyhow::Result<u128> {
    let path = folder.join("cluster.id");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(text.trim().parse::<Uuid>().with_context(|| path.display().to_string())?.as_u128());
    }
    let id = Uuid::new_v4();
    write_durably(&path, &id.to_string())?;
    Ok(id.as_u128())
}

/// All of it or nothing, and on disk when it returns.
pub(super) fn write_durably(path: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let folder = path.parent().context("a file has a folder")?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}
