//! Runs of rows that the lake refused for good: kept in a folder with the reason, until they are replayed.
//!
//! A letter counts once its shard's log says that the run is staged (with fewer files than it has rows). Before that
//! its rows are still in the log, and a letter is what a crash left behind: it is written again or removed.

mod runs;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use watershed_schema::proto::{DeadLetter, DeadLetterBlock, DeadLetterFile};
use watershed_schema::{EventBatch, Row, Seq, ShardId};

use crate::Rows;

const ENDING: &str = "dead";
const CRC_BYTES: usize = 4;

/// The folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    folder: PathBuf,
}

impl DeadLetters {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Keeps rows, durably; a letter of the same run is replaced.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put(&self, rows: &Rows, reason: &str, attempts: u32, since_us: i64) -> io::Result<DeadLetter> {
        let about = DeadLetter {
            name: format!("{}-{}-{}", rows.shard, rows.from_seq, rows.to_seq),
            shard: u32::from(rows.shard.0),
            from_seq_inclusive: rows.from_seq.0,
            to_seq_exclusive: rows.to_seq.0,
            rows: rows.len() as u64,
            reason: reason.to_owned(),
            attempts,
            since_us,
        };
        let block = |(first, batch): &(Seq, Arc<EventBatch>)| DeadLetterBlock { first_seq: first.0, batch: Some(batch.seal()) };
        let letter = DeadLetterFile { about: Some(about.clone()), blocks: rows.blocks.iter().map(block).collect() };
        self.write(&about.name, &letter.encode_to_vec())?;
        Ok(about)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, draft) = (self.path(name), self.folder.join(format!("{name}.draft")));
        let mut file = File::create(&draft)?;
        file.write_all(&crc32fast::hash(bytes).to_le_bytes())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ENDING}"))
    }

    /// Letters of a shard whose run is staged, in order.
    ///
    /// # Errors
    /// What the disk says; a damaged letter is an error, never passed over.
    pub fn list(&self, shard: ShardId, staged: Seq) -> io::Result<Vec<DeadLetter>> {
        let counted = self.names(shard)?.into_iter().filter(|name| name.to_seq <= staged);
        counted.map(|name| Ok(read(&self.path(&name.text))?.about.unwrap_or_default())).collect()
    }

    /// Number of those letters; none is opened.
    ///
    /// # Errors
    /// What the disk says.
    pub fn count(&self, shard: ShardId, staged: Seq) -> io::Result<usize> {
        Ok(self.names(shard)?.iter().filter(|name| name.to_seq <= staged).count())
    }

    /// Removes what a crash left behind: letters of runs that are not staged.
    ///
    /// # Errors
    /// What the disk says.
    pub fn forget_unstaged(&self, shard: ShardId, staged: Seq) -> io::Result<()> {
        let names = self.names(shard)?;
        names.iter().filter(|name| name.to_seq > staged).try_for_each(|name| self.remove(&name.text))
    }

    /// The rows of a letter.
    ///
    /// # Errors
    /// What the disk says, or that the letter is damaged.
    pub fn rows(&self, name: &str) -> io::Result<Rows> {
        let letter = read(&self.path(name))?;
        let about = letter.about.unwrap_or_default();
        let block = |block: DeadLetterBlock| {
            let sealed = block.batch.ok_or_else(|| io::Error::other("a block without rows"))?;
            Ok((Seq(block.first_seq), Arc::new(EventBatch::open(&sealed).map_err(io::Error::other)?)))
        };
        let blocks = letter.blocks.into_iter().map(block).collect::<io::Result<_>>()?;
        Ok(Rows { shard: shard_of(&about), from_seq: Seq(about.from_seq_inclusive), to_seq: Seq(about.to_seq_exclusive), blocks })
    }

    /// Takes rows out of a letter, durably, and the letter away when none is left; how many there were.
    ///
    /// # Errors
    /// What the disk says, or that the letter is damaged.
    pub fn forget(&self, letter: &DeadLetter, goes: impl Fn(&Row<'_>) -> bool) -> io::Result<u64> {
        let mut rows = self.rows(&letter.name)?;
        let (before, mut blocks) = (rows.len(), Vec::new());
        for (first, batch) in std::mem::take(&mut rows.blocks) {
            // A number is a row's place in its batch, so a batch is cut where rows go.
            let kept = (0..batch.len()).filter(|row| !goes(&batch.row(*row))).collect::<Vec<_>>();
            for run in kept.chunk_by(|one, next| one + 1 == *next) {
                blocks.extend(batch.select(run).map(|part| (Seq(first.0 + run[0] as u64), Arc::new(part))));
            }
        }
        rows.blocks = blocks;
        match rows.len() {
            left if left == before => return Ok(0),
            0 => self.remove(&letter.name)?,
            _ => drop(self.put(&rows, &letter.reason, letter.attempts, letter.since_us)?),
        }
        Ok((before - rows.len()) as u64)
    }

    /// Removes a letter, durably; one that is gone is fine.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(&self.folder)?.sync_all(),
        }
    }

    fn names(&self, shard: ShardId) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(Name::of(&entry?.path()).filter(|name| name.shard == shard));
        }
        names.sort_by_key(|name| name.from_seq);
        Ok(names)
    }
}

/// What a file's name says.
struct Name {
    text: String,
    shard: ShardId,
    from_seq: Seq,
    to_seq: Seq,
}

impl Name {
    fn of(path: &Path) -> Option<Self> {
        let text = path.extension().filter(|ending| *ending == ENDING).and_then(|_| path.file_stem()?.to_str())?;
        let mut numbers = text.split('-').map(str::parse::<u64>);
        let mut number = || numbers.next()?.ok();
        let shard = ShardId(u16::try_from(number()?).ok()?);
        Some(Self { text: text.to_owned(), shard, from_seq: Seq(number()?), to_seq: Seq(number()?) })
    }
}

fn shard_of(about: &DeadLetter) -> ShardId {
    ShardId(u16::try_from(about.shard).unwrap_or(u16::MAX))
}

fn read(path: &Path) -> io::Result<DeadLetterFile> {
    let damaged = || io::Error::other(format!("{} is damaged", path.display()));
    let bytes = Bytes::from(fs::read(path)?);
    let (crc, rest) = bytes.split_first_chunk::<CRC_BYTES>().ok_or_else(damaged)?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
        return Err(damaged());
    }
    DeadLetterFile::decode(bytes.slice(CRC_BYTES..)).map_err(io::Error::other)
}
