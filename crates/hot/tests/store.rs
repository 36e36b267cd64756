//! The store's contract, on real files.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use watershed_hot::{Base, HotError, Options, ScanRequest, Store};
use watershed_schema::proto::LogAppend;
use watershed_schema::{
    BatchBuilder, Column, EntryKind, EventBatch, EventType, LogRecord, Lsn, Seq, TenantId, Term, key_hash, name_hash,
};

/// A batch of `rows` events of one kind, time and trace.
fn batch(tenant: &str, event_type: EventType, time: i64, trace: &str, rows: u32) -> EventBatch {
    named((tenant, "n"), event_type, time, trace, rows)
}

fn named((tenant, name): (&str, &str), event_type: EventType, time: i64, trace: &str, rows: u32) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::new(tenant).unwrap(), 0);
    for row in 0..rows {
        builder.row(None, |event| {
            event.str(Column::Id, &format!("{trace}-{time}-{row}"));
            event.str(Column::EventType, event_type.as_str());
            event.str(Column::EventName, name);
            event.int(Column::Timestamp, time);
            event.str(Column::TraceId, trace);
        });
    }
    builder.finish().unwrap()
}

fn append(lsn: u64, batches: &[EventBatch]) -> LogRecord {
    let payload = LogAppend { batches: batches.iter().map(EventBatch::seal).collect() };
    LogRecord { lsn: Lsn(lsn), term: Term(1), kind: EntryKind::Append, payload: Bytes::from(payload.encode_to_vec()) }
}

fn simple(lsn: u64) -> LogRecord {
    append(lsn, &[batch("t", EventType::Log, 1, "a", 2)])
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("shard.db"), Options::default()).unwrap()
}

/// Calls and waits for `done`.
fn wait(call: impl FnOnce(watershed_hot::Done)) -> Result<(), HotError> {
    let (tell, told) = mpsc::channel();
    call(Box::new(move |result| tell.send(result).unwrap()));
    told.recv().unwrap()
}

fn write(store: &Store, records: Vec<LogRecord>) -> Result<(), HotError> {
    wait(|done| store.append(records, done))
}

#[test]
fn what_was_appended_is_there_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> = (1..=5).map(simple).collect();
    let store = open(folder.path());
    write(&store, records.clone()).unwrap();
    wait(|done| store.put_meta("vote", Bytes::from_static(b"v"), done)).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.records(Lsn(0), Lsn(u64::MAX), usize::MAX).unwrap(), records);
    assert_eq!(store.last().unwrap(), Some((Lsn(5), Term(1))));
    assert_eq!(store.meta("vote").unwrap().unwrap(), "v");
    assert_eq!(store.stats().unwrap().next_seq, Seq(11));
}

#[test]
fn every_append_is_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (tell, told) = mpsc::channel();
    for lsn in 1..=200 {
        let tell = tell.clone();
        store.append(vec![simple(lsn)], Box::new(move |result| tell.send((lsn, result)).unwrap()));
    }
    let answers: Vec<_> = told.iter().take(200).collect();
    assert!(answers.iter().zip(1..).all(|((lsn, result), expected)| *lsn == expected && result.is_ok()));
    assert_eq!(store.records(Lsn(1), Lsn(201), usize::MAX).unwrap().len(), 200);
}

#[test]
fn truncated_entries_give_their_numbers_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, (1..=4).map(simple).collect()).unwrap();
    wait(|done| store.truncate_from(Lsn(3), done)).unwrap();
    write(&store, vec![append(3, &[batch("t", EventType::Log, 9, "other", 1)])]).unwrap();
    let page = store.scan(&ScanRequest::from(Seq(5))).unwrap();
    assert_eq!((page.blocks.len(), page.blocks[0].first_seq, page.next_seq), (1, Seq(5), Seq(6)));
}

#[test]
fn numbers_go_on_after_everything_was_purged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, (1..=4).map(simple).collect()).unwrap();
    store.purge_upto_inclusive(Lsn(2)).unwrap();
    assert_eq!(store.scan(&ScanRequest::from(Seq(4))), Err(HotError::Trimmed { first: Seq(5) }));
    assert_eq!(store.scan(&ScanRequest::from(Seq(5))).unwrap().blocks.len(), 2);
    store.purge_upto_inclusive(Lsn(4)).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.stats().unwrap().next_seq, Seq(9));
    write(&store, vec![simple(5)]).unwrap();
    assert_eq!(store.scan(&ScanRequest::from(Seq(9))).unwrap().blocks[0].first_seq, Seq(9));
}

