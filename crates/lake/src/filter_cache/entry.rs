//! A data file's filters as a file of this machine: a page that says whose they are and how long, then all blocks behind each other.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use parquet::bloom_filter::Sbbf;
use serde::{Deserialize, Serialize};

use super::Key;
use super::pages::{HELD_BYTES, PAGE_BLOCKS, PAGE_BYTES, Page, Pages, Seal};
use crate::encoding::FILTERED;
use crate::filters::{BLOCK_BYTES, OfFile, Wanted};

/// Counts up when files of before cannot be read any more.
const FORM: u32 = 1;
/// Before the head, in its page.
const LENGTH_BYTES: usize = size_of::<u32>();

#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    path: String,
    size: u64,
    columns: Vec<String>,
    /// Blocks of each row group and column; none where there is no filter.
    groups: Vec<Vec<Option<u32>>>,
}

/// Filters on the disk.
pub(super) struct Entry {
    file: File,
    seal: Seal,
    head: Head,
}

impl Entry {
    /// # Errors
    /// `InvalidData` or `UnexpectedEof` when it is damaged or says something else, else what the disk says.
    pub(super) fn open(at: &Path, key: &Key) -> io::Result<Self> {
        let (file, seal) = (File::open(at)?, Seal::of(&key.path, key.size));
        let head = head(&seal.read(&file, 0)?)?;
        let is_ours = head.form == FORM && head.path == key.path && head.size == key.size && head.columns == columns();
        if is_ours { Ok(Self { file, seal, head }) } else { Err(damaged("it is of another file or build")) }
    }

    /// Whether the data file may hold one value of each.
    ///
    /// # Errors
    /// Like [`Entry::open`].
    pub(super) fn may_hold(&self, wanted: &[Wanted]) -> io::Result<bool> {
        for one in wanted {
            if !self.may_hold_one(one)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_hold_one(&self, wanted: &Wanted) -> io::Result<bool> {
        let mut from = 0;
        for group in &self.head.groups {
            for (place, blocks) in group.iter().enumerate() {
                match blocks {
                    None if place == wanted.place => return Ok(true),
                    Some(blocks) if place == wanted.place && self.is_in(wanted, from, *blocks)? => return Ok(true),
                    _ => from += u64::from(blocks.unwrap_or(0)),
                }
            }
        }
        Ok(false)
    }

    /// Whether one of the values may be in the filter that begins with this block. Values are in the order of their blocks, so
    /// no page is read twice.
    fn is_in(&self, wanted: &Wanted, from: u64, blocks: u32) -> io::Result<bool> {
        let mut last: Option<(u64, Page)> = None;
        for value in &wanted.values {
            let block = from + value.block(blocks);
            let (number, place) = (1 + block / PAGE_BLOCKS as u64, block % PAGE_BLOCKS as u64);
            if last.as_ref().is_none_or(|(read, _)| *read != number) {
                last = Some((number, self.seal.read(&self.file, number)?));
            }
            let at = usize::try_from(place).map_err(io::Error::other)? * BLOCK_BYTES;
            if last.as_ref().is_some_and(|(_, page)| value.may_be_in_block(&page[at..at + BLOCK_BYTES])) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// For the time of its last use.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// Bytes on the disk.
pub(super) fn bytes(filters: &OfFile) -> u64 {
    let blocks: usize = filters.groups.iter().flatten().flatten().map(Sbbf::num_blocks).sum();
    ((1 + blocks.div_ceil(PAGE_BLOCKS)) * PAGE_BYTES) as u64
}

/// Writes them. A file of so many row groups that the head does not fit into a page is none of ours, and an error.
pub(super) fn write(file: File, key: &Key, filters: &OfFile) -> io::Result<()> {
    let blocks = |filter: &Option<Sbbf>| u32::try_from(filter.as_ref()?.num_blocks()).ok();
    let groups = filters.groups.iter().map(|group| group.iter().map(blocks).collect()).collect();
    let head = Head { form: FORM, path: key.path.clone(), size: key.size, columns: columns(), groups };
    let head = serde_json::to_vec(&head)?;
    if LENGTH_BYTES + head.len() > HELD_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("its head has {} bytes", head.len())));
    }
    let mut pages = Pages::new(BufWriter::new(file), Seal::of(&key.path, key.size));
    pages.write_all(&u32::try_from(head.len()).map_err(io::Error::other)?.to_le_bytes())?;
    pages.write_all(&head)?;
    pages.end_page()?;
    for filter in filters.groups.iter().flatten().flatten() {
        filter.write_bitset(&mut pages).map_err(io::Error::other)?;
    }
    pages.flush()
}

fn head(page: &Page) -> io::Result<Head> {
    let (length, rest) = page.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| damaged("no length"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
    let head = rest.get(..length).ok_or_else(|| damaged("longer than a page"))?;
    Ok(serde_json::from_slice(head)?)
}

fn columns() -> Vec<String> {
    FILTERED.map(|column| column.name().to_owned()).into()
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
