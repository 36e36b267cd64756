//! Which node of which cluster a data folder belongs to, written once.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::serve::write_durably;

const FILE: &str = "node.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The folder's random name.
    pub(super) join_id: String,
    /// Its number in the cluster; 0 while it joins.
    pub(super) node: u64,
    /// The cluster's random name; empty while it joins.
    pub(super) cluster_id: String,
}

impl Identity {
    /// Of a folder that belongs to no cluster yet.
    pub(super) fn draw() -> Self {
        Self { join_id: uuid::Uuid::new_v4().simple().to_string(), node: 0, cluster_id: String::new() }
    }

    pub(super) fn has_joined(&self) -> bool {
        self.node > 0
    }

    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_durably(&folder.join(FILE), &serde_json::to_string(self)?)
    }
}
