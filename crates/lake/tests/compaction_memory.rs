//! A merge holds no more than it may, however many files it has and however long their pages are: told by the merge, and
//! seen from outside as memory of this process. So this is the only test of its file.

#[path = "compaction/port.rs"]
mod port;
#[path = "support/lake.rs"]
mod support;
#[path = "compaction/world.rs"]
mod world;

use std::fs;
use std::sync::Arc;

use uuid::Uuid;
use watershed_lake::{CommitRequest, CompactionLimits, Rows, Staged, StagedRange};
use watershed_schema::{BatchBuilder, Column, Epoch, Seq, ShardId, TenantId};

use world::{World, content};

const MIB: usize = 1 << 20;
const FILES: u64 = 48;
const ROWS: usize = 64;
const ROWS_OF_A_FILE: u64 = ROWS as u64;
const TEXT_BYTES: usize = 16 << 10;
const LIMIT: usize = 8 * MIB;
/// A page is that long: all texts of a file.
const PAGE: usize = TEXT_BYTES * ROWS + MIB / 8;
const THREADS: usize = 2;
/// What is not decoded rows: footers and manifests of all files (18 MiB), bytes of files, the file that is made.
const REST: usize = 48 * MIB;

/// A file of rows whose traces lie among those of all others, with long texts that are all different.
fn rows(file: u64) -> Rows {
    let (from, to) = (1 + file * ROWS_OF_A_FILE, 1 + (file + 1) * ROWS_OF_A_FILE);
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for seq in from..to {
        batch.row(None, |event| {
            event.str(Column::Id, &format!("id-{seq}"));
            event.str(Column::EventType, "log");
            event.str(Column::EventName, "x");
            event.str(Column::Ns, "default");
            event.int(Column::Timestamp, 7_200_000_001);
            event.str(
                Column::TraceId,
                &format!("{:032x}", u128::from(seq).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            );
            event.str(Column::LogMessage, &format!("{seq:0TEXT_BYTES$}"));
        });
    }
    let blocks = vec![(Seq(from), Arc::new(batch.finish().expect("rows")))];
    Rows { shard: ShardId(0), from_seq: Seq(from), to_seq: Seq(to), blocks }
}

/// Many files, each by a commit of its own: those of one are joined.
async fn fill(world: &World) {
    for file in 0..FILES {
        let rows = rows(file);
        let files = world.lake.write(&rows, Epoch(1)).await.expect("writes");
        let ranges = vec![StagedRange { shard: rows.shard, from_seq: rows.from_seq, to_seq: rows.to_seq, files }];
        let request = CommitRequest { ranges, replayed: Staged::default(), epoch: Epoch(1), commit_id: Uuid::now_v7() };
        world.lake.commit(&request).await.expect("commits");
    }
}

/// Bytes of a line of the process's status.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse::<usize>().expect("kB") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn many_inputs_with_long_pages_take_no_more_memory_than_allowed() {
    let world = World::new().await;
    fill(&world).await;
    let limits = CompactionLimits { decoded_bytes_max: LIMIT, threads: THREADS, ..CompactionLimits::default() };
    fs::write("/proc/self/clear_refs", "5").expect("forgets the peak");
    let before = memory("VmRSS");
    let done = world.lake.compact(&limits, Epoch(1)).await.expect("compacts").expect("something");
    let grown = memory("VmHWM") - before;
    assert_eq!((done.files_before as u64, done.files_after, done.rows), (FILES, 1, FILES * ROWS_OF_A_FILE));
    assert!(done.decoded_bytes_peak <= LIMIT + PAGE, "{} bytes were decoded at a time", done.decoded_bytes_peak);
    assert!(grown <= LIMIT + THREADS * PAGE + REST, "{} MiB more than before", grown / MIB);
    assert_eq!(content(&world.table().await).await.len() as u64, FILES * ROWS_OF_A_FILE);
}
