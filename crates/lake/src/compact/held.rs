//! How much memory batches keep: of texts the whole pages that they are views of, however many share them.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef};

#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Where the buffers are that are counted.
    seen: HashSet<usize>,
    bytes: usize,
}

impl Held {
    pub(crate) fn by<'a>(columns: impl IntoIterator<Item = &'a ArrayRef>) -> Self {
        let mut held = Self::default();
        columns.into_iter().for_each(|column| held.add(column));
        held
    }

    pub(crate) fn add(&mut self, column: &ArrayRef) {
        let data = column.to_data();
        for buffer in data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())) {
            if self.seen.insert(buffer.data_ptr().as_ptr() as usize) {
                self.bytes += buffer.capacity();
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringViewArray;

    use super::*;
    use crate::compact::reader::copied;

    #[test]
    fn what_slices_share_counts_once_and_a_copy_counts_what_it_copies() {
        let page: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1_000).map(|n| format!("a text of row {n:010}"))));
        let (whole, slice) = (Held::by([&page]).bytes(), page.slice(10, 10));
        assert!(whole > 24 * 1_000, "{whole}");
        assert_eq!(Held::by([&page, &slice]).bytes(), whole);
        assert_eq!(Held::by([&slice]).bytes(), whole, "a slice keeps everything");
        let copy = copied(&slice);
        assert_eq!(&copy, &slice);
        assert!(Held::by([&copy]).bytes() < whole / 10, "{}", Held::by([&copy]).bytes());
    }
}
