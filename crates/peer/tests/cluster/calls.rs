//! Calls: both ways, their deadlines, their limits.

use crate::child::{ECHO, HOLD, PANIC, REFUSE, RELEASE, SIZED, SWALLOW, WHO};
use crate::node::Node;

fn pair() -> (Node, Node) {
    let (one, two) = (Node::start(1), Node::start(2));
    one.knows(&two);
    one.expect_connected(2, 5000);
    two.expect("seed 127.0.0.1:1", "err");
    crate::node::eventually(std::time::Duration::from_secs(5), "two knows one", || {
        two.ask("wait 1 1000").contains("true").then_some(())
    });
    (one, two)
}

#[test]
fn both_sides_call_and_know_each_other() {
    let (one, two) = pair();
    let answer = one.expect(&format!("call 2 {ECHO} 9 200000 5000 200000"), "ok");
    assert!(answer.contains(" 200000 "), "{answer}");
    assert!(one.expect(&format!("call 2 {WHO} 9 0 5000 100"), "ok").ends_with("1 1"));
    assert!(two.expect(&format!("call 1 {WHO} 9 0 5000 100"), "ok").ends_with("1 2"));
    assert!(one.peer(2).starts_with(&two.boot()), "{}", one.peer(2));
    assert!(two.peer(1).starts_with(&one.boot()), "{}", two.peer(1));
}

#[test]
fn services_refuse_and_fail_and_the_session_lives() {
    let (one, _two) = pair();
    let refused = one.expect(&format!("call 2 {REFUSE} 0 0 5000 100"), "err");
    assert!(refused.ends_with("Refused refused: kind 3 is unknown"), "{refused}");
    let failed = one.expect(&format!("call 2 {PANIC} 0 0 5000 100"), "err");
    assert!(failed.ends_with("Refused refused: the service failed"), "{failed}");
    one.expect(&format!("call 2 {ECHO} 0 10 5000 100"), "ok");
}

#[test]
fn a_deadline_is_an_unknown_outcome() {
    let (one, two) = pair();
    let late = one.expect(&format!("call 2 {HOLD} 0 10 300 100"), "err");
    let words: Vec<&str> = late.split_whitespace().collect();
    assert_eq!(words[2], "Unknown", "{late}");
    let millis: u64 = words[1].parse().expect("number");
    assert!((300..2000).contains(&millis), "{late}");
    // It was begun, and is dropped at the deadline.
    assert_eq!(two.ask("count"), "ok 1 0");
}

#[test]
fn limits_are_named() {
    let (one, two) = pair();
    let large = one.expect(&format!("call 2 {SWALLOW} 0 262145 5000 100"), "err");
    assert!(large.ends_with("TooLarge request of 262145 bytes, limit 262144"), "{large}");
    let urgent = one.expect(&format!("call 2 {SWALLOW} 0 4097 5000 100 urgent"), "err");
    assert!(urgent.ends_with("TooLarge request of 4097 bytes, limit 4096"), "{urgent}");
    one.expect(&format!("call 2 {SWALLOW} 0 262144 5000 262144"), "ok");
    let answer = one.expect(&format!("call 2 {SIZED} 1001 0 5000 1000"), "err");
    assert!(answer.ends_with("AnswerTooLarge answer of 1001 bytes, the caller made room for 1000"), "{answer}");
    one.expect(&format!("call 2 {SIZED} 1000 0 5000 1000"), "ok");
    let nobody = one.expect(&format!("call 3 {ECHO} 0 0 5000 100"), "err");
    assert!(nobody.contains("Unreachable"), "{nobody}");
    // What was too large was not sent.
    assert_eq!(two.ask("count"), "ok 3 3");
}

#[test]
fn heartbeats_and_urgent_calls_pass_a_full_session() {
    let (one, _two) = pair();
    let since = one.peer(2);
    // With 256 bytes for each call exactly 1 MiB: nothing fits beside them.
    let full: Vec<u64> = (0..4).map(|_| one.tell(&format!("call 2 {HOLD} 0 261788 20000 100"))).collect();
    crate::node::eventually(std::time::Duration::from_secs(5), "the session is full", || {
        one.ask(&format!("call 2 {ECHO} 0 0 200 100")).contains("Busy").then_some(())
    });
    let urgent = one.expect(&format!("call 2 {ECHO} 0 100 2000 100 urgent"), "ok");
    // Longer than it takes to miss three heartbeats.
    let busy = one.expect(&format!("call 2 {ECHO} 0 50000 4000 100"), "err");
    assert!(busy.contains("Busy node 2: 1048576 bytes are in flight, no room for 50356 more"), "{busy}");
    let now = one.peer(2);
    let fields = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(fields(&since)[..2], fields(&now)[..2], "the same session; urgent: {urgent}");
    assert_eq!(fields(&now)[3], "0", "misses: {now}");
    one.expect(&format!("call 2 {RELEASE} 0 0 5000 100 urgent"), "ok");
    for call in full {
        let answer = one.answer(call);
        assert!(answer.starts_with("ok"), "{answer}");
    }
    // The same with bytes that move.
    one.expect(&format!("pound 2 16 2000 {SWALLOW} 0 65536 5000 100"), "ok");
    let after = fields(&one.peer(2));
    assert_eq!((&after[..2], after[3].as_str()), (&fields(&now)[..2], "0"), "the same session, nothing missed");
}

#[test]
fn a_cancelled_deadline_keeps_its_bytes_until_the_answer() {
    let (one, _two) = pair();
    // Four calls that fill the session give up after 300 ms; the peer drops them at the same time, so room returns.
    let full: Vec<u64> = (0..4).map(|_| one.tell(&format!("call 2 {HOLD} 0 261000 300 100"))).collect();
    for call in full {
        assert!(one.answer(call).contains("Unknown"));
    }
    one.expect(&format!("call 2 {ECHO} 0 200000 3000 200000"), "ok");
}
