//! What there is under a table's location.

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _};

use super::{Known, OrphanRule, Seen, hash};
use crate::LakeError;
use crate::dead_letters::{ENDING, FOLDER};
use crate::storage::{Place, failed};

pub(super) struct Listing<'a> {
    pub(super) root: &'a Place,
    pub(super) rule: &'a OrphanRule,
}

impl Listing<'_> {
    /// Files that are not known, of the kinds that the lake writes, with their bytes; marks the known ones that it has seen.
    pub(super) async fn orphans(&self, known: &mut Known) -> Result<Vec<(Path, u64)>, LakeError> {
        let age = TimeDelta::from_std(self.rule.age).unwrap_or(TimeDelta::MAX);
        // A time before all times: nothing is so old.
        let newest = Utc::now().checked_sub_signed(age);
        let mut found = Vec::new();
        let mut files = self.root.store.list(Some(&self.root.key));
        while let Some(ObjectMeta { location, last_modified, size, .. }) =
            files.try_next().await.map_err(|error| failed(self.root.key.as_ref(), error))?
        {
            match known.get_mut(&hash(location.as_ref())) {
                Some(Seen::Whatever | Seen::Yes) => {}
                Some(seen) => *seen = Seen::Yes,
                None if newest.is_some_and(|newest| last_modified < newest) && self.is_ours(&location) => {
                    found.push((location, size));
                }
                None => {}
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a file is of a kind that the lake writes.
    fn is_ours(&self, location: &Path) -> bool {
        let Some(mut parts) = location.prefix_match(&self.root.key) else { return false };
        let folder = parts.next();
        let name = location.filename().unwrap_or_default();
        match folder.as_ref().map(AsRef::as_ref) {
            Some("data") => name.ends_with(".parquet"),
            Some("metadata") => name.ends_with(".avro") || self.rule.with_metadata && name.ends_with(".metadata.json"),
            Some(FOLDER) => name.ends_with(ENDING),
            _ => false,
        }
    }
}
