//! The registry against the schema it was made from, and against `proto/`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use prost::Message as _;
use watershed_schema::{Column, FILE_DESCRIPTOR_SET, Kind};

/// The unified schema's CSV, as it was handed to us.
const CSV: &str = include_str!("unified_schema.csv");

fn csv_rows() -> Vec<Vec<String>> {
    CSV.lines().skip(1).map(split_line).collect()
}

fn split_line(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cells.last_mut().unwrap().push(other),
        }
    }
    cells
}

fn arrow_type(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text => &["Utf8"],
        Kind::Json | Kind::Payload => &["Utf8 (JSON text)"],
        Kind::Int => &["Int64"],
        Kind::Int32 => &["Int32"],
        Kind::Float => &["Float64"],
        Kind::Bool => &["Boolean"],
        Kind::Bytes => &["Binary"],
        Kind::Time => &["Timestamp(Microsecond, UTC)"],
    }
}

#[test]
fn every_csv_line_is_in_the_registry() {
    let rows = csv_rows();
    assert_eq!(rows.len(), 175, "165 event columns and 10 of storage");
    for row in rows {
        let column = Column::from_id(row[0].parse().unwrap()).unwrap();
        let spec = column.spec();
        assert_eq!(spec.name, row[1]);
        assert!(arrow_type(spec.kind).contains(&row[2].as_str()), "{}: {:?} against {}", row[1], spec.kind, row[2]);
        assert_eq!(spec.required, row[4] == "yes", "{}", row[1]);
        assert_eq!(spec.group, row[5], "{}", row[1]);
        assert_eq!(format!("{:?}", spec.origin).to_lowercase(), row[6], "{}", row[1]);
    }
}

#[test]
fn two_columns_are_ours() {
    let ours: Vec<_> = Column::ALL.iter().skip(175).map(|column| column.name()).collect();
    assert_eq!(ours, ["_shard", "_seq"]);
    assert_eq!(Column::ALL.len(), 177);
}

#[test]
fn ids_names_and_places_agree() {
    for (place, column) in Column::ALL.iter().enumerate() {
        assert_eq!(usize::from(column.id()), place + 1);
        assert_eq!(Column::from_name(column.name()), Some(*column));
    }
    assert_eq!(Column::from_id(0), None);
    assert_eq!(Column::from_id(178), None);
}

#[test]
fn protobuf_field_numbers_are_field_ids() {
    let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let event = files.file.iter().flat_map(|file| &file.message_type).find(|message| message.name() == "Event").unwrap();
    let fields: BTreeMap<i32, (&str, String)> =
        event.field.iter().map(|field| (field.number(), (field.name(), format!("{:?}", field.r#type())))).collect();
    for column in Column::ALL {
        let (name, form) = &fields[&i32::from(column.id())];
        assert_eq!(*name, column.name());
        let expected = match column.kind() {
            Kind::Text | Kind::Json => "String",
            Kind::Payload => "Message",
            Kind::Int | Kind::Time => "Int64",
            Kind::Int32 => "Int32",
            Kind::Float => "Double",
            Kind::Bool => "Bool",
            Kind::Bytes => "Bytes",
        };
        assert_eq!(form, expected, "{name}");
    }
    assert_eq!(fields.len(), Column::ALL.len() + 1, "one more: `shared`");
}
