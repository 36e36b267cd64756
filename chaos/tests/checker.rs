//! The checker finds each trouble, and nothing where there is none.

use watershed_chaos::checker::{Finding, Moment, Read, Row, Trouble, check};
use watershed_chaos::history::{Batch, Fate};

/// Events 10, 11 acknowledged at 500 µs, 12, 13 unknown, 14 of another tenant.
fn sent() -> Vec<Batch> {
    let batch = |tenant: &str, ids, fate| Batch { tenant: tenant.to_owned(), ids, sent_us: 100, fate };
    vec![
        batch("a", 10..12, Fate::Acknowledged(500)),
        batch("a", 12..14, Fate::Unknown),
        batch("b", 14..15, Fate::Acknowledged(600)),
    ]
}

/// `rows`: (id, seq) in shard 0.
fn read(tenant: &str, moment: Moment, rows: &[(u64, u64)]) -> Read {
    let rows = rows.iter().map(|(id, seq)| Row { id: *id, shard: 0, seq: *seq }).collect();
    Read { reader: "node 0".to_owned(), tenant: tenant.to_owned(), moment, rows }
}

/// The other tenant's event has number 9 below: it is left out where numbers do not matter.
fn troubles(reads: &[Read]) -> Vec<(Trouble, Option<u64>)> {
    check(&sent(), reads).iter().map(|Finding { trouble, id, .. }| (*trouble, *id)).collect()
}

#[test]
fn acknowledged_once_and_unknown_at_most_once_is_fine() {
    let b = || read("b", Moment::Final, &[(14, 3)]);
    assert_eq!(troubles(&[read("a", Moment::Final, &[(10, 1), (11, 2)]), b()]), []);
    assert_eq!(troubles(&[read("a", Moment::Final, &[(11, 1), (13, 2), (10, 4)]), b()]), []);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let findings = check(&sent(), &[read("a", Moment::Final, &[(10, 1)])]);
    let [lost] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((lost.trouble, lost.id, lost.acknowledged_us), (Trouble::Lost, Some(11), Some(500)));
    assert_eq!(lost.to_string(), "Lost: node 0, event 0xb of a, acknowledged at 0.000 s");
}

#[test]
fn twice_is_once_too_often_also_for_the_unknown() {
    let rows = [(10, 1), (11, 2), (11, 3), (12, 4), (12, 5)];
    assert_eq!(troubles(&[read("a", Moment::Final, &rows)]), [(Trouble::Duplicated, Some(11)), (Trouble::Duplicated, Some(12))]);
}

#[test]
fn what_was_never_sent_or_is_another_tenants_is_a_phantom() {
    let rows = [(9, 1), (10, 2), (11, 3), (14, 4)];
    assert_eq!(troubles(&[read("a", Moment::Final, &rows)]), [(Trouble::Phantom, Some(9)), (Trouble::Phantom, Some(14))]);
}

#[test]
fn a_read_during_the_load_owes_what_was_acknowledged_before_it_began() {
    assert_eq!(troubles(&[read("a", Moment::During(500), &[])]), []);
    assert_eq!(troubles(&[read("a", Moment::During(501), &[(10, 1)])]), [(Trouble::Lost, Some(11))]);
    assert_eq!(troubles(&[read("a", Moment::During(0), &[(12, 7), (12, 8)])]), [(Trouble::Duplicated, Some(12))]);
}

#[test]
fn readers_must_agree_about_the_unknown_and_about_places() {
    let first = read("a", Moment::Final, &[(10, 1), (11, 2)]);
    let other = |rows| Read { reader: "node 1".to_owned(), ..read("a", Moment::Final, rows) };
    assert_eq!(troubles(&[first.clone(), other(&[(10, 1), (11, 2), (12, 3)])]), [(Trouble::Disputed, Some(12))]);
    let moved = troubles(&[first, other(&[(10, 2), (11, 1)])]);
    assert_eq!(moved.len(), 4, "each of two events in two places: {moved:?}");
    assert!(moved.iter().all(|(trouble, _)| *trouble == Trouble::Disputed));
}

#[test]
fn numbers_of_a_shard_have_no_holes_and_no_two_owners() {
    assert_eq!(troubles(&[read("a", Moment::Final, &[(10, 1), (11, 3)])]), [(Trouble::Hole, None)]);
    assert_eq!(troubles(&[read("a", Moment::Final, &[(10, 1), (11, 1)])]), [(Trouble::Shared, None)]);
    let together = [read("a", Moment::Final, &[(10, 1), (11, 3)]), read("b", Moment::Final, &[(14, 2)])];
    assert_eq!(troubles(&together), [], "tenants share a shard");
}
