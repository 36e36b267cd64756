//! What called the worker: a request, a schedule, a queue, an alarm, a mail, another worker.

use std::borrow::Cow;

use watershed_schema::Column;

use super::request::Request;
use crate::Fault;
use crate::json::{Loose as _, Members, Object};
use crate::rows::Row;

/// The `event` of an item.
pub(super) struct Invocation<'a> {
    event: Object<'a>,
    request: Request<'a>,
}

/// The member that only this kind of event has.
const SHAPES: [(&str, &str); 9] = [
    ("request", "fetch"),
    ("cron", "scheduled"),
    ("queue", "queue"),
    ("batchSize", "queue"),
    ("mailFrom", "email"),
    ("rpcMethod", "rpc"),
    ("consumedEvents", "tail"),
    ("getWebSocketEvent", "hibernatableWebSocket"),
    ("scheduledTime", "alarm"),
];

impl<'a> Invocation<'a> {
    pub(super) fn of(event: Object<'a>) -> Self {
        let request = Request::of(&event);
        Self { event, request }
    }

    /// A type that is named, else what the shape says.
    pub(super) fn kind(&self) -> Cow<'a, str> {
        let named = self.event.text("type").or_absent();
        let shaped = || SHAPES.iter().find(|(member, _)| self.event.has(member)).map(|(_, kind)| Cow::Borrowed(*kind));
        named.or_else(shaped).unwrap_or(Cow::Borrowed("invocation"))
    }

    /// Cloudflare's own id of a request.
    pub(super) fn ray(&self) -> Option<Cow<'a, str>> {
        self.header("cf-ray").or_else(|| self.event.word("rayId").or_absent())
    }

    pub(super) fn url(&self) -> Cow<'a, str> {
        self.request.url().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &'static str) -> Option<Cow<'a, str>> {
        self.request.header(name)
    }

    pub(super) fn write(&self, row: &mut Row<'_, '_>) -> Result<(), Fault> {
        let status = self.event.object("response")?.unwrap_or_default().int("status")?;
        row.int(Column::StatusCode, status);
        row.int(Column::HttpStatus, status);
        self.request.write(row);
        if self.kind() == "queue" {
            self.write_queue(row);
        }
        row.text(Column::RpcMethod, self.event.text("rpcMethod").or_absent());
        Ok(())
    }

    /// `{"queue": name, "batchSize"}` as it comes; `{"queue": {"queueName", "batchSize"}}` in the reference system.
    fn write_queue(&self, row: &mut Row<'_, '_>) {
        let inner = self.event.object("queue").or_absent().unwrap_or_default();
        row.text(Column::MsgSystem, Some("cloudflare_queues"));
        let name = self.event.text("queue").or_absent().or_else(|| inner.text("queueName").or_absent());
        row.text(Column::MsgDestination, name);
        row.int(Column::MsgBatchSize, self.event.int("batchSize").or_absent().or_else(|| inner.int("batchSize").or_absent()));
    }

    /// The event without what it must not keep: credentials in headers.
    pub(super) fn write_data(&self, data: &mut Members) {
        let mut event = self.event.rest(&["request", "type"]);
        event.maybe("request", self.request.kept());
        for name in ["cron", "scheduledTime"] {
            data.maybe(name, self.event.raw(name).map(serde_json::value::RawValue::get));
        }
        data.maybe("event", event.finish());
    }
}
