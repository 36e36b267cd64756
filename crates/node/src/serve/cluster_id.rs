//! The cluster's name, drawn once.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

/// A new name, or the one that the folder had before there were identities of nodes.
pub(crate) fn draw(folder: &Path) -> String {
    let before = std::fs::read_to_string(folder.join("cluster.id"));
    before.map_or_else(|_none| Uuid::new_v4().to_string(), |text| text.trim().to_owned())
}

/// As it stands in resume tokens.
pub(crate) fn number(cluster_id: &str) -> anyhow::Result<u128> {
    Ok(cluster_id.parse::<Uuid>().with_context(|| format!("cluster id {cluster_id}"))?.as_u128())
}

/// All of it or nothing, and on disk when it returns.
pub(crate) fn write_durably(path: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let folder = path.parent().context("a file has a folder")?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}
