//! Which files snapshots name: manifest lists, manifests, and the files that those list.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use iceberg::spec::{ManifestFile, SnapshotRef};
use iceberg::table::Table;

use crate::LakeError;

/// Lists or manifests that are read at a time.
const READS: usize = 8;

/// Manifests of all these snapshots, by path.
pub(crate) async fn manifests(
    table: &Table,
    snapshots: impl IntoIterator<Item = &SnapshotRef>,
) -> Result<BTreeMap<String, ManifestFile>, LakeError> {
    let readers: Vec<_> = snapshots.into_iter().map(|snapshot| table.manifest_list_reader(snapshot)).collect();
    let mut lists = stream::iter(readers).map(|reader| async move { reader.load().await }).buffer_unordered(READS);
    let mut found = BTreeMap::new();
    while let Some(list) = lists.try_next().await? {
        found.extend(list.consume_entries().into_iter().map(|manifest| (manifest.manifest_path.clone(), manifest)));
    }
    Ok(found)
}

/// Calls `each` with every file that these manifests list as a part of their snapshot.
pub(crate) async fn files(
    table: &Table,
    manifests: impl IntoIterator<Item = &ManifestFile>,
    mut each: impl FnMut(&str),
) -> Result<(), LakeError> {
    let manifests: Vec<_> = manifests.into_iter().cloned().collect();
    let io = table.file_io();
    let load = |manifest: ManifestFile| async move { manifest.load_manifest(io).await };
    let mut loaded = stream::iter(manifests).map(load).buffer_unordered(READS);
    while let Some(manifest) = loaded.try_next().await? {
        manifest.entries().iter().filter(|entry| entry.is_alive()).for_each(|entry| each(entry.file_path()));
    }
    Ok(())
}
