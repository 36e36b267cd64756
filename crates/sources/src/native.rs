//! Native events: an encoded `EventBatch` from a client. What storage fills in is never taken from it.
//!
//! The owner is the caller's tenant, whatever a row says; times more than a day ahead are rejects, because a native
//! sender can be told.

mod check;
mod parts;

use prost::Message as _;
use watershed_schema::limits::{BATCH_BYTES_MAX, BATCH_UNFOLDED_BYTES_MAX, FUTURE_MICROS_MAX};
use watershed_schema::{BatchError, EventBatch, EventType, proto, wire};

use crate::ids::RequestDigest;
use crate::system::{date, hour};
use crate::{Context, Fault, InvalidRequest, Reject, Rejects, Transformed};
use parts::{Common, Parts};

/// Events of a client's batch. One is read at a time: in memory an event is a thousand times as big as on the wire.
///
/// # Errors
/// [`InvalidRequest`] when the bytes are no `EventBatch`, or hold more than a batch may.
pub fn transform(batch: &[u8], context: &Context) -> Result<Transformed, InvalidRequest> {
    let parts = Parts::of(batch)?;
    let mut native =
        Native { context, digest: RequestDigest::of(batch), shared: Vec::new(), body: Vec::new(), unfolded_bytes: 0 };
    for part in parts.shared {
        native.share(parts::event(part)?)?;
    }
    let (mut rejects, mut taken) = (Rejects::default(), 0);
    for (index, part) in (0..).zip(parts.events) {
        match native.event(index, parts::event(part)?) {
            Ok(event) => native.take(&event).map(|()| taken += 1)?,
            Err((field, reason)) => rejects.add(Reject { index, field, reason }),
        }
    }
    let body = (taken > 0).then_some(native.body);
    let batch = body.map(|body| EventBatch::decode(context.tenant.clone(), body.into())).transpose()?;
    Ok(Transformed { batch, rejects, dropped_attributes: 0 })
}

struct Native<'a> {
    context: &'a Context,
    digest: RequestDigest,
    shared: Vec<Common>,
    /// The encoded `EventBatch` that is stored.
    body: Vec<u8>,
    unfolded_bytes: usize,
}

impl Native<'_> {
    fn share(&mut self, event: proto::Event) -> Result<(), InvalidRequest> {
        let fault = check::check(&event).err();
        // Parts are known by their number: one that cannot be stored leaves an empty one.
        let kept = if fault.is_none() { without_storage(event.clone()) } else { proto::Event::default() };
        self.shared.push(Common { fault, ..Common::of(&event) });
        self.put(1, &kept)
    }

    fn take(&mut self, event: &proto::Event) -> Result<(), InvalidRequest> {
        let shared_bytes = self.common(event).ok().flatten().map_or(0, |common| common.bytes);
        self.unfolded_bytes += shared_bytes + event.encoded_len();
        if self.unfolded_bytes > BATCH_UNFOLDED_BYTES_MAX {
            return Err(BatchError::TooManyUnfoldedBytes(self.unfolded_bytes).into());
        }
        self.put(2, event)
    }

    /// Refuses at once what would be refused in the end.
    fn put(&mut self, field: u32, event: &proto::Event) -> Result<(), InvalidRequest> {
        wire::put_bytes(&mut self.body, field, &event.encode_to_vec());
        let bytes = self.body.len();
        if bytes > BATCH_BYTES_MAX { Err(BatchError::TooManyBytes(bytes).into()) } else { Ok(()) }
    }

    /// The event as it is stored.
    fn event(&self, index: u64, event: proto::Event) -> Result<proto::Event, Fault> {
        let common = self.common(&event)?;
        check::check(&event)?;
        common.and_then(|common| common.fault.clone()).map_or(Ok(()), Err)?;
        let text = |own: &Option<String>, shared: fn(&Common) -> &Option<String>| {
            own.clone().or_else(|| common.and_then(|common| shared(common).clone()))
        };
        let kind = text(&event.event_type, |common| &common.event_type).unwrap_or_default();
        if EventType::from_word(&kind).is_none() {
            return Err(("event_type", format!("`{kind}` is no event type")));
        }
        let id = text(&event.id, |common| &common.id).filter(|id| !id.is_empty());
        let name = text(&event.event_name, |common| &common.event_name).unwrap_or_default();
        let us = event.timestamp.or_else(|| common.and_then(|common| common.timestamp)).unwrap_or(self.context.received_at_us);
        if us > self.context.received_at_us.saturating_add(FUTURE_MICROS_MAX) {
            return Err(("timestamp", format!("{us} is more than 24 h ahead of {}", self.context.received_at_us)));
        }
        Ok(proto::Event {
            id: Some(id.unwrap_or_else(|| self.digest.id(index).as_str().to_owned())),
            event_name: Some(name),
            timestamp: Some(us),
            hour: Some(hour(us)),
            day: Some(date(us)),
            ns: Some(self.context.tenant.as_str().to_owned()),
            event_source: Some("native".to_owned()),
            visibility: Some("user".to_owned()),
            ingested_at: Some(self.context.received_at_us),
            batch_id: Some(self.context.batch_id.clone()),
            schema_version: Some(1),
            ..without_storage(event)
        })
    }

    /// The shared part that the event names.
    fn common(&self, event: &proto::Event) -> Result<Option<&Common>, Fault> {
        let Some(number) = event.shared.filter(|number| *number > 0) else { return Ok(None) };
        let place = usize::try_from(number).unwrap_or(usize::MAX) - 1;
        let missing = || ("shared", format!("part {number} of {} does not exist", self.shared.len()));
        self.shared.get(place).map(Some).ok_or_else(missing)
    }
}

