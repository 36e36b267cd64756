//! Snapshots of before: which one was the table at a time, and what each says of itself.

use iceberg::spec::Snapshot;

use crate::read::Pinned;
use crate::table::{WATERMARK, Watermark, made_ms};
use crate::{EventTable, LakeError};

/// A moment of a table's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What was the table at this time.
    Time {
        /// Milliseconds since 1970, as snapshots have it.
        at_ms: i64,
    },
    /// The snapshot of this number.
    Snapshot(i64),
}

/// What a snapshot says of itself; a count that its writer did not tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its number.
    pub id: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// `append`, `replace`, `overwrite`, `delete`.
    pub operation: String,
    /// Whether it is what queries read now.
    pub is_current: bool,
    /// Rows of the table.
    pub rows: Option<u64>,
    /// Rows that it added.
    pub rows_added: Option<u64>,
    /// Data files of the table.
    pub files: Option<u64>,
    /// Bytes of these files.
    pub bytes: Option<u64>,
    /// Rows below are in it.
    pub watermark: Watermark,
}

impl EventTable {
    /// Snapshots that are not expired, newest first.
    ///
    /// # Errors
    /// When the catalog fails, or a watermark is malformed.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, LakeError> {
        let table = self.load().await?;
        let current = table.metadata().current_snapshot_id();
        let mut all = table.metadata().snapshots().map(|one| info(one, current)).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|one| std::cmp::Reverse((one.at_ms, one.is_current)));
        Ok(all)
    }
}

impl Pinned {
    /// The table as it was, as far as this snapshot knows of it.
    ///
    /// # Errors
    /// [`LakeError::NoSnapshot`] when there was none yet or it is expired.
    pub fn at(&self, moment: Moment) -> Result<Self, LakeError> {
        let metadata = self.table.metadata();
        let id = match moment {
            Moment::Snapshot(id) => Some(id),
            Moment::Time { at_ms } => {
                let before = metadata.history().iter().filter(|entry| entry.timestamp_ms <= at_ms);
                before.max_by_key(|entry| entry.timestamp_ms).map(|entry| entry.snapshot_id)
            }
        };
        let found = id.and_then(|id| metadata.snapshot_by_id(id)).ok_or_else(|| self.unknown(moment))?;
        let watermark = watermark(found)?;
        Ok(Self { snapshot_id: Some(found.snapshot_id()), watermark, ..self.clone() })
    }

    /// When a snapshot was made, milliseconds since 1970; `None` when this table has none of that number.
    pub(crate) fn taken_ms(&self, id: i64) -> Option<i64> {
        Some(self.table.metadata().snapshot_by_id(id)?.timestamp_ms())
    }

    /// Whether the table had nothing yet at a time: it was made afterwards, or its first snapshot was.
    pub(crate) fn is_younger(&self, at_ms: i64) -> bool {
        let oldest = self.table.metadata().snapshots().min_by_key(|snapshot| snapshot.timestamp_ms());
        let first = oldest.filter(|oldest| oldest.parent_snapshot_id().is_none());
        made_ms(&self.table).is_some_and(|made_ms| at_ms < made_ms)
            || oldest.is_none()
            || first.is_some_and(|first| at_ms < first.timestamp_ms())
    }

    fn unknown(&self, moment: Moment) -> LakeError {
        let asked = match moment {
            Moment::Snapshot(id) => format!("with the number {id}"),
            Moment::Time { at_ms } => format!("at {}", time(at_ms)),
        };
        let oldest = self.table.metadata().snapshots().min_by_key(|snapshot| snapshot.timestamp_ms());
        let oldest = oldest.map_or_else(
            || "there is none".to_owned(),
            |oldest| format!("the oldest is {} of {}", oldest.snapshot_id(), time(oldest.timestamp_ms())),
        );
        LakeError::NoSnapshot { asked, oldest }
    }
}

fn time(at_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(|| at_ms.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

fn info(snapshot: &Snapshot, current: Option<i64>) -> Result<SnapshotInfo, LakeError> {
    let summary = snapshot.summary();
    let count = |name: &str| summary.additional_properties.get(name).and_then(|text| text.parse().ok());
    Ok(SnapshotInfo {
        id: snapshot.snapshot_id(),
        at_ms: snapshot.timestamp_ms(),
        operation: summary.operation.as_str().to_owned(),
        is_current: current == Some(snapshot.snapshot_id()),
        rows: count("total-records"),
        rows_added: count("added-records"),
        files: count("total-data-files"),
        bytes: count("total-files-size"),
        watermark: watermark(snapshot)?,
    })
}

fn watermark(snapshot: &Snapshot) -> Result<Watermark, LakeError> {
    let text = snapshot.summary().additional_properties.get(WATERMARK);
    text.map_or_else(|| Ok(Watermark::new()), |text| Ok(serde_json::from_str(text)?))
}
