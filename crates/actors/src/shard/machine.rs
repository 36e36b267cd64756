//! What a shard's log means: applied entry by entry, the same on every replica.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use watershed_cluster::StateMachine;
use watershed_hot::Store;
use watershed_schema::proto::DeadLetter;
use watershed_schema::{EntryKind, EventBatch, Lsn, Positions, Seq, proto};

use super::ages::Ages;
use super::dedupe::Dedupe;
use super::handle::StagedFiles;
use super::recent::Recent;
use crate::Backlog;
use crate::backlog::Share;

/// Answer to a command that the state accepted; anything else was refused.
pub(crate) const ACCEPTED: &[u8] = b"accepted";

/// A decoded batch and the hashes of its events' ids.
pub(crate) type Hashed = (Arc<EventBatch>, Vec<u128>);

/// What committed entries amount to. Written by [`Machine`], read by everybody else.
pub(crate) struct Committed {
    state: Mutex<State>,
    positions: watch::Sender<Positions>,
    proposed: Mutex<Option<(Bytes, Vec<Hashed>)>>,
    backlog: Backlog,
}

pub(crate) struct State {
    pub(crate) positions: Positions,
    pub(crate) recent: Recent,
    pub(crate) dedupe: Dedupe,
    pub(crate) staged: VecDeque<StagedFiles>,
    /// Rows that the lake refused for good, in order. Shared: every mark of the past holds what there was then.
    pub(crate) letters: Arc<Vec<DeadLetter>>,
    pub(crate) ages: Ages,
    /// What was staged and archived behind past entries, oldest first.
    marks: VecDeque<Mark>,
    no_files: Arc<watershed_lake::Staged>,
    /// What the store held first when the state was restored. A snapshot knows less of what is archived than the purge
    /// did, so `trimmed` gets there only when that is applied again.
    floor: Seq,
    /// What is not archived.
    backlog: Share,
}

/// Staged and archived ranges as they were behind an entry: a snapshot ends in the past, where the log will begin.
struct Mark {
    lsn: Lsn,
    archived: Seq,
    staged: Seq,
    files: Vec<StagedFiles>,
    letters: Arc<Vec<DeadLetter>>,
}

impl State {
    fn new(backlog: Backlog) -> Self {
        Self {
            positions: Positions::default(),
            recent: Recent::default(),
            dedupe: Dedupe::default(),
            staged: VecDeque::new(),
            letters: Arc::default(),
            ages: Ages::default(),
            marks: VecDeque::new(),
            no_files: Arc::default(),
            floor: Seq::default(),
            backlog: Share::new(backlog),
        }
    }

    fn weigh_backlog(&mut self) {
        self.backlog.set(self.ages.bytes_behind(self.positions.archived()));
    }

    fn mark(&mut self, lsn: Lsn) {
        let (archived, staged) = (self.positions.archived(), self.positions.staged());
        let (files, letters) = (self.staged.iter().cloned().collect(), Arc::clone(&self.letters));
        self.marks.push_back(Mark { lsn, archived, staged, files, letters });
    }

    /// Of what is archived, marks keep the ranges alone: files are tens of kilobytes for each, ten minutes of the log are
    /// thousands of them, and who commits goes by the lake's watermark, below which nobody asks for files.
    fn let_go_of_files(&mut self, archived: Seq) {
        let files = self.marks.iter_mut().flat_map(|mark| &mut mark.files);
        files.filter(|range| range.to_seq <= archived).for_each(|range| range.files = Arc::clone(&self.no_files));
    }

    fn raise_trimmed(&mut self) {
        let trimmed = self.floor.min(self.positions.archived()).max(self.positions.trimmed());
        self.positions.set_trimmed(trimmed);
    }

    /// The newest mark not behind `at`; older ones are forgotten.
    fn marked(&mut self, at: Lsn) -> Option<&Mark> {
        let newer = self.marks.partition_point(|mark| mark.lsn <= at);
        drop(self.marks.drain(..newer.saturating_sub(1)));
        self.marks.front().filter(|mark| mark.lsn <= at)
    }
}

