//! Those who do not belong: other secret, cluster, version, number, protocol, or nothing at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::child::ECHO;
use crate::node::{Node, SECRET};

#[test]
fn another_secret_is_refused_on_both_sides() {
    let (one, two) = (Node::start(1), Node::with(2, "east", "127.0.0.1:0", "secret:quite-another-secret"));
    one.knows(&two);
    one.expect_log("refused: node 2 and node 1 do not have the same secret");
    two.expect_log("the peer refused: node 2 and node 1 do not have the same secret");
    assert!(one.ask(&format!("call 2 {ECHO} 0 0 1000 100")).contains("Unreachable"));
}

#[test]
fn another_cluster_is_refused_on_both_sides() {
    let (one, two) = (Node::start(1), Node::with(2, "west", "127.0.0.1:0", SECRET));
    one.knows(&two);
    one.expect_log("the peer refused: node 1 is of cluster \"east\", node 2 of \"west\"");
    two.expect_log("refused: node 1 is of cluster \"east\", node 2 of \"west\"");
    let seed = two.expect(&format!("seed {}", one.address()), "err");
    assert!(seed.contains("node 2 is of cluster \"west\", node 1 of \"east\""), "{seed}");
}

#[test]
fn a_second_node_with_the_same_number_is_refused_while_the_first_lives() {
    let (one, two, twin) = (Node::start(1), Node::start(2), Node::start(2));
    one.knows(&two);
    one.expect_connected(2, 5000);
    let seed = twin.expect(&format!("seed {}", one.address()), "err");
    assert!(seed.contains(&format!("boot {} of node 2 is connected", two.boot())), "{seed}");
    one.expect_log(&format!("boot {} must wait until it is gone", twin.boot()));
    let seed = twin.expect(&format!("seed {}", two.address()), "err");
    assert!(seed.contains("two processes say that they are node 2"), "{seed}");
    two.expect_log("two processes say that they are node 2");
    let itself = two.expect(&format!("seed {}", two.address()), "err");
    assert!(itself.contains("node 2 dialled itself"), "{itself}");
    assert!(one.peer(2).starts_with(&two.boot()), "the first stays");
    let other = one.expect(&format!("set 3 {}", two.address()), "ok");
    one.expect_log("node 3 was dialled, node 2 answered");
    assert_eq!(other, "ok ()");
}

#[test]
fn another_version_is_told() {
    let one = Node::start(1);
    let mut client = TcpStream::connect(one.address()).expect("connects");
    client.write_all(b"WSPR\x00\x07\x01\x00\x00\x00\x00\x03new").expect("sent");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("closed after the refusal");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.ends_with("the peer speaks protocol version 7, this node version 1"), "{text}");
    one.expect_log("refused: the peer speaks protocol version 7, this node version 1");
}

#[test]
fn silent_and_foreign_clients_hold_nobody_up() {
    let (one, two) = (Node::start(1), Node::start(2));
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect(two.address()).expect("connects")).collect();
    let begun = Instant::now();
    one.knows(&two);
    one.expect_connected(2, 3000);
    assert!(begun.elapsed() < Duration::from_secs(3));
    let mut foreign = TcpStream::connect(two.address()).expect("connects");
    foreign.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    two.expect_log("the peer does not speak the protocol of watershed nodes");
    // The silent ones are closed after the handshake's deadline.
    let mut byte = [0];
    silent[0].set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert_eq!(silent[0].read(&mut byte).expect("closed, not timed out"), 0);
    two.expect_log("no handshake within 5s");
    assert!(one.ask(&format!("call 2 {ECHO} 0 0 2000 100")).starts_with("ok"));
}

#[test]
fn bad_settings_name_the_field() {
    assert_eq!(Node::with(1, "east", "127.0.0.1:0", "secret:short").started, "err secret: 5 bytes, must be at least 16");
    assert!(Node::with(1, "east", "0.0.0.0:0", SECRET).started.starts_with("err advertise: must be given"));
    let one = Node::start(1);
    assert!(Node::with(2, "east", &one.address(), SECRET).started.starts_with("err cannot listen at 127.0.0.1"));
    assert_eq!(one.ask("again"), "err this process is already a node");
    let bad = one.expect("set 2 nowhere", "err");
    assert!(bad.contains("\"nowhere\" is not host:port"), "{bad}");
}
