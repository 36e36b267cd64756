//! In which order the rows of sorted files follow each other, told by their keys alone. Two bytes a row.

use std::collections::VecDeque;

use arrow::buffer::BooleanBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, Rows, SortField};
use iceberg::spec::{NullOrder, SortDirection};

use super::column::Target;
use super::reader::Reader;
use super::source::{Batch, Chunks, Source};
use crate::{LakeError, schema};

/// Most inputs of a merge.
pub(crate) const INPUTS_MAX: usize = (LEFT_OUT - 1) as usize;
/// Beside an input: its next row goes nowhere.
const LEFT_OUT: u16 = 1 << 15;

/// Of which input the next row is, for all rows.
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<u16>);

/// The next row of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) input: usize,
    pub(crate) is_kept: bool,
}

impl Order {
    /// Merges inputs, each of which is sorted; of equal rows, those of the first input first.
    pub(crate) fn merged(sources: &[(&Source, &Chunks)], to: &Target, decoded_bytes_max: usize) -> Result<Self, LakeError> {
        let keys = Keys::of(to)?;
        let pages = |(id, _): &(i32, FieldRef)| sources.iter().map(|(source, _)| source.page_bytes(*id)).sum::<usize>();
        let keeps_pages = keys.columns.iter().map(pages).sum::<usize>() <= decoded_bytes_max / 2;
        // Keys are copies of what is decoded, in a form of their own.
        let batch = Batch { from_row: 0, bytes: decoded_bytes_max / (4 * sources.len().max(1)), rows_max: KEY_ROWS_MAX };
        let mut inputs = Vec::with_capacity(sources.len());
        for (source, chunks) in sources {
            let rows = Reader::new(source, chunks, &keys.columns, batch);
            inputs.push(Input { rows, keeps_pages, keys: keys.converter.empty_rows(0, 0), at: 0 });
        }
        Merge { inputs, queue: VecDeque::with_capacity(sources.len()) }.run(&keys)
    }

    /// All rows of one input but these.
    pub(crate) fn without(gone: &BooleanBuffer) -> Self {
        Self(gone.iter().map(|gone| if gone { LEFT_OUT } else { 0 }).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Next> {
        self.0.iter().map(|next| Next { input: usize::from(next & !LEFT_OUT), is_kept: next & LEFT_OUT == 0 })
    }

    /// Rows that are kept.
    pub(crate) fn rows(&self) -> usize {
        self.iter().filter(|next| next.is_kept).count()
    }

    /// Cut into runs of so many kept rows, each with the rows of every input that come before it.
    pub(crate) fn cut(&self, inputs: usize, rows: usize) -> Vec<Part<'_>> {
        let (mut parts, mut from, mut before, mut kept) = (Vec::new(), 0, vec![0; inputs], 0);
        let mut seen = before.clone();
        for (at, next) in self.iter().enumerate() {
            seen[next.input] += 1;
            kept += usize::from(next.is_kept);
            if kept == rows || at + 1 == self.0.len() {
                parts.push(Part { order: &self.0[from..=at], rows: kept, before: std::mem::replace(&mut before, seen.clone()) });
                (from, kept) = (at + 1, 0);
            }
        }
        parts.retain(|part| part.rows > 0);
        parts
    }
}

/// A run of the order.
pub(crate) struct Part<'a> {
    order: &'a [u16],
    pub(crate) rows: usize,
    /// Rows of each input that come before it.
    pub(crate) before: Vec<usize>,
}

impl Part<'_> {
    /// The next row, and how many that follow are of the same input and kept or not as it is, itself among them.
    pub(crate) fn run(&self, place: usize, rows_max: usize) -> Option<(Next, usize)> {
        let next = self.at(place)?;
        let rest = self.order[place..].iter().take(rows_max);
        Some((next, rest.take_while(|other| **other == self.order[place]).count()))
    }

    pub(crate) fn at(&self, place: usize) -> Option<Next> {
        let next = self.order.get(place)?;
        Some(Next { input: usize::from(next & !LEFT_OUT), is_kept: next & LEFT_OUT == 0 })
    }
}

/// How the table sorts.
struct Keys {
    converter: RowConverter,
    columns: Vec<(i32, FieldRef)>,
}