/// Without what only storage says, and without payloads of no form: as text they would be no JSON.
fn without_storage(event: proto::Event) -> proto::Event {
    let formed = |payload: Option<proto::Payload>| payload.filter(|payload| payload.form.is_some());
    proto::Event {
        ns: None,
        shard: None,
        seq: None,
        data: formed(event.data),
        attributes: formed(event.attributes),
        labels: formed(event.labels),
        context: formed(event.context),
        properties: formed(event.properties),
        traits: formed(event.traits),
        ..event
    }
}

#[cfg(test)]
mod tests {
    use watershed_schema::{Column, TenantId, Value};

    use super::*;

    const NOW_US: i64 = 1_790_000_000_000_000;

    fn context() -> Context {
        Context { tenant: TenantId::new("acme").unwrap(), received_at_us: NOW_US, batch_id: "b1".into() }
    }

    fn event(id: &str) -> proto::Event {
        proto::Event {
            id: Some(id.into()),
            event_type: Some("track".into()),
            event_name: Some("Signup".into()),
            ..proto::Event::default()
        }
    }

    fn transformed(shared: Vec<proto::Event>, events: Vec<proto::Event>) -> Transformed {
        transform(&proto::EventBatch { shared, events }.encode_to_vec(), &context()).unwrap()
    }

    #[test]
    fn the_owner_is_the_caller_whatever_the_row_says() {
        let foreign = || proto::Event { ns: Some("globex".into()), shard: Some(9), seq: Some(9), ..event("1") };
        let batch = transformed(vec![foreign()], vec![foreign(), proto::Event { shared: Some(1), ..event("2") }]).batch.unwrap();
        for row in batch.rows() {
            assert_eq!(row.get(Column::Ns).unwrap(), Some(Value::Text("acme")));
            assert_eq!(row.get(Column::Shard).unwrap(), None);
            assert_eq!(row.get(Column::Timestamp).unwrap(), Some(Value::Int(NOW_US)));
        }
    }

    #[test]
    fn bad_records_are_named_and_the_others_taken() {
        let bad = |change: fn(&mut proto::Event)| {
            let mut event = event("x");
            change(&mut event);
            event
        };
        let events = vec![
            event("1"),
            bad(|event| event.event_type = Some("nonsense".into())),
            bad(|event| event.timestamp = Some(NOW_US + 2 * FUTURE_MICROS_MAX)),
            bad(|event| event.shared = Some(4)),
        ];
        let Transformed { batch, rejects, .. } = transformed(Vec::new(), events);
        assert_eq!((batch.unwrap().len(), rejects.count), (1, 3));
        let fields: Vec<_> = rejects.first.iter().map(|reject| (reject.index, reject.field)).collect();
        assert_eq!(fields, [(1, "event_type"), (2, "timestamp"), (3, "shared")]);
    }

    #[test]
    fn a_retry_without_ids_has_the_same_ids() {
        let nameless = || vec![proto::Event { id: None, ..event("") }; 2];
        let ids = |transformed: Transformed| transformed.batch.unwrap().id_hashes().unwrap();
        let first = ids(transformed(Vec::new(), nameless()));
        assert_eq!(first, ids(transformed(Vec::new(), nameless())));
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn a_wrong_wire_type_never_reaches_the_log() {
        let whole = proto::EventBatch { shared: Vec::new(), events: vec![event("1")] }.encode_to_vec();
        let mut bad = whole.clone();
        bad.splice(2..2, [8, 1]); // field 1 (id) as a varint
        bad[1] += 2;
        assert!(matches!(transform(&bad, &context()), Err(InvalidRequest::Undecodable(_))));
        assert!(matches!(transform(&whole[..whole.len() - 1], &context()), Err(InvalidRequest::Undecodable(_))));
    }
}
