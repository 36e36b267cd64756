//! What a snapshot says of itself: the usual counts, and the marks of the archive as they were.

use std::collections::HashMap;

use iceberg::spec::{DataFile, PartitionSpecRef, SnapshotSummaryCollector};
use iceberg::table::Table;

use crate::table::{COMMIT_ID, EPOCH, WATERMARK};

/// A total, and what changes it; the names are of the Iceberg specification (appendix F). Of deletes there are none.
const TOTALS: [(&str, &str, &str); 6] = [
    ("total-data-files", "added-data-files", "deleted-data-files"),
    ("total-records", "added-records", "deleted-records"),
    ("total-files-size", "added-files-size", "removed-files-size"),
    ("total-delete-files", "added-delete-files", "removed-delete-files"),
    ("total-position-deletes", "added-position-deletes", "removed-position-deletes"),
    ("total-equality-deletes", "added-equality-deletes", "removed-equality-deletes"),
];

pub(crate) struct Changes<'a> {
    table: &'a Table,
    collector: SnapshotSummaryCollector,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(table: &'a Table) -> Self {
        Self { table, collector: SnapshotSummaryCollector::default() }
    }

    pub(crate) fn added(&mut self, file: &DataFile, spec: &PartitionSpecRef) {
        self.collector.add_file(file, self.table.metadata().current_schema().clone(), spec.clone());
    }

    pub(crate) fn removed(&mut self, file: &DataFile, spec: &PartitionSpecRef) {
        self.collector.remove_file(file, self.table.metadata().current_schema().clone(), spec.clone());
    }

    pub(crate) fn summary(&self) -> HashMap<String, String> {
        let mut summary = self.collector.build();
        let parent = self.table.metadata().current_snapshot().map(|snapshot| snapshot.summary());
        let number = |values: &HashMap<String, String>, name: &str| values.get(name).and_then(|text| text.parse::<u64>().ok());
        for (total, added, removed) in TOTALS {
            // A parent that does not know its total leaves it unknown.
            let before = parent.and_then(|parent| number(&parent.additional_properties, total));
            let (more, less) = (number(&summary, added).unwrap_or(0), number(&summary, removed).unwrap_or(0));
            if let Some(now) = before.and_then(|before| (before + more).checked_sub(less)) {
                summary.insert(total.to_owned(), now.to_string());
            }
        }
        // Readers go by the properties, and the commit id is looked for in both.
        let kept = self.table.metadata().properties();
        let marks = [WATERMARK, EPOCH, COMMIT_ID].into_iter().filter_map(|mark| Some((mark.to_owned(), kept.get(mark)?.clone())));
        summary.extend(marks);
        summary
    }
}
