//! A file of pages, each with a checksum of its own: a reader of one block reads and checks one page, not the file.
//!
//! The checksum is of the page's number and of whose file it is, too, so that a page in a wrong place is found like a flipped bit.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use crc32fast::Hasher;

use crate::filters::BLOCK_BYTES;

/// What a disk reads and a page cache holds at least.
pub(super) const PAGE_BYTES: usize = 4_096;
const CHECKSUM_BYTES: usize = size_of::<u32>();
/// Blocks of a page; what is left beside the checksum is nothing.
pub(super) const PAGE_BLOCKS: usize = (PAGE_BYTES - CHECKSUM_BYTES) / BLOCK_BYTES;
/// Bytes that a page holds.
pub(super) const HELD_BYTES: usize = PAGE_BLOCKS * BLOCK_BYTES;

pub(super) type Page = [u8; PAGE_BYTES];

/// Begins all checksums of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal(u32);

impl Seal {
    pub(super) fn of(path: &str, size: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&size.to_le_bytes());
        hasher.update(path.as_bytes());
        Self(hasher.finalize())
    }

    fn checksum(self, number: u64, held: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(&number.to_le_bytes());
        hasher.update(held);
        hasher.finalize().to_le_bytes()
    }

    /// A page as it was written.
    ///
    /// # Errors
    /// `InvalidData` or `UnexpectedEof` when it is not, else what the disk says.
    pub(super) fn read(self, file: &File, number: u64) -> io::Result<Page> {
        let mut page = [0; PAGE_BYTES];
        file.read_exact_at(&mut page, number * PAGE_BYTES as u64)?;
        let (held, checksum) = page.split_at(PAGE_BYTES - CHECKSUM_BYTES);
        if self.checksum(number, held) == checksum {
            return Ok(page);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("page {number} is not as it was written")))
    }
}

/// Cuts what is written into pages.
pub(super) struct Pages<W> {
    out: W,
    seal: Seal,
    number: u64,
    held: Vec<u8>,
}

impl<W: Write> Pages<W> {
    pub(super) fn new(out: W, seal: Seal) -> Self {
        Self { out, seal, number: 0, held: Vec::with_capacity(PAGE_BYTES) }
    }

    /// Ends the page, full or not.
    pub(super) fn end_page(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.held.resize(PAGE_BYTES - CHECKSUM_BYTES, 0);
        let checksum = self.seal.checksum(self.number, &self.held);
        self.held.extend_from_slice(&checksum);
        self.out.write_all(&self.held)?;
        self.held.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Pages<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(HELD_BYTES - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() == HELD_BYTES {
            self.end_page()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_page()?;
        self.out.flush()
    }
}
