//! What another engine does to a table: a file of position deletes, which holds for data files that are older than it.

use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, MAIN_BRANCH, ManifestListWriter, ManifestWriterBuilder, Operation,
    Snapshot, SnapshotReference, SnapshotRetention, Summary, UNASSIGNED_SEQUENCE_NUMBER,
};
use iceberg::{TableIdent, TableUpdate};
use watershed_lake::Updates as _;

use crate::world::World;

const ID: i64 = 77;

/// Adds one; the file itself is never read.
pub(crate) async fn add(world: &World) {
    let table = world.table().await;
    let (metadata, io) = (table.metadata(), table.file_io());
    let parent = metadata.current_snapshot().expect("a snapshot");
    let mut manifests = table.manifest_list_reader(parent).load().await.expect("reads").entries().to_vec();
    let first = manifests[0].load_manifest(io).await.expect("reads").entries()[0].data_file().clone();
    let deletes = DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(format!("{}/data/deletes.parquet", metadata.location()))
        .file_format(DataFileFormat::Parquet)
        .partition(first.partition().clone())
        .record_count(1)
        .file_size_in_bytes(1_000)
        .build()
        .expect("a file");
    let out = |name: &str| io.new_output(format!("{}/metadata/{name}.avro", metadata.location())).expect("a place");
    let (schema, spec) = (metadata.current_schema().clone(), metadata.default_partition_spec().as_ref().clone());
    let mut manifest = ManifestWriterBuilder::new(out("deletes"), Some(ID), schema, spec).build_v2_deletes();
    manifest.add_file(deletes, UNASSIGNED_SEQUENCE_NUMBER).expect("adds");
    manifests.push(manifest.write_manifest_file().await.expect("writes"));
    let (list, number) = (out("list-of-deletes"), metadata.next_sequence_number());
    let location = list.location().to_owned();
    let mut writer = ManifestListWriter::v2(list.writer().await.expect("opens"), ID, Some(parent.snapshot_id()), number);
    writer.add_manifests(manifests.into_iter()).expect("adds");
    writer.close().await.expect("writes");
    let snapshot = Snapshot::builder()
        .with_manifest_list(location)
        .with_snapshot_id(ID)
        .with_parent_snapshot_id(Some(parent.snapshot_id()))
        .with_sequence_number(number)
        .with_summary(Summary {
            operation: Operation::Delete,
            additional_properties: parent.summary().additional_properties.clone(),
        })
        .with_schema_id(metadata.current_schema_id())
        .with_timestamp_ms(metadata.last_updated_ms())
        .build();
    let reference = SnapshotReference::new(ID, SnapshotRetention::branch(None, None, None));
    let updates =
        vec![TableUpdate::AddSnapshot { snapshot }, TableUpdate::SetSnapshotRef { ref_name: MAIN_BRANCH.to_owned(), reference }];
    let ident = TableIdent::from_strs(["watershed", "events"]).expect("a name");
    world.port.update(&ident, Vec::new(), updates).await.expect("commits");
}
