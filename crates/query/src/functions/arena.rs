//! What aggregates keep of all groups: flat columns beside the number of the group, put in order once at the end.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::StringArray;
use datafusion::common::{Result, resources_err};
use datafusion::logical_expr::EmitTo;

/// Places behind each group's in [`Grouped::order`].
#[derive(Debug)]
pub(super) struct Grouped<T> {
    pub(super) rows: Vec<T>,
    /// Indices of `rows`, group by group, as they came within a group.
    pub(super) order: Vec<u32>,
    /// Where each group begins in `order`, and where the last ends: one more than there are groups.
    pub(super) bounds: Vec<u32>,
}

/// Rows of many groups.
#[derive(Debug)]
pub(super) struct Arena<T> {
    groups: Vec<u32>,
    rows: Vec<T>,
    total: usize,
}

/// Rows that one aggregate can hold: their places are 32 bits in Arrow's lists.
const ROWS_MAX: usize = i32::MAX as usize;

impl<T: Copy> Arena<T> {
    pub(super) fn new() -> Self {
        Self { groups: Vec::new(), rows: Vec::new(), total: 0 }
    }

    /// There are so many groups now.
    pub(super) fn grow(&mut self, total: usize) {
        self.total = self.total.max(total);
    }

    pub(super) fn push(&mut self, group: usize, row: T) -> Result<()> {
        if self.rows.len() >= ROWS_MAX {
            return resources_err!("more than {ROWS_MAX} events in one aggregate");
        }
        self.groups.push(narrow(group));
        self.rows.push(row);
        Ok(())
    }

    /// Bytes, with those that [`Self::take`] needs to put the rows in order.
    pub(super) fn size(&self) -> usize {
        let order = self.rows.len() * size_of::<u32>() + (self.total + 1) * size_of::<u32>();
        self.groups.capacity() * size_of::<u32>() + self.rows.capacity() * size_of::<T>() + order
    }

    /// Bytes of one more copy of all rows: what working on the largest group may take.
    pub(super) fn longest_bytes(&self) -> usize {
        self.rows.len() * size_of::<T>()
    }

    /// Takes the rows of the first groups out; the others move to the front.
    pub(super) fn take(&mut self, emit: EmitTo) -> Grouped<T> {
        let count = match emit {
            EmitTo::All => self.total,
            EmitTo::First(count) => count.min(self.total),
        };
        let (groups, rows) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.rows));
        if count == self.total {
            self.total = 0;
            return grouped(&groups, rows, count);
        }
        self.total -= count;
        let (mut out_groups, mut out_rows) = (Vec::new(), Vec::new());
        for (group, row) in groups.into_iter().zip(rows) {
            match group.checked_sub(narrow(count)) {
                Some(later) => {
                    self.groups.push(later);
                    self.rows.push(row);
                }
                None => {
                    out_groups.push(group);
                    out_rows.push(row);
                }
            }
        }
        grouped(&out_groups, out_rows, count)
    }
}

/// Counting sort by group; keeps the order within a group.
fn grouped<T>(groups: &[u32], rows: Vec<T>, count: usize) -> Grouped<T> {
    let mut bounds = vec![0_u32; count + 1];
    groups.iter().for_each(|group| bounds[*group as usize + 1] += 1);
    (1..=count).for_each(|group| bounds[group] += bounds[group - 1]);
    let (mut next, mut order) = (bounds.clone(), vec![0_u32; rows.len()]);
    for (index, group) in groups.iter().enumerate() {
        let place = &mut next[*group as usize];
        order[*place as usize] = narrow(index);
        *place += 1;
    }
    Grouped { rows, order, bounds }
}

impl<T> Grouped<T> {
    /// Indices of each group's rows.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.bounds.windows(2).map(|ends| &self.order[ends[0] as usize..ends[1] as usize])
    }

    /// A column of all rows, group by group.
    pub(super) fn column<V>(&self, value: impl Fn(&T) -> V) -> impl Iterator<Item = V> {
        self.order.iter().map(move |index| value(&self.rows[*index as usize]))
    }

    /// Rows of each group.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.bounds.windows(2).map(|ends| (ends[1] - ends[0]) as usize)
    }
}

/// Group and row numbers: there are fewer than 2^31 of them.
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("invariant: at most ROWS_MAX rows")
}

/// Texts as numbers; 0 stands for none.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: HashMap<Arc<str>, u32>,
    all: Vec<Arc<str>>,
    bytes: usize,
}

impl Texts {
    /// The numbers of a column's values.
    pub(super) fn code(&mut self, values: &StringArray, row: usize) -> u32 {
        use arrow::array::Array as _;
        if values.is_null(row) {
            return 0;
        }
        let text = values.value(row);
        if let Some(code) = self.known.get(text) {
            return *code;
        }
        let text: Arc<str> = text.into();
        self.bytes += text.len() + 2 * size_of::<Arc<str>>() + 2 * size_of::<usize>() + size_of::<u32>();
        self.all.push(Arc::clone(&text));
        let code = narrow(self.all.len());
        self.known.insert(text, code);
        code
    }

    pub(super) fn text(&self, code: u32) -> Option<&str> {
        (code as usize).checked_sub(1).map(|index| &*self.all[index])
    }

    pub(super) fn size(&self) -> usize {
        self.bytes * 2
    }
}
