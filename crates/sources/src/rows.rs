//! Records of a JSON request on their way to rows: ids, times, system columns and rejects, the same for every source.

use serde_json::value::RawValue;
use watershed_schema::{BatchBuilder, Column, EventType, EventWriter, Kind, Shared};

use crate::ids::{RequestDigest, id_in};
use crate::json::{Object, with_member};
use crate::system::{EventTime, storable, write_shared};
use crate::{Context, Fault, InvalidRequest, Reject, Rejects, Transformed};

/// The rows of one request.
pub(crate) struct Rows<'c> {
    context: &'c Context,
    source: &'static str,
    digest: RequestDigest,
    builder: BatchBuilder,
    shared: Vec<(&'static str, EventType, Shared)>,
    rejects: Rejects,
    records: u64,
}

impl<'c> Rows<'c> {
    /// `source` goes to `event_source`.
    pub(crate) fn new(source: &'static str, request: &[u8], context: &'c Context) -> Self {
        Self {
            context,
            source,
            digest: RequestDigest::of(request),
            builder: BatchBuilder::new(context.tenant.clone(), request.len() + request.len() / 4),
            shared: Vec::new(),
            rejects: Rejects::default(),
            records: 0,
        }
    }

    /// Takes the next record of the request: `each` adds its rows; a fault makes it a reject.
    pub(crate) fn record(&mut self, raw: &RawValue, each: impl FnOnce(&Object<'_>, &mut Self) -> Result<(), Fault>) {
        // The request will be refused whole: reading on would cost time for nothing.
        if self.builder.check().is_err() {
            return;
        }
        let wanted = || ("record", "must be an object".to_owned());
        let taken = Object::of(raw).ok_or_else(wanted).and_then(|object| each(&object, self));
        if let Err((field, reason)) = taken {
            self.rejects.add(Reject { index: self.records, field, reason });
        }
        self.records += 1;
    }

    /// Counts a record that is no event and no reject.
    pub(crate) fn pass_over(&mut self) {
        self.records += 1;
    }

    /// Writes one event. It must be given an id, a name and a time; after a fault there is nothing of it.
    pub(crate) fn add(
        &mut self,
        kind: EventType,
        write: impl FnOnce(&mut Row<'_, '_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.add_from(self.source, kind, write)
    }

    /// Writes one event of another source.
    pub(crate) fn add_from(
        &mut self,
        source: &'static str,
        kind: EventType,
        write: impl FnOnce(&mut Row<'_, '_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let shared = self.shared(source, kind);
        let (context, digest, ordinal) = (self.context, self.digest, self.builder.len() as u64 + self.rejects.count);
        self.builder.try_row(Some(shared), |out| {
            let mut row = Row { out, context, digest, ordinal, original_ns: None, data: None };
            write(&mut row)?;
            row.close();
            Ok(())
        })
    }

    fn shared(&mut self, source: &'static str, kind: EventType) -> Shared {
        let known = self.shared.iter().find(|known| (known.0, known.1) == (source, kind)).map(|known| known.2);
        known.unwrap_or_else(|| {
            let shared = self.builder.shared(|row| write_shared(row, self.context, kind, source));
            self.shared.push((source, kind, shared));
            shared
        })
    }

    pub(crate) fn finish(self) -> Result<Transformed, InvalidRequest> {
        let batch = if self.builder.is_empty() { None } else { Some(self.builder.finish()?) };
        Ok(Transformed { batch, rejects: self.rejects, dropped_attributes: 0 })
    }
}

/// One event under construction. Each column at most once.
pub(crate) struct Row<'w, 'b> {
    out: &'w mut EventWriter<'b>,
    context: &'w Context,
    digest: RequestDigest,
    ordinal: u64,
    original_ns: Option<i128>,
    data: Option<String>,
}

impl Row<'_, '_> {
    pub(crate) fn context(&self) -> &Context {
        self.context
    }

    /// A resource's id under its owner, `{ns}/…`.
    pub(crate) fn owned(&self, id: &str) -> String {
        format!("{}/{id}", self.context.tenant.as_str())
    }

    /// The same of an id that may say its owner already, and then stays as it is.
    pub(crate) fn qualified(&self, id: &str) -> String {
        let is_qualified = id.strip_prefix(self.context.tenant.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if is_qualified { id.to_owned() } else { self.owned(id) }
    }

    /// The sender's own id. Ids come first: readers that want only the id stop there.
    pub(crate) fn id(&mut self, id: &str) {
        self.out.str(Column::Id, id);
    }

    /// An id from a natural key; `group` is what its neighbours share (a trace, a session).
    pub(crate) fn id_of(&mut self, group: &str, key: &[&str]) {
        let parts: Vec<_> = key.iter().map(|part| part.as_bytes()).collect();
        self.out.str(Column::Id, id_in(group.as_bytes(), &parts).as_str());
    }

    /// An id for a record without a key: the request's bytes and the record's place in it.
    pub(crate) fn id_of_place(&mut self) {
        self.out.str(Column::Id, self.digest.id(self.ordinal).as_str());
    }

    pub(crate) fn name(&mut self, name: &str) {
        self.out.str(Column::EventName, name);
    }

    /// When it happened, microseconds; unknown is when it arrived. Too far ahead is replaced and kept in `data`.
    pub(crate) fn time(&mut self, us: Option<i64>) -> Result<(), Fault> {
        let us = us.map(|us| storable("timestamp", us)).transpose()?;
        let time = us.map_or(EventTime::received(self.context), |us| EventTime::of_us(us, self.context));
        time.write(self.out);
        self.original_ns = time.original_ns;
        Ok(())
    }

    pub(crate) fn text(&mut self, column: Column, value: Option<impl AsRef<str>>) {
        value.into_iter().for_each(|value| self.out.str(column, value.as_ref()));
    }

    pub(crate) fn int(&mut self, column: Column, value: Option<i64>) {
        value.into_iter().for_each(|value| self.out.int(column, value));
    }

    pub(crate) fn float(&mut self, column: Column, value: Option<f64>) {
        value.into_iter().for_each(|value| self.out.float(column, value));
    }

    pub(crate) fn bool(&mut self, column: Column, value: Option<bool>) {
        value.into_iter().for_each(|value| self.out.bool(column, value));
    }

    pub(crate) fn bytes(&mut self, column: Column, value: &[u8]) {
        self.out.bytes(column, value);
    }

    /// JSON text, as it was sent. `data` has a method of its own.
    pub(crate) fn json(&mut self, column: Column, value: Option<&RawValue>) {
        assert!(column != Column::Data, "invariant: data goes through Row::data");
        value.into_iter().for_each(|value| self.json_text(column, value.get()));
    }

    fn json_text(&mut self, column: Column, text: &str) {
        match column.kind() {
            Kind::Payload => self.out.json(column, text),
            _ => self.out.str(column, text),
        }
    }

    /// JSON text that was put together. `data` has a method of its own.
    pub(crate) fn composed(&mut self, column: Column, json: Option<String>) {
        json.into_iter().for_each(|json| self.json_text(column, &json));
    }

    /// The `data` column as JSON text.
    pub(crate) fn data(&mut self, json: Option<String>) {
        self.data = json;
    }

    fn close(self) {
        let original = self.original_ns.map(|ns| with_member(self.data.as_deref(), "original_timestamp", &ns.to_string()));
        original.or(self.data).into_iter().for_each(|data| self.out.json(Column::Data, &data));
    }
}
