//! Bloom filters of a data file, one for each row group and column of ids, and what is looked for in them.
//!
//! A value sets and asks bits of one block of 32 bytes alone (split-block filters, as Parquet has them): who knows which block
//! that is needs no more of a filter.

use std::ops::Range;

use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use twox_hash::XxHash64;
use watershed_schema::Column;

use crate::encoding::FILTERED;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = size_of::<[u32; 8]>();
/// Parquet's.
const SEED: u64 = 0;

/// Of one column, for each row group; `None` where a row group has none.
pub(crate) type OfColumn = Vec<Option<Sbbf>>;

/// Of a file: for each row group those of [`FILTERED`], in this order.
#[derive(Debug)]
pub(crate) struct OfFile {
    pub(crate) groups: Vec<Vec<Option<Sbbf>>>,
}

/// One of these values in a column.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) column: Column,
    /// The column's place in [`FILTERED`].
    pub(crate) place: usize,
    /// By their hashes, so by the blocks that they are in.
    pub(crate) values: Vec<Value>,
}

#[derive(Debug)]
pub(crate) struct Value {
    hash: u64,
    text: String,
}

impl Wanted {
    /// What filters can say something about.
    pub(crate) fn of(ids: &[(Column, Vec<String>)]) -> Vec<Self> {
        let of = |(column, values): &(Column, Vec<String>)| {
            let place = FILTERED.iter().position(|filtered| filtered == column)?;
            let mut values: Vec<Value> = values.iter().map(|text| Value::of(text)).collect();
            values.sort_unstable_by_key(|value| value.hash);
            Some(Self { column: *column, place, values })
        };
        ids.iter().filter_map(of).collect()
    }

    /// Whether a file with these filters may hold one of the values.
    pub(crate) fn may_be_in<'a>(&self, mut filters: impl Iterator<Item = Option<&'a Sbbf>>) -> bool {
        filters.any(|filter| filter.is_none_or(|filter| self.values.iter().any(|value| filter.check(value.text.as_str()))))
    }
}

impl Value {
    fn of(text: &str) -> Self {
        Self { hash: XxHash64::oneshot(SEED, text.as_bytes()), text: text.to_owned() }
    }

    /// Which block of so many is the value's.
    pub(crate) fn block(&self, blocks: u32) -> u64 {
        ((self.hash >> 32) * u64::from(blocks)) >> 32
    }

    /// Whether it may have been put into its block. A filter of one block asks nothing else.
    pub(crate) fn may_be_in_block(&self, block: &[u8]) -> bool {
        Sbbf::new(block).check(self.text.as_str())
    }
}

impl OfFile {
    /// From the end of a file that begins at `from`; none when they do not lie there as the footer says.
    pub(crate) fn in_tail(tail: &Bytes, from: u64, footer: &ParquetMetaData) -> Option<Self> {
        let slice = |range: &Range<u64>| {
            let at = |of: u64| usize::try_from(of.checked_sub(from)?).ok().filter(|at| *at <= tail.len());
            let (start, end) = (at(range.start)?, at(range.end)?);
            (start <= end).then(|| tail.slice(start..end))
        };
        let parts: Option<Vec<Bytes>> = ranges(footer).iter().map(slice).collect();
        Self::of(footer, parts?).ok()
    }

    /// From the bytes of all of them, in the order of [`ranges`].
    pub(crate) fn of(footer: &ParquetMetaData, parts: Vec<Bytes>) -> Result<Self, ParquetError> {
        let mut parts = parts.into_iter();
        let mut filter = |range: Option<Range<u64>>| match range.and_then(|_| parts.next()) {
            Some(bytes) => Sbbf::from_bytes(&bytes).map(Some),
            None => Ok(None),
        };
        let mut groups = Vec::with_capacity(footer.num_row_groups());
        for group in footer.row_groups() {
            let ranges = FILTERED.map(|column| range_in(group.columns(), column));
            groups.push(ranges.into_iter().map(&mut filter).collect::<Result<_, _>>()?);
        }
        Ok(Self { groups })
    }

    pub(crate) fn may_hold(&self, wanted: &[Wanted]) -> bool {
        wanted.iter().all(|wanted| wanted.may_be_in(self.groups.iter().map(|group| group[wanted.place].as_ref())))
    }

    /// Those of one column.
    pub(crate) fn column(&self, place: usize) -> OfColumn {
        self.groups.iter().map(|group| group[place].clone()).collect()
    }
}

/// Where all filters of a file lie.
pub(crate) fn ranges(footer: &ParquetMetaData) -> Vec<Range<u64>> {
    let of_group = |columns| FILTERED.into_iter().filter_map(move |column| range_in(columns, column));
    footer.row_groups().iter().flat_map(|group| of_group(group.columns())).collect()
}

/// Where a column's filter lies in a row group; writers of old do not say how long it is.
pub(crate) fn range_in(columns: &[ColumnChunkMetaData], column: Column) -> Option<Range<u64>> {
    let chunk = columns.iter().find(|chunk| chunk.column_path().string() == column.name())?;
    let from = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
    let bytes = u64::try_from(chunk.bloom_filter_length()?).ok()?;
    Some(from..from + bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block and hash are the library's own, or rows would be hidden.
    #[test]
    fn a_values_block_alone_says_what_the_whole_filter_says() {
        for bytes in [32, 64, 1_024, 65_536] {
            let mut filter = Sbbf::new_with_num_of_bytes(bytes);
            (0..bytes / 4).for_each(|n| filter.insert(format!("trace {n}").as_str()));
            let mut blocks = Vec::new();
            filter.write_bitset(&mut blocks).unwrap();
            let count = u32::try_from(filter.num_blocks()).unwrap();
            for n in 0..bytes {
                let value = Value::of(&format!("trace {n}"));
                let from = usize::try_from(value.block(count)).unwrap() * BLOCK_BYTES;
                let said = value.may_be_in_block(&blocks[from..from + BLOCK_BYTES]);
                assert_eq!(said, filter.check(value.text.as_str()), "{n} of {bytes} bytes");
                assert!(said || n >= bytes / 4, "{n} was put in");
            }
        }
    }
}
