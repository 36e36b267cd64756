//! Changes on their way into a request, and which position its answer confirms.

use std::ops::Range;

use serde::Deserialize;

use crate::slot::Origin;
use crate::{Lsn, PumpError, Settings};

/// Changes for one request: a JSON object a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) body: Vec<u8>,
    pub(crate) changes: usize,
    /// Places of its first and last change.
    pub(crate) places: Range<Lsn>,
    /// End of the last transaction that is whole once this batch is answered.
    pub(crate) confirms: Option<Lsn>,
}

/// What the plugin wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Begin,
    Commit,
    /// A change, as it goes into a request.
    Change(Vec<u8>),
    /// A message: no change of a row.
    Other,
}

/// Puts changes together.
#[derive(Debug)]
pub(crate) struct Batcher {
    /// Members that every change gets.
    origin: String,
    bytes_max: usize,
    changes_max: usize,
    open: Batch,
    in_transaction: bool,
    /// The last change's place, and how many there were at it.
    run: (Lsn, u64),
}

/// Reading it walks over everything else: a record that is no JSON would make the node refuse its whole request.
#[derive(Deserialize)]
struct Head<'a> {
    action: &'a str,
}

impl Batcher {
    pub(crate) fn new(settings: &Settings, origin: &Origin) -> Self {
        Self {
            origin: format!(
                ",\"cluster\":{},\"database\":{}",
                serde_json::Value::from(origin.cluster.as_str()),
                serde_json::Value::from(origin.database.as_str())
            ),
            bytes_max: settings.request_bytes_max,
            changes_max: settings.request_changes_max,
            open: Batch::default(),
            in_transaction: false,
            run: (Lsn::default(), 0),
        }
    }

    /// Reads what the plugin wrote at a place.
    pub(crate) fn read(&mut self, at: Lsn, text: &[u8]) -> Result<Record, PumpError> {
        let head: Head<'_> =
            serde_json::from_slice(text).map_err(|error| PumpError::NotJson { at, reason: error.to_string() })?;
        Ok(match head.action {
            "B" => Record::Begin,
            "C" => Record::Commit,
            "I" | "U" | "D" | "T" => Record::Change(self.line(at, text)?),
            _ => Record::Other,
        })
    }

    /// The change with its origin; where several are at one place, with their number.
    fn line(&mut self, at: Lsn, text: &[u8]) -> Result<Vec<u8>, PumpError> {
        self.run = if self.run.0 == at { (at, self.run.1 + 1) } else { (at, 0) };
        let open = text.trim_ascii().strip_suffix(b"}").unwrap_or(text);
        let mut line = Vec::with_capacity(open.len() + self.origin.len() + 32);
        line.extend_from_slice(open);
        line.extend_from_slice(self.origin.as_bytes());
        if self.run.1 > 0 {
            line.extend_from_slice(format!(",\"ordinal\":{}", self.run.1).as_bytes());
        }
        line.extend_from_slice(b"}\n");
        match line.len() {
            bytes if bytes > Settings::RECORD_BYTES_MAX => {
                Err(PumpError::TooLarge { at, bytes, max: Settings::RECORD_BYTES_MAX })
            }
            _ => Ok(line),
        }
    }

    pub(crate) fn begin(&mut self) {
        self.in_transaction = true;
        self.run = (Lsn::default(), 0);
    }

    /// The transaction is whole: the answer to this batch confirms it.
    pub(crate) fn commit(&mut self, end: Lsn) {
        self.in_transaction = false;
        self.open.confirms = Some(end);
    }

    /// Everything below `end` was seen; confirmed with the batch, unless a transaction is half-way.
    pub(crate) fn seen(&mut self, end: Lsn) {
        if !self.in_transaction {
            self.open.confirms = self.open.confirms.max(Some(end));
        }
    }

    pub(crate) fn has_room(&self, line: &[u8]) -> bool {
        self.open.changes < self.changes_max && self.open.body.len() + line.len() <= self.bytes_max
    }