#[test]
fn a_log_that_begins_with_a_snapshot_has_the_numbers_of_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, (1..=4).map(simple).collect()).unwrap();
    assert_eq!([0, 2, 4].map(|lsn| store.next_seq_after(Lsn(lsn)).unwrap()), [Seq(1), Seq(5), Seq(9)]);
    let values = vec![("raft.snapshot".to_owned(), Bytes::from_static(b"state"))];
    wait(|done| store.install(Base { lsn: Lsn(90), next_seq: Seq(1001) }, values, done)).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.last().unwrap(), store.next_seq_after(Lsn(90)).unwrap()), (None, Seq(1001)));
    assert_eq!(store.meta("raft.snapshot").unwrap().as_deref(), Some(&b"state"[..]));
    write(&store, vec![simple(91), simple(92)]).unwrap();
    assert_eq!(store.scan(&ScanRequest::from(Seq(1))), Err(HotError::Trimmed { first: Seq(1001) }));
    assert_eq!(store.scan(&ScanRequest::from(Seq(1001))).unwrap().next_seq, Seq(1005));
}

#[test]
fn a_snapshot_that_contradicts_the_entries_behind_it_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, (1..=4).map(simple).collect()).unwrap();
    let install = |next_seq| wait(|done| store.install(Base { lsn: Lsn(2), next_seq }, Vec::new(), done));
    assert!(matches!(install(Seq(6)), Err(HotError::Invalid { lsn: Lsn(2), .. })));
    assert_eq!(store.stats().unwrap().first_seq, Seq(1));
    install(Seq(5)).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.first_seq, stats.next_seq), (Seq(5), Seq(9)));
}

#[test]
fn a_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, vec![simple(1)]).unwrap();
    drop(store);
    let path = folder.path().join("shard.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut payload: Vec<u8> = connection.query_row("SELECT payload FROM log", [], |row| row.get(0)).unwrap();
    let last = payload.len() - 1;
    payload[last] ^= 1;
    connection.execute("UPDATE log SET payload = ?1", [payload]).unwrap();
    drop(connection);
    let store = open(folder.path());
    assert_eq!(store.records(Lsn(1), Lsn(2), 1), Err(HotError::Corrupt { lsn: Lsn(1) }));
    assert_eq!(store.scan(&ScanRequest::from(Seq(1))), Err(HotError::Corrupt { lsn: Lsn(1) }));
}

#[test]
fn somebody_elses_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(matches!(Store::open(&path, Options::default()), Err(HotError::Foreign(_))));
    std::fs::write(&path, [b'x'; 4096]).unwrap();
    assert!(matches!(Store::open(&path, Options::default()), Err(HotError::Foreign(_))));
}

#[test]
fn the_queue_is_bounded_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("shard.db"), Options { queue_bytes_max: 1 }).unwrap();
    let (tell, told) = mpsc::channel();
    for lsn in 1..=500 {
        let tell = tell.clone();
        store.append(vec![simple(lsn)], Box::new(move |result| tell.send(result).unwrap()));
    }
    let answers: Vec<_> = told.iter().take(500).collect();
    assert!(answers.iter().any(Result::is_ok));
    assert!(answers.iter().any(|answer| matches!(answer, Err(HotError::Busy { limit: 1, .. }))));
}

#[test]
fn an_entry_without_header_is_refused_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut bad = simple(1);
    bad.payload = Bytes::from_static(b"\xff\xff");
    assert!(matches!(write(&store, vec![bad]), Err(HotError::Invalid { .. })));
    write(&store, vec![simple(1)]).unwrap();
}

#[test]
fn a_full_disk_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |words: &[&str]| Command::new(words[0]).args(&words[1..]).arg(folder.path()).status().is_ok_and(|s| s.success());
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]) {
        eprintln!("skipped: no right to mount a tmpfs here");
        return;
    }
    let store = open(folder.path());
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![1u8; 1 << 20]).unwrap();
    let big = |lsn| append(lsn, &[batch("t", EventType::Log, 1, &"x".repeat(200), 500)]);
    let mut lsn = 1;
    while write(&store, vec![big(lsn)]).is_ok() {
        lsn += 1;
        assert!(lsn < 100_000, "the disk never filled up");
    }
    assert_eq!(write(&store, vec![big(lsn)]), Err(HotError::DiskFull));
    assert_eq!(store.records(Lsn(1), Lsn(lsn), usize::MAX).unwrap().len() as u64, lsn - 1);
    std::fs::remove_file(&ballast).unwrap();
    write(&store, vec![big(lsn)]).unwrap();
    assert_eq!(store.last().unwrap().unwrap().0, Lsn(lsn));
    drop(store);
    assert!(mount(&["umount"]));
}

const CHILD_FOLDER: &str = "WATERSHED_TEST_CHILD_FOLDER";

