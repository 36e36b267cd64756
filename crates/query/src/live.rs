//! Aggregates over events as they come: tumbling windows of the events' own time, each told once when it closes.
//!
//! A window's state is one accumulator for each aggregate, DataFusion's own, over its groups: events are added to it and not
//! kept. Must not know where events come from, or what time it is.

mod compile;
mod shape;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{Column, Row, Seq, ShardId};

use crate::QueryError;
use compile::internal;
use window::Window;

pub use compile::LiveQuery;

/// What the open windows of a live query may hold.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// Windows.
    pub windows: usize,
    /// Groups of all windows.
    pub groups: usize,
    /// Bytes of accumulators and groups.
    pub bytes: usize,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self { windows: 1_000, groups: 100_000, bytes: 64 << 20 }
    }
}

/// The open windows of a live query.
#[derive(Debug)]
pub struct Windows {
    query: Arc<LiveQuery>,
    every_us: i64,
    limits: LiveLimits,
    /// By their begin.
    open: BTreeMap<i64, Window>,
    /// Windows that begin before are closed.
    closed_us: i64,
    late: u64,
}

impl Windows {
    /// Windows of `every_us` microseconds, which begin at its multiples since 1970, like those of
    /// `date_bin(INTERVAL …, timestamp)`.
    ///
    /// # Panics
    /// When `every_us` is not positive.
    #[must_use]
    pub fn new(query: LiveQuery, every_us: i64, limits: LiveLimits) -> Self {
        assert!(every_us > 0, "a window has a length");
        Self { query: Arc::new(query), every_us, limits, open: BTreeMap::new(), closed_us: i64::MIN, late: 0 }
    }

    /// The same, of a query that ran before: windows that begin before `closed_us` are closed, `late` events were late.
    #[must_use]
    pub fn resumed(self, closed_us: i64, late: u64) -> Self {
        Self { closed_us, late, ..self }
    }

    /// Windows that begin before this time are closed.
    #[must_use]
    pub fn closed_us(&self) -> i64 {
        self.closed_us
    }

    /// Columns of the rows: `window_start`, `window_end`, then what is selected.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.query.schema()
    }

    /// Events that met the condition after their window was closed, since the beginning: they are in no row.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// When the last open window ends.
    #[must_use]
    pub fn end_us(&self) -> Option<i64> {
        self.open.keys().next_back().map(|start| start + self.every_us)
    }

    /// Adds events.
    ///
    /// # Errors
    /// [`QueryError::InvalidSql`] when an expression cannot be computed, [`QueryError::LiveLimit`] and
    /// [`QueryError::Memory`] when there are too many windows or groups.
    pub fn add<'a>(&mut self, rows: impl IntoIterator<Item = (ShardId, Seq, Row<'a>)>) -> Result<(), QueryError> {
        let mut columns = ColumnsBuilder::new(self.query.columns());
        columns.extend(rows).map_err(|error| QueryError::Internal(format!("row in the log: {error}")))?;
        let rows = columns.finish();
        let rows = filter_record_batch(&rows, &self.query.condition(&rows)?).map_err(internal)?;
        for (start, rows) in self.by_window(&rows)? {
            let window = match self.open.get_mut(&start) {
                Some(window) => window,
                None => self.open.entry(start).or_insert(Window::new(&self.query)?),
            };
            window.add(&self.query, &rows)?;
            self.check()?;
        }
        Ok(())
    }

    /// Parts rows by window; those that are late are counted.
    fn by_window(&mut self, rows: &RecordBatch) -> Result<BTreeMap<i64, RecordBatch>, QueryError> {
        let times = rows.column_by_name(Column::Timestamp.name()).expect("invariant: a live query reads the time");
        let mut places: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (place, at) in (0..).zip(times.as_primitive::<TimestampMicrosecondType>().values()) {
            let start = at - at.rem_euclid(self.every_us);
            if start < self.closed_us {
                self.late += 1;
            } else {
                places.entry(start).or_default().push(place);
            }
        }
        let part = |(start, places): (i64, Vec<u32>)| {
            let part = arrow::compute::take_record_batch(rows, &UInt32Array::from(places)).map_err(internal)?;
            Ok((start, part))
        };
        places.into_iter().map(part).collect()
    }

    fn check(&self) -> Result<(), QueryError> {
        let LiveLimits { windows, groups, bytes } = self.limits;
        if self.open.len() > windows {
            return Err(QueryError::LiveLimit { what: "windows", limit: windows });
        }
        if self.open.values().map(Window::groups).sum::<usize>() > groups {
            return Err(QueryError::LiveLimit { what: "groups", limit: groups });
        }
        if self.open.values().map(Window::bytes).sum::<usize>() > bytes {
            return Err(QueryError::Memory { limit: bytes, message: "state of the open windows".to_owned() });
        }
        Ok(())
    }

    /// Closes the windows that end at or before a time; their rows, in the order of windows and groups.
    ///
    /// # Errors
    /// [`QueryError::InvalidSql`] when what is selected cannot be computed.
    pub fn close(&mut self, until_us: i64) -> Result<Vec<RecordBatch>, QueryError> {
        self.closed_us = self.closed_us.max(until_us - until_us.rem_euclid(self.every_us));
        let open = self.open.split_off(&self.closed_us);
        let closed = std::mem::replace(&mut self.open, open);
        closed.into_iter().map(|(start, window)| window.rows(&self.query, (start, start + self.every_us))).collect()
    }
}
