//! Texts of an event that many look at, found once for all of them.

use std::ops::Range;
use std::sync::OnceLock;

use super::EventBatch;
use crate::Column;
use crate::row::{Projection, Value};
use crate::wire::Malformed;

/// What filters of streams look at; a thousand streams read the same batch.
pub const FILTERED: [Column; 5] = [Column::EventType, Column::EventName, Column::ServiceName, Column::TraceId, Column::SessionId];

/// Where the texts of one event stand in the body.
type Places = [Range<u32>; FILTERED.len()];

/// What is kept of each event.
pub(super) const EVENT_BYTES: usize = size_of::<Places>();

/// Of every event, once somebody asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(OnceLock<Result<Box<[Places]>, Malformed>>);

impl EventBatch {
    /// The text of the column at a place of [`FILTERED`]; empty where the event has none.
    ///
    /// # Errors
    /// [`Malformed`] when a row is not what the writer wrote.
    ///
    /// # Panics
    /// When `row` is not below [`Self::len`].
    pub fn texts<'a>(&'a self, row: usize) -> Result<impl Copy + Fn(usize) -> &'a str, Malformed> {
        let found = self.texts.0.get_or_init(|| find(self)).as_ref().map_err(|error| *error)?;
        let places = &found[row];
        let text = move |place: &Range<u32>| &self.body[place.start as usize..place.end as usize];
        Ok(move |place: usize| std::str::from_utf8(text(&places[place])).unwrap_or_default())
    }
}

fn find(batch: &EventBatch) -> Result<Box<[Places]>, Malformed> {
    let projection = Projection::new(&FILTERED);
    let start_of = |text: &str| u32::try_from(text.as_ptr().addr() - batch.body.as_ptr().addr());
    let of_row = |row: crate::Row<'_>| {
        let mut places = Places::default();
        row.visit(&projection, |slot, value| {
            if let Some(text) = Value::as_str(value)
                && let (Ok(start), Ok(bytes)) = (start_of(text), u32::try_from(text.len()))
            {
                places[slot] = start..start + bytes;
            }
        })?;
        Ok(places)
    };
    batch.rows().map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use crate::{BatchBuilder, Column, TenantId};

    #[test]
    fn texts_are_those_of_the_rows() {
        let mut builder = BatchBuilder::new(TenantId::default(), 0);
        for (name, session) in [("a", Some("s1")), ("name with ü", None)] {
            builder.row(None, |row| {
                row.str(Column::Id, "x");
                row.str(Column::EventType, "log");
                row.str(Column::EventName, name);
                row.int(Column::Timestamp, 1);
                session.into_iter().for_each(|session| row.str(Column::SessionId, session));
            });
        }
        let batch = builder.finish().unwrap();
        let told = |row| (0..super::FILTERED.len()).map(batch.texts(row).unwrap()).collect::<Vec<_>>();
        assert_eq!(told(0), ["log", "a", "", "", "s1"]);
        assert_eq!(told(1), ["log", "name with ü", "", "", ""]);
        let places = super::EVENT_BYTES + size_of::<crate::batch::RowPlace>();
        assert!(batch.memory_bytes() >= batch.body().len() + 2 * places, "{} bytes", batch.memory_bytes());
    }
}