impl Committed {
    pub(crate) fn new(backlog: Backlog) -> Self {
        let (state, positions) = (Mutex::new(State::new(backlog.clone())), watch::Sender::new(Positions::default()));
        Self { state, positions, proposed: Mutex::default(), backlog }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Positions> {
        self.positions.subscribe()
    }

    /// Keeps the decoded form of what is about to be proposed, so that applying it need not decode it again.
    pub(crate) fn remember(&self, payload: Bytes, batches: Vec<Hashed>) {
        *self.proposed.lock().unwrap_or_else(PoisonError::into_inner) = Some((payload, batches));
    }

    fn recall(&self, payload: &Bytes) -> Option<Vec<Hashed>> {
        let mut proposed = self.proposed.lock().unwrap_or_else(PoisonError::into_inner);
        proposed.take_if(|(bytes, _)| bytes == payload).map(|(_, batches)| batches)
    }

    fn publish(&self) {
        let positions = self.state().positions;
        self.positions.send_replace(positions);
    }

    /// The hot tier lets go of everything below.
    pub(crate) fn trimmed(&self, below: Seq) {
        self.state().positions.set_trimmed(below);
        self.publish();
    }
}

/// Applies the log to [`Committed`].
pub(crate) struct Machine {
    pub(crate) committed: Arc<Committed>,
    pub(crate) store: Store,
}

impl StateMachine for Machine {
    fn apply(&mut self, lsn: Lsn, kind: EntryKind, payload: &Bytes) -> Bytes {
        let accepted = match kind {
            EntryKind::Blank | EntryKind::Membership => true,
            EntryKind::Append => self.append(lsn, payload),
            EntryKind::Staged => self.staged(lsn, payload),
            EntryKind::Archived => self.archived(lsn, payload),
            EntryKind::DeadLetter => self.letter_changed(lsn, payload),
            EntryKind::Control => false,
        };
        self.committed.publish();
        if accepted { Bytes::from_static(ACCEPTED) } else { Bytes::new() }
    }

    fn snapshot(&self, at: Lsn) -> io::Result<Bytes> {
        let tail = self.store.next_seq_after(at).map_err(io::Error::other)?;
        let mut state = self.committed.state();
        let (archived_seq, staged_seq) = (Seq::FIRST.0, Seq::FIRST.0);
        let mut snapshot = proto::ShardSnapshot { tail_seq: tail.0, archived_seq, staged_seq, ..proto::ShardSnapshot::default() };
        if let Some(mark) = state.marked(at) {
            (snapshot.archived_seq, snapshot.staged_seq) = (mark.archived.0, mark.staged.0);
            snapshot.staged = mark.files.iter().map(StagedFiles::to_proto).collect();
            snapshot.dead_letters = mark.letters.to_vec();
        }
        Ok(Bytes::from(snapshot.encode_to_vec()))
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let snapshot = proto::ShardSnapshot::decode(snapshot).map_err(io::Error::other)?;
        let first = self.store.stats().map_err(io::Error::other)?.first_seq;
        let mut state = State::new(self.committed.backlog.clone());
        state.positions.set_tail(Seq(snapshot.tail_seq));
        state.positions.set_staged(Seq(snapshot.staged_seq));
        state.positions.set_archived(Seq(snapshot.archived_seq));
        state.floor = first;
        state.raise_trimmed();
        state.staged = snapshot.staged.into_iter().map(StagedFiles::from_proto).collect();
        state.letters = Arc::new(snapshot.dead_letters);
        state.mark(Lsn(0));
        self.recollect(&mut state, first)?;
        state.weigh_backlog();
        *self.committed.state() = state;
        self.committed.publish();
        Ok(())
    }
}

impl Machine {
    /// A snapshot holds no ids: those of the entries that it covers and that are still in the log are read again.
    fn recollect(&self, state: &mut State, first: Seq) -> io::Result<()> {
        const STEP_BYTES: usize = 4 * 1024 * 1024;
        let (mut next, mut tail) = (Lsn(0), first);
        while tail < state.positions.tail() {
            let records = self.store.records(next, Lsn(i64::MAX.cast_unsigned()), STEP_BYTES).map_err(io::Error::other)?;
            let Some(last) = records.last() else { break };
            next = Lsn(last.lsn.0 + 1);
            for record in records.iter().filter(|record| record.kind == EntryKind::Append) {
                for (batch, ids) in open_all(&record.payload) {
                    ids.into_iter().for_each(|id| state.dedupe.insert(id));
                    tail = tail.advanced_by(batch.header().rows);
                }
                if tail <= state.positions.tail() {
                    state.ages.push((record.lsn, tail), record.payload.len() as u64);
                }
            }
        }
        Ok(())
    }

