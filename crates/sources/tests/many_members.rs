//! Requests in which something is looked up for each of very many: with a walk through all of them these tests would run
//! for hours.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/rows.rs"]
mod support;

use support::{row, send, texts};

const MANY: usize = 100_000;

fn each(write: impl Fn(usize) -> String) -> String {
    (0..MANY).map(write).collect::<Vec<_>>().join(",")
}

#[test]
fn columns_of_a_wide_key() {
    let columns = each(|number| format!(r#"{{"name":"{number}","value":0}}"#));
    let key = each(|number| format!(r#"{{"name":"{number}"}}"#));
    let change = format!(r#"{{"action":"I","table":"t","columns":[{columns}],"pk":[{key}]}}"#);
    assert!(row("/v1/cdc", &change)["db_row_id"].starts_with(r#"{"0":0,"1":0,"10":0,"#));
}

/// Said again and again for all records; of equal names the last counts.
#[test]
fn members_of_an_envelope() {
    let members = each(|number| format!(r#""sessionId":"{number}""#));
    let records = vec![r#"{"name":"LCP","value":1}"#; 20_000].join(",");
    let batch = send("/v1/vitals", &format!(r#"{{{members},"metrics":[{records}]}}"#)).unwrap().batch.unwrap();
    assert_eq!((batch.len(), &*texts(&batch.row(19_999))["session_id"]), (20_000, "99999"));
}

#[test]
fn members_of_a_native_event() {
    let members = each(|number| format!(r#""m{number}":{number},"actor_id":"{number}""#));
    let row = row("/v1/native", &format!(r#"{{"event_type":"track","event_name":"e",{members}}}"#));
    assert_eq!(row["actor_id"], "99999");
    assert!(row["attributes"].ends_with(r#""m99999":99999}"#));
}