/// Not a test of its own: the process that [`kill_9_loses_nothing_that_was_answered`] kills.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let store = open(Path::new(&folder));
    for lsn in 1..1_000_000 {
        write(&store, vec![simple(lsn)]).unwrap();
        println!("durable {lsn}");
    }
}

#[test]
fn kill_9_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_appends_until_it_is_killed", "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lsn_of = |line: &str| line.split_once("durable ").and_then(|(_, lsn)| lsn.parse::<u64>().ok());
    lines.by_ref().filter_map(|line| lsn_of(&line)).find(|lsn| *lsn >= 300).unwrap();
    child.kill().unwrap();
    let last = lines.filter_map(|line| lsn_of(&line)).last().unwrap_or(300);
    child.wait().unwrap();
    let records = open(folder.path()).records(Lsn(1), Lsn(u64::MAX), usize::MAX).unwrap();
    assert!(records.len() as u64 >= last, "{} entries, {last} were answered", records.len());
    assert!(records.iter().zip(1..).all(|(record, lsn)| *record == simple(lsn)));
}

#[derive(Clone, Debug)]
struct Spec {
    tenant: &'static str,
    event_type: EventType,
    time: i64,
    trace: &'static str,
    name: &'static str,
    rows: u32,
}

fn spec() -> impl Strategy<Value = Spec> {
    let tenant = prop::sample::select(vec!["a", "b"]);
    let event_type = prop::sample::select(vec![EventType::Log, EventType::Trace, EventType::Cdc]);
    let trace = prop::sample::select(vec!["t1", "t2", "t3"]);
    let name = prop::sample::select(vec!["paid", "sent"]);
    (tenant, event_type, 0..20i64, (trace, name), 1..4u32).prop_map(|(tenant, event_type, time, (trace, name), rows)| Spec {
        tenant,
        event_type,
        time,
        trace,
        name,
        rows,
    })
}

fn request() -> impl Strategy<Value = ScanRequest> {
    let key = prop::option::of(prop::sample::select(vec!["t1", "t2", "nobody"]));
    let name = prop::option::of(prop::sample::select(vec!["paid", "sent", "nothing"]));
    let tenant = prop::option::of(prop::sample::select(vec!["a", "b"]));
    let time = || prop::option::of(0..20i64);
    (1..30u64, 0..40u64, tenant, (time(), time()), 0..8u32, (key, name), 1..2000usize).prop_map(
        |(from, length, tenant, (min, max), types, (key, name), bytes_max)| ScanRequest {
            from_seq: Seq(from),
            to_seq_exclusive: Seq(from + length),
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            min_ts_us: min,
            max_ts_us: max,
            types,
            keys: key.into_iter().map(key_hash).collect(),
            names: name.into_iter().map(name_hash).collect(),
            bytes_max,
        },
    )
}

/// What a reader would say who looks at every batch.
fn naive(entries: &[Vec<Spec>], request: &ScanRequest) -> Vec<Seq> {
    let mut next = Seq::FIRST;
    let mut found = Vec::new();
    for spec in entries.iter().flatten() {
        let first = next;
        next = first.advanced_by(spec.rows);
        let matches = request.from_seq < request.to_seq_exclusive
            && next > request.from_seq
            && first < request.to_seq_exclusive
            && request.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == spec.tenant)
            && (request.types == 0 || request.types & spec.event_type.mask() != 0)
            && request.min_ts_us.is_none_or(|min| spec.time >= min)
            && request.max_ts_us.is_none_or(|max| spec.time <= max)
            && (request.keys.is_empty() || request.keys.contains(&key_hash(spec.trace)))
            && (request.names.is_empty() || request.names.contains(&name_hash(spec.name)));
        if matches {
            found.push(first);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pruning_equals_looking_at_everything(
        entries in prop::collection::vec(prop::collection::vec(spec(), 1..4), 1..8),
        requests in prop::collection::vec(request(), 20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let to_batch = |spec: &Spec| named((spec.tenant, spec.name), spec.event_type, spec.time, spec.trace, spec.rows);
        let to_record = |(lsn, specs): (u64, &Vec<Spec>)| append(lsn, &specs.iter().map(to_batch).collect::<Vec<_>>());
        write(&store, (1..).zip(&entries).map(to_record).collect()).unwrap();
        for mut request in requests {
            let expected = naive(&entries, &request);
            if request.from_seq < request.to_seq_exclusive {
                let heads: Vec<_> = store.heads(&request).unwrap().into_iter().map(|(first, _)| first).collect();
                prop_assert_eq!(&heads, &expected);
            }
            let mut found = Vec::new();
            loop {
                let page = store.scan(&request).unwrap();
                found.extend(page.blocks.iter().map(|block| block.first_seq));
                if page.next_seq <= request.from_seq {
                    break;
                }
                request.from_seq = page.next_seq;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
