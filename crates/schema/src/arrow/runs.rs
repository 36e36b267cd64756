//! Values that rows share: a run of rows with one value is put into its column at once.

use super::column::ColumnBuilder;
use crate::Value;
use crate::wire::Malformed;

/// Rows up to now have this value in a column, and are not yet told so.
#[derive(Clone, Copy)]
struct Run<'a> {
    slot: usize,
    from: usize,
    value: Value<'a>,
}

/// The open runs, in the order of the shared part that they come from.
pub(super) struct Runs<'a> {
    open: Vec<Run<'a>>,
    before: Vec<Run<'a>>,
    /// By place.
    is_open: Vec<bool>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(columns: usize) -> Self {
        Self { open: Vec::new(), before: Vec::new(), is_open: vec![false; columns] }
    }

    /// From this row on another part is shared. A value that it has in common with the last one goes on: parts of one source
    /// have the same columns in the same order, and differ in time and batch alone.
    pub(super) fn turn(
        &mut self,
        row: usize,
        values: &[(usize, Value<'a>)],
        columns: &mut [ColumnBuilder],
    ) -> Result<(), Malformed> {
        std::mem::swap(&mut self.open, &mut self.before);
        self.open.clear();
        for (place, (slot, value)) in values.iter().enumerate() {
            let last = self.before.get(place).filter(|run| run.slot == *slot && run.value.is_same(*value));
            self.open.push(Run { slot: *slot, from: last.map_or(row, |run| run.from), value: *value });
        }
        for (place, run) in self.before.iter().enumerate() {
            if self.open.get(place).is_none_or(|next| next.slot != run.slot || next.from != run.from || run.from == row) {
                columns[run.slot].put_run(run.from..row, run.value)?;
            }
        }
        self.before.iter().for_each(|run| self.is_open[run.slot] = false);
        self.open.iter().for_each(|run| self.is_open[run.slot] = true);
        Ok(())
    }

    /// A row says itself what is in this column.
    #[inline]
    pub(super) fn pass(&mut self, row: usize, slot: usize, columns: &mut [ColumnBuilder]) -> Result<(), Malformed> {
        if self.is_open[slot] {
            for run in self.open.iter_mut().filter(|run| run.slot == slot) {
                columns[slot].put_run(run.from..row, run.value)?;
                run.from = row + 1;
            }
        }
        Ok(())
    }
}
