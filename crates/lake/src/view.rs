//! What one tenant's rows are read from: a snapshot of the shared table, and one of its own table if it has one.
//!
//! A commit goes to the own table first, so the shared one is pinned first: what is below its watermark then is in it or in the
//! own one, pinned later. The own one may be ahead: its rows from the shared watermark on are in it as long as that did not move
//! in between, which is looked at again.

use watershed_schema::{Seq, TenantId};

use crate::read::{FileOfShard, Pinned, ShardRows};
use crate::{Lake, LakeError, Moment, Watermark};

/// Snapshots of the tables that hold a tenant's rows; later commits do not change them.
#[derive(Clone, Debug)]
pub struct View {
    /// The tenant's rows below are in them, and none of its rows from here on.
    pub watermark: Watermark,
    /// The shared table, then the tenant's own.
    pub tables: Vec<Pinned>,
}

/// A file of a shard, and the table that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOfView {
    /// Place among [`View::tables`].
    pub table: usize,
    /// The file.
    pub of_shard: FileOfShard,
}

impl Lake {
    /// Pins what a tenant's rows are read from.
    ///
    /// # Errors
    /// When the catalog or the storage fails.
    pub async fn view(&self, tenant: &TenantId) -> Result<View, LakeError> {
        let mut shared = self.shared.pin().await?;
        loop {
            let Some(own) = self.shared.own_of(&shared.table, tenant)? else { return Ok(View::of(vec![shared])) };
            fail::fail_point!("lake::between_pins");
            let own = own.pin().await?;
            if !is_ahead(&own.watermark, &shared.watermark) {
                return Ok(View::of(vec![shared, own]));
            }
            let again = self.shared.pin().await?;
            if again.watermark == shared.watermark {
                return Ok(View::of(vec![shared, own]));
            }
            shared = again;
        }
    }
}

/// Whether a table has a shard further than another.
fn is_ahead(own: &Watermark, shared: &Watermark) -> bool {
    own.iter().any(|(shard, seq)| *seq > shared.get(shard).copied().unwrap_or(Seq::FIRST))
}

impl View {
    fn of(tables: Vec<Pinned>) -> Self {
        let mut watermark = Watermark::new();
        for (shard, seq) in tables.iter().flat_map(|table| &table.watermark) {
            let at = watermark.entry(*shard).or_insert(*seq);
            *at = (*at).max(*seq);
        }
        Self { watermark, tables }
    }

    /// Whether no table has a snapshot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.snapshot_id.is_none())
    }

    /// The tables as they were, as far as the pinned snapshots know of it. A snapshot's number means the moment of that
    /// snapshot, whichever of the tables has it.
    ///
    /// # Errors
    /// [`LakeError::NoSnapshot`] when there was none yet or one that is needed is expired.
    pub fn at(&self, moment: Moment) -> Result<Self, LakeError> {
        let at_ms = match moment {
            Moment::Time { at_ms } => Some(at_ms),
            Moment::Snapshot(id) => self.tables.iter().find_map(|table| table.taken_ms(id)),
        };
        let there = |table: &&Pinned| at_ms.is_some_and(|at_ms| !table.is_younger(at_ms));
        let at = |table: &Pinned| match (moment, at_ms) {
            (Moment::Snapshot(id), Some(at_ms)) if table.taken_ms(id).is_none() => table.at(Moment::Time { at_ms }),
            _ => table.at(moment),
        };
        let found = self.tables.iter().filter(there).map(at).collect::<Result<Vec<_>, LakeError>>()?;
        if found.is_empty() { Ok(Self::of(vec![self.tables[0].at(moment)?])) } else { Ok(Self::of(found)) }
    }

    /// Files that may hold these rows, by their lowest number ([`Pinned::files_of_shard`]).
    ///
    /// # Errors
    /// When manifests cannot be read.
    pub async fn files_of_shard(&self, wanted: &ShardRows) -> Result<Vec<FileOfView>, LakeError> {
        let mut files = Vec::new();
        for (table, pinned) in self.tables.iter().enumerate() {
            let of_table = pinned.files_of_shard(wanted).await?;
            files.extend(of_table.into_iter().map(|of_shard| FileOfView { table, of_shard }));
        }
        files.sort_by_key(|file| file.of_shard.from);
        Ok(files)
    }
}