    pub(crate) fn push(&mut self, at: Lsn, line: &[u8]) {
        assert!(self.open.changes == 0 || self.has_room(line), "invariant: a full batch is sent first");
        if self.open.changes == 0 {
            self.open.places.start = at;
        }
        self.open.places.end = at;
        self.open.body.extend_from_slice(line);
        self.open.changes += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.changes == 0
    }

    pub(crate) fn take(&mut self) -> Batch {
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batcher() -> Batcher {
        let mut settings = Settings::new("postgres://db", "s", "http://n");
        (settings.request_bytes_max, settings.request_changes_max) = (200, 3);
        Batcher::new(&settings, &Origin { cluster: "7".into(), database: "a\"b".into() })
    }

    fn line(batcher: &mut Batcher, at: u64, text: &str) -> String {
        match batcher.read(Lsn(at), text.as_bytes()).unwrap() {
            Record::Change(line) => String::from_utf8(line).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const INSERT: &str = r#"{"action":"I","n":1.10}"#;

    #[test]
    fn changes_keep_their_bytes_and_get_their_origin_and_number() {
        let mut batcher = batcher();
        batcher.begin();
        let first = line(&mut batcher, 5, INSERT);
        assert_eq!(first, "{\"action\":\"I\",\"n\":1.10,\"cluster\":\"7\",\"database\":\"a\\\"b\"}\n");
        assert!(line(&mut batcher, 5, INSERT).ends_with(",\"ordinal\":1}\n"));
        assert!(line(&mut batcher, 5, INSERT).ends_with(",\"ordinal\":2}\n"));
        assert_eq!(line(&mut batcher, 6, INSERT), first);
        batcher.begin();
        assert_eq!(line(&mut batcher, 6, INSERT), first, "sent again from its beginning, a transaction counts the same");
    }

    #[test]
    fn begins_commits_and_messages_are_no_changes_and_nonsense_is_an_error() {
        let mut batcher = batcher();
        let mut read = |text: &str| batcher.read(Lsn(1), text.as_bytes());
        assert_eq!(read(r#"{"action":"B"}"#).unwrap(), Record::Begin);
        assert_eq!(read(r#"{"action":"C"}"#).unwrap(), Record::Commit);
        assert_eq!(read(r#"{"action":"M","content":"x"}"#).unwrap(), Record::Other);
        for nonsense in ["", "{", "[]", r#"{"action":"I","n":NaN}"#, r#"{"action":"I"} {}"#, r#"{"xid":1}"#] {
            assert!(matches!(read(nonsense), Err(PumpError::NotJson { at: Lsn(1), .. })), "{nonsense}");
        }
        let huge = format!(r#"{{"action":"I","n":"{}"}}"#, "x".repeat(Settings::RECORD_BYTES_MAX));
        assert!(matches!(read(&huge), Err(PumpError::TooLarge { .. })));
    }

    #[test]
    fn a_batch_is_bounded_and_confirms_whole_transactions_only() {
        let mut batcher = batcher();
        batcher.begin();
        assert!(batcher.has_room(&[0; 200]) && !batcher.has_room(&[0; 201]));
        (1..=3).for_each(|at| batcher.push(Lsn(at), b"{}\n"));
        assert!(!batcher.has_room(b"{}\n"), "three changes are the most");
        batcher.seen(Lsn(90));
        let half = batcher.take();
        assert_eq!((half.changes, half.places, half.confirms), (3, Lsn(1)..Lsn(3), None), "the transaction goes on");
        batcher.push(Lsn(4), b"{}\n");
        batcher.commit(Lsn(9));
        batcher.begin();
        batcher.push(Lsn(11), b"{}\n");
        let rest = batcher.take();
        assert_eq!((rest.changes, rest.confirms), (2, Some(Lsn(9))), "the next one is half-way");
        batcher.commit(Lsn(15));
        batcher.seen(Lsn(12));
        assert_eq!(batcher.take().confirms, Some(Lsn(15)), "never back");
    }
}
