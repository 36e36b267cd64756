//! Two connections that cross, played step by step: the test is node 2 and speaks the handshake itself.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use aws_lc_rs::hmac;
use prost::Message as _;

use crate::node::Node;
use crate::wire::{self, ACCEPTED, HELLO, Hello, PROOF, REFUSED};

const BOOT: u64 = 99;

fn hello(attempt: u64, advertised: &str) -> Vec<u8> {
    wire::hello(2, BOOT, advertised, attempt)
}

fn send(stream: &mut TcpStream, kind: u8, body: &[u8]) {
    stream.write_all(&wire::message(kind, body)).expect("sent");
}

fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; wire::HEAD_BYTES];
    stream.read_exact(&mut head).expect("a message");
    let (kind, bytes) = wire::announced(&head);
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).expect("its body");
    (kind, body)
}

fn proof(role: &[u8], dialler: &[u8], acceptor: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
    let length = u64::try_from(dialler.len()).expect("small").to_be_bytes();
    hmac::sign(&key, &[role, &length, dialler, acceptor].concat()).as_ref().to_vec()
}

/// Takes the dial of node 1 up to its proof, when it has claimed its place. Its attempt, and the connection.
fn be_dialled(listener: &TcpListener, advertised: &str) -> (u64, TcpStream) {
    let (mut stream, _) = listener.accept().expect("node 1 dials");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let (kind, theirs) = receive(&mut stream);
    assert_eq!(kind, HELLO);
    let mine = hello(0, advertised);
    send(&mut stream, HELLO, &mine);
    send(&mut stream, PROOF, &proof(b"watershed acceptor", &theirs, &mine));
    assert_eq!(receive(&mut stream), (PROOF, proof(b"watershed dialler ", &theirs, &mine)));
    (Hello::decode(theirs.as_slice()).expect("a hello").attempt, stream)
}

/// Dials node 1; what it says in the end.
fn dial(one: &Node, attempt: u64, advertised: &str) -> (u8, String) {
    let mut stream = TcpStream::connect(one.address()).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let mine = hello(attempt, advertised);
    send(&mut stream, HELLO, &mine);
    let (kind, theirs) = receive(&mut stream);
    assert_eq!(kind, HELLO);
    assert_eq!(receive(&mut stream), (PROOF, proof(b"watershed acceptor", &mine, &theirs)));
    send(&mut stream, PROOF, &proof(b"watershed dialler ", &mine, &theirs));
    let (kind, said) = receive(&mut stream);
    (kind, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn of_two_that_cross_the_later_attempt_is_used() {
    let one = Node::start(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("address").to_string();
    one.expect(&format!("set 2 {address}"), "ok");
    let (attempt, _dialled) = be_dialled(&listener, &address);
    let (kind, said) = dial(&one, attempt - 1, &address);
    assert_eq!(kind, REFUSED, "the earlier one");
    assert!(said.ends_with("node 2 has another connection"), "{said}");
    // Of equals the higher number wins, at both nodes.
    assert_eq!(dial(&one, attempt, &address).0, ACCEPTED);
}

#[test]
fn a_proof_of_another_connection_is_worth_nothing() {
    let one = Node::start(1);
    let (mine, old) = (hello(1, "127.0.0.1:9"), hello(7, "127.0.0.1:9"));
    let mut stream = TcpStream::connect(one.address()).expect("connects");
    send(&mut stream, HELLO, &mine);
    let (_, theirs) = receive(&mut stream);
    assert_eq!(receive(&mut stream).0, PROOF);
    send(&mut stream, PROOF, &proof(b"watershed dialler ", &old, &theirs));
    let (kind, said) = receive(&mut stream);
    let said = String::from_utf8_lossy(&said);
    assert_eq!(kind, REFUSED);
    assert!(said.ends_with("node 2 and node 1 do not have the same secret"), "{said}");
}
