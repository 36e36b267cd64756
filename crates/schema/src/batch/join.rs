//! Rows of several batches as one, byte for byte: only the numbers of their shared parts change.

use bytes::Bytes;

use super::EventBatch;
use crate::wire::{self, Fields};
use crate::writer::SHARED_FIELD;

/// Some rows of a batch.
pub(super) type Part<'a> = (&'a EventBatch, &'a [usize]);

/// An encoded `EventBatch` of the rows that the parts name.
pub(super) fn join(parts: &[Part<'_>]) -> Bytes {
    let mut body = Vec::with_capacity(parts.iter().map(bytes_of).sum());
    for (batch, _) in parts {
        batch.shared.iter().for_each(|shared| wire::put_bytes(&mut body, 1, &batch.body[shared.clone()]));
    }
    let mut before = 0;
    for (batch, indexes) in parts {
        for index in *indexes {
            let place = &batch.rows[*index];
            row(&batch.body[place.own.clone()], place.shared.map(|shared| before + shared), &mut body);
        }
        before += batch.shared.len();
    }
    Bytes::from(body)
}

/// Bytes of a part, about: tags and lengths take a few each.
fn bytes_of((batch, indexes): &Part<'_>) -> usize {
    let shared: usize = batch.shared.iter().map(|shared| shared.len() + 8).sum();
    shared + indexes.iter().map(|index| batch.rows[*index].own.len() + 8).sum::<usize>()
}

fn row(own: &[u8], shared: Option<usize>, body: &mut Vec<u8>) {
    let Some(shared) = shared else { return wire::put_bytes(body, 2, own) };
    let (front, behind) = around_shared(own);
    let mark = wire::begin_nested(body, 2);
    wire::put_tag(body, SHARED_FIELD, wire::VARINT);
    wire::put_varint(body, shared as u64 + 1);
    body.extend_from_slice(front);
    body.extend_from_slice(behind);
    wire::end_nested(body, mark);
}

/// What stands before and behind the field that names the shared part. Our own writer puts it first.
fn around_shared(own: &[u8]) -> (&[u8], &[u8]) {
    let (mut fields, mut begin) = (Fields::new(own), 0);
    while let Some((field, _)) = fields.next_field().expect("invariant: the rows of a batch are whole") {
        let end = own.len() - fields.remaining();
        if field == SHARED_FIELD {
            return (&own[..begin], &own[end..]);
        }
        begin = end;
    }
    (own, &[])
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use crate::{BatchBuilder, Column, EventBatch, TenantId, proto};

    fn row(id: &str, shared: Option<u32>) -> proto::Event {
        let text = |text: &str| Some(text.to_owned());
        let (event_type, event_name) = (text("log"), text("n"));
        proto::Event { id: text(id), event_type, event_name, timestamp: Some(1), shared, ..proto::Event::default() }
    }

    /// From elsewhere: the shared number stands behind the rest.
    fn foreign() -> EventBatch {
        let shared = ["a", "b"].map(|name| proto::Event { service_name: Some(name.to_owned()), ..proto::Event::default() });
        let events = vec![row("1", Some(2)), row("2", None), row("3", Some(1))];
        let body = proto::EventBatch { shared: shared.into(), events }.encode_to_vec();
        EventBatch::decode(TenantId::default(), body.into()).expect("a batch")
    }

    fn own() -> EventBatch {
        let mut builder = BatchBuilder::new(TenantId::default(), 0);
        let shared = builder.shared(|row| row.str(Column::ServiceName, "c"));
        builder.row(Some(shared), |row| {
            row.str(Column::Id, "4");
            row.str(Column::EventType, "log");
            row.str(Column::EventName, "n");
            row.int(Column::Timestamp, 1);
        });
        builder.finish().expect("a batch")
    }

    #[test]
    fn rows_keep_their_shared_parts() {
        let (foreign, own) = (foreign(), own());
        let body = EventBatch::join(&[(&foreign, &[0, 1]), (&own, &[0]), (&foreign, &[2])]);
        let joined = EventBatch::decode(TenantId::default(), body).expect("a batch");
        let text =
            |row: &crate::Row<'_>, column| row.get(column).expect("whole").and_then(crate::Value::as_str).map(str::to_owned);
        let said: Vec<_> = joined.rows().map(|row| (text(&row, Column::Id), text(&row, Column::ServiceName))).collect();
        let pair = |id: &str, service: Option<&str>| (Some(id.to_owned()), service.map(str::to_owned));
        assert_eq!(said, [pair("1", Some("b")), pair("2", None), pair("4", Some("c")), pair("3", Some("a"))]);
    }
}
