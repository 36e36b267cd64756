//! One event, four forms: writer, projection reader, prost struct, Arrow. Equal for every column.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, cast::AsArray as _, types::*};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use watershed_schema::arrow::ColumnsBuilder;
use watershed_schema::{BatchBuilder, Column, EventBatch, EventWriter, Kind, Projection, Seq, ShardId, TenantId, Value, proto};

/// A value as a test says it.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Json(String),
}

type Event = BTreeMap<Column, Said>;

fn value_of(column: Column) -> BoxedStrategy<Said> {
    match column.kind() {
        _ if column == Column::EventType => Just(Said::Text("track".into())).boxed(),
        Kind::Text | Kind::Json => "\\PC{0,12}".prop_map(Said::Text).boxed(),
        Kind::Payload => any::<i32>().prop_map(|n| Said::Json(format!("{{\"n\":{n}}}"))).boxed(),
        Kind::Int | Kind::Time => any::<i64>().prop_map(Said::Int).boxed(),
        Kind::Int32 => any::<i32>().prop_map(|n| Said::Int(n.into())).boxed(),
        Kind::Float => any::<f64>().prop_filter("comparable", |f| !f.is_nan()).prop_map(Said::Float).boxed(),
        Kind::Bool => any::<bool>().prop_map(Said::Bool).boxed(),
        Kind::Bytes => proptest::collection::vec(any::<u8>(), 0..12).prop_map(Said::Bytes).boxed(),
    }
}

const ALWAYS: [Column; 5] = [Column::Id, Column::EventType, Column::EventName, Column::Ns, Column::Timestamp];

fn event() -> impl Strategy<Value = Event> {
    let written = Column::ALL.iter().copied().filter(|column| !matches!(column, Column::Shard | Column::Sequence));
    let columns: Vec<_> = written
        .map(|column| {
            let value = value_of(column);
            let maybe = if ALWAYS.contains(&column) {
                value.prop_map(Some).boxed()
            } else {
                proptest::option::weighted(0.3, value).boxed()
            };
            maybe.prop_map(move |value| (column, value)).boxed()
        })
        .collect();
    columns.prop_map(|pairs| pairs.into_iter().filter_map(|(column, value)| Some((column, value?))).collect())
}

fn write(writer: &mut EventWriter<'_>, column: Column, value: &Said) {
    match value {
        Said::Text(text) => writer.str(column, text),
        Said::Int(number) => writer.int(column, *number),
        Said::Float(number) => writer.float(column, *number),
        Said::Bool(truth) => writer.bool(column, *truth),
        Said::Bytes(bytes) => writer.bytes(column, bytes),
        Said::Json(text) => writer.json(column, text),
    }
}

/// Columns below `cut` go to the shared part: the merge must not matter.
fn batch(events: &[Event], cut: u16) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::default(), 0);
    for event in events {
        let (common, own): (Vec<_>, Vec<_>) = event.iter().partition(|(column, _)| column.id() < cut);
        let shared = builder.shared(|writer| common.iter().for_each(|(column, value)| write(writer, **column, value)));
        builder.row(Some(shared), |writer| own.iter().for_each(|(column, value)| write(writer, **column, value)));
    }
    builder.finish().unwrap()
}

fn from_projection(batch: &EventBatch, index: usize) -> Event {
    let mut values = Vec::new();
    batch.row(index).project(&Projection::new(Column::ALL), &mut values).unwrap();
    let pairs = Column::ALL.iter().zip(values);
    pairs.filter_map(|(column, value)| Some((*column, said(value?)))).collect()
}

fn said(value: Value<'_>) -> Said {
    match value {
        Value::Text(text) => Said::Text(text.into()),
        Value::Int(number) => Said::Int(number),
        Value::Float(number) => Said::Float(number),
        Value::Bool(truth) => Said::Bool(truth),
        Value::Bytes(bytes) => Said::Bytes(bytes.into()),
        Value::Payload(payload) => {
            let mut json = String::new();
            watershed_schema::payload::to_json(payload, &mut json).unwrap();
            Said::Json(json)
        }
    }
}

fn from_arrow(columns: &[ArrayRef], row: usize) -> Event {
    let pairs = Column::ALL.iter().zip(columns);
    pairs.filter(|(_, array)| !array.is_null(row)).map(|(column, array)| (*column, cell(*column, array, row))).collect()
}

