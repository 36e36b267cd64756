//! What the log says of dead letters, and what a snapshot of the past names.

use std::sync::mpsc;

use watershed_hot::Options;
use watershed_schema::{BatchBuilder, Column, LogRecord, TenantId, Term};

use super::*;

struct World {
    machine: Machine,
    last: u64,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("shard.db"), Options::default()).expect("opens");
        let committed = Arc::new(Committed::new(Backlog::new(1 << 30)));
        Self { machine: Machine { committed, store }, last: 0, _dir: dir }
    }

    /// The next entry, on the disk and applied; whether it was accepted.
    fn apply(&mut self, kind: EntryKind, message: &impl prost::Message) -> bool {
        self.last += 1;
        let (lsn, payload) = (Lsn(self.last), Bytes::from(message.encode_to_vec()));
        let (tell, told) = mpsc::channel();
        let record = LogRecord { lsn, term: Term(1), kind, payload: payload.clone() };
        self.machine.store.append(vec![record], Box::new(move |done| tell.send(done).expect("is heard")));
        told.recv().expect("answers").expect("is durable");
        self.machine.apply(lsn, kind, &payload) == ACCEPTED
    }

    fn staged(&mut self, (from, to): (u64, u64), file: &str) -> bool {
        let staged = proto::Staged {
            from_seq_inclusive: from,
            to_seq_exclusive: to,
            dead_letter: Some(letter(file)),
            ..proto::Staged::default()
        };
        self.apply(EntryKind::Staged, &staged)
    }

    fn archived(&mut self, to: u64) -> bool {
        self.apply(EntryKind::Archived, &proto::Archived { to_seq_exclusive: to, snapshot_id: 0 })
    }

    fn changed(&mut self, file: &str, now: Option<&str>) -> bool {
        let change = proto::DeadLetterChange { file: file.to_owned(), now: now.map(letter) };
        self.apply(EntryKind::DeadLetter, &change)
    }

    fn files(&self) -> Vec<String> {
        self.machine.committed.state().letters.iter().map(|letter| letter.file.clone()).collect()
    }

    fn snapshot(&self, at: u64) -> Bytes {
        self.machine.snapshot(Lsn(at)).expect("is kept")
    }
}

fn letter(file: &str) -> DeadLetter {
    DeadLetter { file: file.to_owned(), ..DeadLetter::default() }
}

fn rows(count: i64) -> proto::LogAppend {
    let mut batch = BatchBuilder::new(TenantId::default(), 0);
    for at in 0..count {
        batch.row(None, |event| {
            event.str(Column::Id, &at.to_string());
            event.str(Column::EventType, "log");
            event.str(Column::EventName, "x");
            event.int(Column::Timestamp, at);
        });
    }
    proto::LogAppend { batches: vec![batch.finish().expect("rows").seal()] }
}

#[test]
fn a_letter_is_there_with_its_run_and_changes_by_the_file_that_the_log_names() {
    let mut world = World::new();
    assert!(world.apply(EntryKind::Append, &rows(8)));
    assert!(!world.staged((3, 5), "late"), "another run is next");
    assert_eq!(world.files(), [""; 0], "who was too late has no letter either");
    assert!(world.staged((1, 5), "a") && world.staged((5, 9), "b"));
    let both = world.last;
    assert!(!world.changed("late", None));
    assert!(world.changed("a", Some("c")));
    assert!(!world.changed("a", None), "a node that has not seen the change takes nothing away");
    assert_eq!(world.files(), ["c", "b"]);
    let changed = world.last;

    // As it was then, and as it is: what comes behind is in the log.
    let of = |snapshot: Bytes| proto::ShardSnapshot::decode(snapshot).expect("is one").dead_letters;
    assert_eq!(of(world.snapshot(both)), [letter("a"), letter("b")]);
    let snapshot = world.snapshot(changed);
    assert!(world.changed("b", None));
    assert_eq!(world.files(), ["c"]);
    world.machine.restore(&snapshot).expect("is restored");
    assert_eq!(world.files(), ["c", "b"]);
    assert!(world.changed("c", None) && world.changed("b", None));
    assert_eq!(world.files(), [""; 0]);
}

#[test]
fn a_snapshot_of_the_past_names_files_that_are_not_archived_by_now() {
    let mut world = World::new();
    assert!(world.apply(EntryKind::Append, &rows(8)));
    let staged = |(from, to): (u64, u64)| proto::Staged {
        from_seq_inclusive: from,
        to_seq_exclusive: to,
        files: vec![format!("file of {from}")],
        ..proto::Staged::default()
    };
    assert!(world.apply(EntryKind::Staged, &staged((1, 5))) && world.apply(EntryKind::Staged, &staged((5, 9))));
    let both = world.last;
    assert!(world.archived(5));
    let then = proto::ShardSnapshot::decode(world.snapshot(both)).expect("is one");
    let ranges: Vec<_> = then.staged.iter().map(|range| (range.from_seq_inclusive, range.files.len())).collect();
    assert_eq!((ranges, then.archived_seq, then.staged_seq), (vec![(1, 0), (5, 1)], 1, 9));
    world.machine.restore(&world.snapshot(both)).expect("is restored");
    assert!(world.archived(5), "the log goes on from there");
    assert_eq!(world.machine.committed.state().staged.len(), 1);
}