impl Keys {
    fn of(to: &Target) -> Result<Self, LakeError> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for sort in schema::sort_order().fields {
            let missing = || ArrowError::SchemaError(format!("the table has no column {}", sort.source_id));
            let field = to.field(sort.source_id).ok_or_else(missing)?;
            let options = SortOptions {
                descending: sort.direction == SortDirection::Descending,
                nulls_first: sort.null_order == NullOrder::First,
            };
            fields.push(SortField::new_with_options(field.data_type().clone(), options));
            columns.push((sort.source_id, field));
        }
        Ok(Self { converter: RowConverter::new(fields)?, columns })
    }
}

/// The keys of one file, a batch at a time.
struct Input<'a> {
    rows: Reader<'a>,
    keeps_pages: bool,
    keys: Rows,
    at: usize,
}

/// Rows whose keys are decoded at a time.
const KEY_ROWS_MAX: usize = 1_024;

impl Input<'_> {
    /// Reads the next keys; whether there are any.
    fn advance(&mut self, keys: &Keys) -> Result<bool, LakeError> {
        let Some(columns) = self.rows.next()? else { return Ok(false) };
        (self.keys, self.at) = (keys.converter.convert_columns(&columns)?, 0);
        if !self.keeps_pages {
            self.rows.rest();
        }
        Ok(true)
    }

    fn key(&self) -> Row<'_> {
        self.keys.row(self.at)
    }
}

struct Merge<'a> {
    inputs: Vec<Input<'a>>,
    /// Inputs with rows left, by the key of their next row.
    queue: VecDeque<usize>,
}

impl Merge<'_> {
    fn run(mut self, keys: &Keys) -> Result<Order, LakeError> {
        let mut order = Vec::new();
        for input in 0..self.inputs.len() {
            self.refill(input, keys)?;
        }
        while let Some(input) = self.queue.pop_front() {
            order.push(u16::try_from(input).unwrap_or(LEFT_OUT));
            self.inputs[input].at += 1;
            if self.inputs[input].at == self.inputs[input].keys.num_rows() {
                self.refill(input, keys)?;
            } else {
                self.queue(input);
            }
        }
        Ok(Order(order))
    }

    fn refill(&mut self, input: usize, keys: &Keys) -> Result<(), LakeError> {
        if self.inputs[input].advance(keys)? {
            self.queue(input);
        }
        Ok(())
    }

    fn queue(&mut self, input: usize) {
        let inputs = &self.inputs;
        let key = (inputs[input].key(), input);
        // Rows of one trace lie beside each other: mostly the next row is the next of all.
        if self.queue.front().is_none_or(|first| key < (inputs[*first].key(), *first)) {
            return self.queue.push_front(input);
        }
        let at = self.queue.partition_point(|other| (inputs[*other].key(), *other) < key);
        self.queue.insert(at, input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_say_what_is_before_them() {
        let order = Order(vec![0, 1, 1 | LEFT_OUT, 1, LEFT_OUT, 0]);
        assert_eq!(order.rows(), 4);
        let parts = order.cut(2, 3);
        let told: Vec<_> = parts.iter().map(|part| (part.rows, part.before.clone(), part.order.len())).collect();
        assert_eq!(told, [(3, vec![0, 0], 4), (1, vec![1, 3], 2)]);
        assert_eq!(parts[1].at(0), Some(Next { input: 0, is_kept: false }));
        assert_eq!(parts[1].at(2), None);
        let run = |place, rows_max| parts[0].run(place, rows_max).map(|(next, rows)| (next.input, next.is_kept, rows));
        assert_eq!(
            [run(0, 9), run(1, 9), run(3, 9), run(4, 9)],
            [Some((0, true, 1)), Some((1, true, 1)), Some((1, true, 1)), None]
        );
        let order = Order(vec![7; 5]);
        assert_eq!(order.cut(8, 9)[0].run(1, 3).map(|(_, rows)| rows), Some(3));
    }

    #[test]
    fn rows_that_go_leave_the_others_in_order() {
        let order = Order::without(&BooleanBuffer::from(vec![true, false, true]));
        assert_eq!(order.iter().map(|next| next.is_kept).collect::<Vec<_>>(), [false, true, false]);
    }
}