fn cell(column: Column, array: &ArrayRef, row: usize) -> Said {
    match column.kind() {
        Kind::Text | Kind::Json => Said::Text(array.as_string::<i32>().value(row).into()),
        Kind::Payload => Said::Json(array.as_string::<i32>().value(row).into()),
        Kind::Int => Said::Int(array.as_primitive::<Int64Type>().value(row)),
        Kind::Int32 => Said::Int(array.as_primitive::<Int32Type>().value(row).into()),
        Kind::Time => Said::Int(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        Kind::Float => Said::Float(array.as_primitive::<Float64Type>().value(row)),
        Kind::Bool => Said::Bool(array.as_boolean().value(row)),
        Kind::Bytes => Said::Bytes(array.as_binary::<i32>().value(row).into()),
    }
}

/// The prost struct of a row: shared part and own part, merged as protobuf says.
fn merged(batch: &EventBatch, index: usize) -> proto::Event {
    let decoded = proto::EventBatch::decode(batch.body().clone()).unwrap();
    let own = &decoded.events[index];
    let mut event = decoded.shared[own.shared.unwrap() as usize - 1].clone();
    event.merge(Bytes::from(own.encode_to_vec())).unwrap();
    event.shared = None;
    event
}

/// Columns of every kind that rows may share; few values, so that neighbours often agree.
fn few_values() -> impl Strategy<Value = Event> {
    let text = |column: Column| (Just(column), prop_oneof!["a", "b", ""].prop_map(Said::Text)).boxed();
    let number = |column: Column| (Just(column), (0i64..2).prop_map(Said::Int)).boxed();
    let zero = prop_oneof![Just(0.0), Just(-0.0)].prop_map(Said::Float);
    let json = (0..2).prop_map(|n| Said::Json(format!("{{\"n\":{n}}}")));
    let pair = prop_oneof![
        text(Column::Ns),
        text(Column::ServiceName),
        text(Column::HostName),
        number(Column::IngestedAt),
        number(Column::Hour),
        number(Column::HttpStatus),
        (Just(Column::IsRoot), any::<bool>().prop_map(Said::Bool)),
        (Just(Column::DurationMs), zero),
        (Just(Column::Context), json),
    ];
    proptest::collection::vec(pair, 0..8).prop_map(|pairs| pairs.into_iter().collect())
}

/// Rows of a few shared parts in any order, or of none; what a row says itself wins.
fn sharing(parts: &[Event], rows: &[(usize, Event)]) -> EventBatch {
    let mut builder = BatchBuilder::new(TenantId::default(), 0);
    let say = |writer: &mut EventWriter<'_>, event: &Event| {
        event.iter().for_each(|(column, value)| write(writer, *column, value));
    };
    let shared: Vec<_> = parts.iter().map(|part| builder.shared(|writer| say(writer, part))).collect();
    for (number, (part, own)) in rows.iter().enumerate() {
        builder.row(shared.get(*part).copied(), |writer| {
            writer.str(Column::Id, &number.to_string());
            writer.str(Column::EventType, "log");
            writer.str(Column::EventName, "n");
            writer.int(Column::Timestamp, 1);
            writer.str(Column::Ns, "own");
            say(writer, own);
        });
    }
    builder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn rows_that_share_say_each_its_own(
        parts in proptest::collection::vec(few_values(), 1..4),
        rows in proptest::collection::vec((0usize..5, prop_oneof![3 => Just(Event::new()), 1 => few_values()]), 1..24),
        cut in 0usize..24,
    ) {
        let batch = sharing(&parts, &rows);
        let mut builder = ColumnsBuilder::new(Column::ALL);
        let at = |index: usize| (ShardId(u16::try_from(index / 3).unwrap()), Seq(index as u64), batch.row(index));
        builder.extend((0..cut.min(rows.len())).map(at)).unwrap();
        builder.extend((cut.min(rows.len())..rows.len()).map(at)).unwrap();
        let columns = builder.finish();
        for index in 0..rows.len() {
            let mut expected = from_projection(&batch, index);
            expected.insert(Column::Shard, Said::Int(i64::try_from(index / 3).unwrap()));
            expected.insert(Column::Sequence, Said::Int(i64::try_from(index).unwrap()));
            // As text, for the two zeros are equal.
            prop_assert_eq!(format!("{:?}", from_arrow(columns.columns(), index)), format!("{expected:?}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_form_says_the_same(events in proptest::collection::vec(event(), 1..4), cut in 1u16..178) {
        let batch = batch(&events, cut);
        let mut builder = ColumnsBuilder::new(Column::ALL);
        builder.append(ShardId(7), Seq(41), &batch, |_, _| true).unwrap();
        let record_batch = builder.finish();
        for (index, event) in events.iter().enumerate() {
            prop_assert_eq!(&from_projection(&batch, index), event);
            let mut with_place = event.clone();
            with_place.insert(Column::Shard, Said::Int(7));
            with_place.insert(Column::Sequence, Said::Int(41 + i64::try_from(index).unwrap()));
            prop_assert_eq!(&from_arrow(record_batch.columns(), index), &with_place);
            let alone = proto::EventBatch { shared: vec![], events: vec![merged(&batch, index)] };
            let again = EventBatch::decode(TenantId::default(), Bytes::from(alone.encode_to_vec())).unwrap();
            prop_assert_eq!(&from_projection(&again, 0), event);
        }
    }

    #[test]
    fn sealing_loses_nothing(events in proptest::collection::vec(event(), 1..4)) {
        let batch = batch(&events, 60);
        let opened = EventBatch::open(&batch.seal()).unwrap();
        prop_assert_eq!(opened.body(), batch.body());
        prop_assert_eq!(opened.header(), batch.header());
        let decoded = EventBatch::decode(TenantId::default(), batch.body().clone()).unwrap();
        prop_assert_eq!(decoded.header(), batch.header());
    }

    #[test]
    fn selecting_keeps_rows_and_order(events in proptest::collection::vec(event(), 2..5)) {
        let batch = batch(&events, 20);
        let picked = batch.select(&[events.len() - 1, 0]).unwrap();
        prop_assert_eq!(&from_projection(&picked, 0), &events[events.len() - 1]);
        prop_assert_eq!(&from_projection(&picked, 1), &events[0]);
        prop_assert!(batch.select(&[]).is_none());
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(EventBatch::decode(TenantId::default(), Bytes::from(bytes.clone())));
        let mut json = String::new();
        prop_assert!(watershed_schema::payload::to_json(&bytes, &mut json).is_ok() || !bytes.is_empty());
        let sealed = proto::SealedBatch {
            header: Some(proto::BatchHeader { tenant: "t".into(), rows: 1, body_bytes: 100, ..Default::default() }),
            body: Bytes::from(bytes),
        };
        prop_assert!(EventBatch::open(&sealed).is_err());
    }
}

#[test]
fn what_an_event_must_have() {
    let body = |event: proto::Event| Bytes::from(proto::EventBatch { shared: vec![], events: vec![event] }.encode_to_vec());
    let whole = proto::Event {
        id: Some("1".into()),
        event_type: Some("log".into()),
        event_name: Some("n".into()),
        timestamp: Some(5),
        ..Default::default()
    };
    let refusal = |event| EventBatch::decode(TenantId::default(), body(event)).unwrap_err().to_string();
    assert!(EventBatch::decode(TenantId::default(), body(whole.clone())).is_ok());
    assert_eq!(refusal(proto::Event { id: None, ..whole.clone() }), "event 0 lacks id");
    assert_eq!(refusal(proto::Event { timestamp: None, ..whole.clone() }), "event 0 lacks timestamp");
    assert_eq!(refusal(proto::Event { event_type: Some("x".into()), ..whole }), "event 0 lacks a known event_type");
    assert_eq!(EventBatch::decode(TenantId::default(), Bytes::new()).unwrap_err().to_string(), "batch has no events");
}

#[test]
fn otlp_values_keep_their_kind_as_json() {
    let mut builder = BatchBuilder::new(TenantId::default(), 0);
    builder.row(None, |row| {
        row.otlp(Column::Attributes, |kv| {
            kv.str("text", "a\"b\n");
            kv.int("int", i64::MIN);
            kv.float("whole", 1.0);
            kv.float("nan", f64::NAN);
            kv.bool("no", false);
            kv.bytes("bytes", &[1, 2]);
            kv.object("object", |inner| inner.str("k", ""));
            kv.objects("list", [1, 2], |inner, n| inner.int("n", n));
        });
    });
    let batch = builder.finish().unwrap();
    let Some(Value::Payload(payload)) = batch.row(0).get(Column::Attributes).unwrap() else { panic!("no payload") };
    let mut json = String::new();
    watershed_schema::payload::to_json(payload, &mut json).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["int"], i64::MIN);
    assert_eq!(
        json,
        "{\"text\":\"a\\\"b\\n\",\"int\":-9223372036854775808,\"whole\":1.0,\"nan\":{\"$double\":\"NaN\"},\"no\":false,\
         \"bytes\":{\"$bytes\":\"AQI=\"},\"object\":{\"k\":\"\"},\"list\":[{\"n\":1},{\"n\":2}]}"
    );
}