    fn append(&self, lsn: Lsn, payload: &Bytes) -> bool {
        let batches = self.committed.recall(payload).unwrap_or_else(|| open_all(payload));
        let mut state = self.committed.state();
        for (batch, ids) in batches {
            let first = state.positions.tail();
            ids.into_iter().for_each(|id| state.dedupe.insert(id));
            state.positions.set_tail(first.advanced_by(batch.header().rows));
            state.recent.push(first, batch);
        }
        let tail = state.positions.tail();
        let bytes = payload.len() as u64;
        state.ages.push((lsn, tail), bytes);
        state.backlog.add(bytes);
        true
    }

    fn staged(&self, lsn: Lsn, payload: &Bytes) -> bool {
        let staged = proto::Staged::decode(payload.clone()).expect("invariant: the log holds what was proposed");
        let range = StagedFiles::from_proto(staged);
        let mut state = self.committed.state();
        let next = range.from_seq == state.positions.staged() && range.to_seq <= state.positions.tail();
        if next {
            state.positions.set_staged(range.to_seq);
            if let Some(letter) = &range.letter {
                Arc::make_mut(&mut state.letters).push(DeadLetter::clone(letter));
            }
            state.staged.push_back(range);
            state.mark(lsn);
        }
        next
    }

    /// By the file, so that a node which has not seen the last change is refused.
    fn letter_changed(&self, lsn: Lsn, payload: &Bytes) -> bool {
        let change = proto::DeadLetterChange::decode(payload.clone()).expect("invariant: the log holds what was proposed");
        let mut state = self.committed.state();
        let Some(at) = state.letters.iter().position(|letter| letter.file == change.file) else { return false };
        let letters = Arc::make_mut(&mut state.letters);
        match change.now {
            Some(now) => letters[at] = now,
            None => drop(letters.remove(at)),
        }
        state.mark(lsn);
        true
    }

    fn archived(&self, lsn: Lsn, payload: &Bytes) -> bool {
        let archived = proto::Archived::decode(payload.clone()).expect("invariant: the log holds what was proposed");
        let to = Seq(archived.to_seq_exclusive);
        let mut state = self.committed.state();
        let forward = to > state.positions.archived() && to <= state.positions.staged();
        if forward {
            state.positions.set_archived(to);
            state.raise_trimmed();
            state.weigh_backlog();
            state.staged.retain(|range| range.to_seq > to);
            state.let_go_of_files(to);
            state.mark(lsn);
        }
        forward
    }
}

fn open_all(payload: &Bytes) -> Vec<Hashed> {
    let append = proto::LogAppend::decode(payload.clone()).expect("invariant: the store checks every entry's checksum");
    let open = |sealed| hashed(Arc::new(EventBatch::open(sealed).expect("invariant: the store checks every entry's checksum")));
    append.batches.iter().map(open).collect()
}

pub(crate) fn hashed(batch: Arc<EventBatch>) -> Hashed {
    let ids = batch.id_hashes().expect("invariant: a batch was checked at birth");
    (batch, ids)
}

#[cfg(test)]
mod tests;
