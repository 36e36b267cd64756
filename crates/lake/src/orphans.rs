//! Files under the table that nobody names: of attempts that failed, of rounds that were ended.
//!
//! What is asked comes in an order that leaves no gap: first what the logs name, then which the table names, then which
//! there are. A file that was named by the first question is in one of the answers, whenever it is committed; one that was
//! named later is younger than the rule allows to remove.

mod listing;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use iceberg::table::Table;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use watershed_schema::Epoch;
use watershed_schema::proto::DeadLetter;

use crate::expire::collectable;
use crate::storage::Place;
use crate::table::fence;
use crate::{EventTable, LakeError, StagedFile, dead_letters, named};

use listing::Listing;

/// Names that are told of those that were found.
const TOLD_MAX: usize = 100;

/// What counts as an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanRule {
    /// Younger files stay: they may be on their way into a snapshot.
    pub age: Duration,
    /// Whether the table's metadata files are ours to remove: those of a catalog server are its own.
    pub with_metadata: bool,
    /// Only look.
    pub dry_run: bool,
}

/// What the shards' logs name, all of it when it was asked for or later.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    /// Files that wait for a snapshot.
    pub files: Vec<StagedFile>,
    /// Rows that the lake refused.
    pub letters: Vec<DeadLetter>,
}

/// What was found, and removed unless it was a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files among them that could not be removed.
    pub files_left: usize,
    /// The first of their names, under the table's location; of a tenant's table after its name.
    pub names: Vec<String>,
}

impl Orphans {
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.files_left += other.files_left;
        self.names.extend(other.names);
        self.names.truncate(TOLD_MAX);
    }
}

impl EventTable {
    /// Removes files of the table that no snapshot names, no metadata, nothing in the shards' logs, and none of the other
    /// `tables`, should a catalog lay one into another.
    ///
    /// # Errors
    /// [`LakeError::Fenced`], [`LakeError::NotCompactable`] for a listing that lacks what the table names or a table whose
    /// `gc.enabled` is off, and [`LakeError::Iceberg`]: then nothing is removed.
    pub(crate) async fn remove_orphans(
        &self,
        rule: &OrphanRule,
        (logged, tables): (&Logged, &[Self]),
        epoch: Epoch,
    ) -> Result<Orphans, LakeError> {
        let table = self.load().await?;
        fence(&table, epoch)?;
        collectable(&table)?;
        let mut names = Names::new(self, &table)?;
        for file in &logged.files {
            names.may_be(&path_of(file)?)?;
        }
        for letter in logged.letters.iter().filter(|_| self.tenant.is_none()) {
            names.may_be(&dead_letters::path(table.metadata().location(), letter))?;
        }
        names.of_table(&table).await?;
        for other in tables.iter().filter(|other| other.ident != self.ident) {
            names.of_other(&other.load().await?).await?;
        }
        let found = Listing { root: &names.root, rule }.orphans(&mut names.known).await?;
        names.check_seen()?;
        let shown = |key: &Path| {
            let name = key.as_ref().trim_start_matches(names.root.key.as_ref()).trim_start_matches('/');
            if self.tenant.is_none() { name.to_owned() } else { format!("{}: {name}", self.name()) }
        };
        let mut orphans = Orphans {
            files: found.len(),
            bytes: found.iter().map(|(_, bytes)| bytes).sum(),
            files_left: 0,
            names: found.iter().take(TOLD_MAX).map(|(key, _)| shown(key)).collect(),
        };
        if !rule.dry_run {
            orphans.files_left = remove(&names.root, found).await;
        }
        Ok(orphans)
    }
}

async fn remove(root: &Place, found: Vec<(Path, u64)>) -> usize {
    let mut left = 0;
    for (key, _) in found {
        match root.store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(%key, %error, "an orphan stays");
                left += 1;
            }
        }
    }
    left
}

/// The location of a staged file, which travels as Iceberg's JSON.
fn path_of(file: &StagedFile) -> Result<String, LakeError> {
    let value: serde_json::Value = serde_json::from_str(&file.0)?;
    let path = value.get("file_path").and_then(serde_json::Value::as_str);
    Ok(path.ok_or_else(|| LakeError::NotCompactable("a staged file has no path".to_owned()))?.to_owned())
}

/// Hashes of names: of two with the same hash, both stay.
type Known = BTreeMap<u64, Seen>;

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Whether a file that is named was listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It need not be.
    Whatever,
    NotYet,
    Yes,
}

struct Names<'a> {
    owner: &'a EventTable,
    table: &'a Table,
    root: Place,
    known: Known,
}

impl<'a> Names<'a> {
    fn new(owner: &'a EventTable, table: &'a Table) -> Result<Self, LakeError> {
        let root = owner.files.find(table.file_io(), table.metadata().location())?;
        Ok(Self { owner, table, root, known: Known::new() })
    }

    fn add(&mut self, path: &str, seen: Seen) -> Result<(), LakeError> {
        let place = self.owner.files.find(self.table.file_io(), path)?;
        // What lies elsewhere is not listed.
        if place.bucket == self.root.bucket && place.key.prefix_matches(&self.root.key) {
            self.known.entry(hash(place.key.as_ref())).or_insert(seen);
        }
        Ok(())
    }

    fn may_be(&mut self, path: &str) -> Result<(), LakeError> {
        self.add(path, Seen::Whatever)
    }

    /// All that the table names, in whatever snapshot.
    async fn of_table(&mut self, table: &Table) -> Result<(), LakeError> {
        let metadata = table.metadata();
        for path in
            table.metadata_location().into_iter().chain(metadata.metadata_log().iter().map(|log| log.metadata_file.as_str()))
        {
            self.may_be(path)?;
        }
        let statistics = metadata.statistics_iter().map(|file| &file.statistics_path);
        for path in statistics.chain(metadata.partition_statistics_iter().map(|file| &file.statistics_path)) {
            self.may_be(path)?;
        }
        let manifests = named::manifests(table, metadata.snapshots()).await?;
        for path in metadata.snapshots().map(|snapshot| snapshot.manifest_list()).chain(manifests.keys().map(String::as_str)) {
            self.add(path, Seen::NotYet)?;
        }
        let mut failed = Ok(());
        named::files(table, manifests.values(), |path| {
            if failed.is_ok() {
                failed = self.add(path, Seen::NotYet);
            }
        })
        .await?;
        failed
    }

    /// What another table names, if it lies in this one's folder.
    async fn of_other(&mut self, other: &Table) -> Result<(), LakeError> {
        let place = self.owner.files.find(other.file_io(), other.metadata().location())?;
        let is_inside = place.bucket == self.root.bucket && place.key.prefix_matches(&self.root.key);
        if is_inside { self.of_table(other).await } else { Ok(()) }
    }

    /// A listing that lacks a file which is named spells names otherwise, or is not the table's: not to be trusted.
    fn check_seen(&self) -> Result<(), LakeError> {
        let missing = self.known.values().filter(|seen| **seen == Seen::NotYet).count();
        if missing == 0 {
            return Ok(());
        }
        Err(LakeError::NotCompactable(format!(
            "{missing} files that the table names are not in its folder: no orphan is removed"
        )))
    }
}
