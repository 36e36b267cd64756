//! The memory that columns decode into, shared by those that are worked on at once.

use std::sync::{Condvar, Mutex, PoisonError};

use super::source::Source;

/// What a column is given, of all there is: enough for a batch of each input.
const LEAST_SHARE: usize = 8;

/// How one column is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Most bytes of decoded values at a time; one page more while it is copied.
    pub(crate) bytes_max: usize,
    /// Whether every input may keep the page that it is in. Else values are copied, and a page is decoded several times.
    pub(crate) keeps_pages: bool,
}

impl Plan {
    /// For a column of these inputs, when there are so many bytes for all columns.
    pub(crate) fn of<'a>(sources: impl IntoIterator<Item = &'a Source>, id: i32, bytes_max: usize) -> Self {
        Self::for_pages(sources.into_iter().map(|source| source.page_bytes(id)).sum(), bytes_max)
    }

    fn for_pages(pages_bytes: usize, bytes_max: usize) -> Self {
        // Where a batch ends, an input is in two pages.
        let wanted = pages_bytes / 4 * 5;
        if wanted <= bytes_max {
            Self { bytes_max: wanted.max(bytes_max / LEAST_SHARE), keeps_pages: true }
        } else {
            Self { bytes_max: bytes_max / 2, keeps_pages: false }
        }
    }
}

/// What is left for those that come next.
#[derive(Debug)]
pub(crate) struct Memory {
    left: Mutex<usize>,
    given_back: Condvar,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: Mutex::new(bytes), given_back: Condvar::new() }
    }

    /// Waits until there is as much, which must not be more than there is in all.
    pub(crate) fn take(&self, bytes: usize) -> Taken<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.given_back.wait_while(left, |left| *left < bytes).unwrap_or_else(PoisonError::into_inner);
        *left -= bytes;
        Taken { memory: self, bytes }
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.memory.left.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.memory.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn pages_that_do_not_fit_are_not_kept() {
        assert_eq!(Plan::for_pages(0, 800), Plan { bytes_max: 100, keeps_pages: true });
        assert_eq!(Plan::for_pages(640, 800), Plan { bytes_max: 800, keeps_pages: true });
        assert_eq!(Plan::for_pages(644, 800), Plan { bytes_max: 400, keeps_pages: false });
    }

    #[test]
    fn who_wants_more_than_is_left_waits() {
        let memory = Memory::new(10);
        let (first, (told, hears)) = (memory.take(7), mpsc::channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                let taken = memory.take(4);
                told.send(taken.bytes).expect("hears");
            });
            drop(memory.take(3));
            assert!(hears.try_recv().is_err(), "seven are taken");
            drop(first);
            assert_eq!(hears.recv(), Ok(4));
        });
        drop(memory.take(10));
    }
}
