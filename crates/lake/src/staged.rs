//! Staged files as Iceberg's data files, all under one partition spec, whichever was the table's when each was written.
//!
//! A file waits in a shard's log until it is committed, and the table's partitioning may change in between. Iceberg's append
//! takes files of the default spec alone, so all are listed under the coarsest partitioning among them and the table's, and
//! the append is shown a table of which that is the default.

use std::borrow::Cow;

use iceberg::spec::{DataFile, deserialize_data_file_from_json};
use iceberg::table::Table;

use crate::partitioning::Partitioning;
use crate::{LakeError, StagedFile};

/// The table as the append is to see it, and the files.
pub(crate) fn under_one_spec<'a>(
    table: Table,
    staged: impl Iterator<Item = &'a StagedFile>,
) -> Result<(Table, Vec<DataFile>), LakeError> {
    let staged = staged.map(Staged::read).collect::<Result<Vec<_>, LakeError>>()?;
    let own = Partitioning::of_spec(table.metadata().default_partition_spec());
    let own = own.ok_or_else(|| LakeError::Foreign("its partitioning is none of ours".to_owned()))?;
    let coarsest = staged.iter().map(|file| file.by).fold(own, Ord::max);
    let table = if coarsest == own { table } else { with_default(&table, coarsest)? };
    let metadata = table.metadata();
    let (spec, kind, schema) =
        (metadata.default_partition_spec_id(), metadata.default_partition_type(), metadata.current_schema());
    let listed = |file: &Staged<'_>| {
        let json = file.under(coarsest).ok_or_else(|| LakeError::Foreign("a staged file's partition is no number".to_owned()))?;
        Ok(deserialize_data_file_from_json(&json, spec, kind, schema)?)
    };
    let files = staged.iter().map(listed).collect::<Result<_, LakeError>>()?;
    Ok((table, files))
}

/// A data file as JSON: its partition's first field, which names how time is cut, and what stands around the number.
///
/// Iceberg reads a partition by the order of its fields, which `serde_json`'s objects do not keep: so it is taken apart as
/// text. Quotes inside of texts are escaped, so the key is found where it is one.
struct Staged<'a> {
    by: Partitioning,
    json: &'a str,
    before: &'a str,
    after: &'a str,
}

impl<'a> Staged<'a> {
    fn read(file: &'a StagedFile) -> Result<Self, LakeError> {
        let parts = |by| Some((by, file.0.split_once(&begin(by))?));
        let found = Partitioning::ALL.into_iter().find_map(parts);
        let (by, (before, after)) =
            found.ok_or_else(|| LakeError::Foreign("a staged file has no partition of ours".to_owned()))?;
        Ok(Self { by, json: &file.0, before, after })
    }

    fn under(&self, to: Partitioning) -> Option<Cow<'a, str>> {
        if to == self.by {
            return Some(Cow::Borrowed(self.json));
        }
        let (value, rest) = self.after.split_at(self.after.find([',', '}'])?);
        let value = to.of_finer(self.by, value.trim().parse().ok()?)?;
        Some(Cow::Owned(format!("{}{}{value}{rest}", self.before, begin(to))))
    }
}

fn begin(by: Partitioning) -> String {
    format!("\"partition\":{{\"{}\":", by.field())
}

fn with_default(table: &Table, by: Partitioning) -> Result<Table, LakeError> {
    let metadata = table.metadata();
    let spec = metadata.partition_specs_iter().find(|spec| Partitioning::of_spec(spec) == Some(by));
    let spec = spec.ok_or_else(|| LakeError::Foreign(format!("files are staged by {}, which it never was", by.word())))?;
    let shown = metadata.clone().into_builder(None).set_default_partition_spec(spec.spec_id())?.build()?.metadata;
    let shown = Table::builder().metadata(shown).file_io(table.file_io().clone()).identifier(table.identifier().clone());
    let shown = shown.runtime(iceberg::Runtime::try_current()?).metadata_location(table.metadata_location_result()?);
    Ok(shown.build()?)
}
