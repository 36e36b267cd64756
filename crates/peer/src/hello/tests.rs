//! Hellos that fit, and all the others.

use super::*;

fn hello(node: u64, boot: u64) -> Hello {
    let (cluster, advertised) = ("east".to_owned(), "host:1".to_owned());
    Hello { cluster, node, boot, advertised, attempt: 1, nonce: vec![7; 32], token: 9, cluster_id: String::new() }
}

async fn sent_as(version: u16, greeting: &Greeting) -> Result<Greeting, DialError> {
    let mut bytes = Vec::new();
    send_as(&mut bytes, version, greeting).await.expect("into memory");
    receive(&mut bytes.as_slice()).await
}

fn code(result: Result<(), Refusal>) -> RefusalCode {
    result.expect_err("refused").code
}

#[tokio::test]
async fn what_is_sent_is_received() {
    let greetings = [Greeting::hello(&hello(1, 2)), Greeting::Proof(vec![1, 2, 3]), Greeting::Accepted];
    for greeting in greetings {
        assert_eq!(sent_as(PROTOCOL_VERSION, &greeting).await, Ok(greeting));
    }
}

#[tokio::test]
async fn another_version_is_named_and_its_refusal_understood() {
    let error = sent_as(7, &Greeting::hello(&hello(1, 2))).await.expect_err("unknown");
    assert_eq!(error.to_string(), "refused: the peer speaks protocol version 7, this node version 1");
    let refusal = Refusal::new(RefusalCode::Version, "too new");
    let error = sent_as(7, &Greeting::Refused(refusal.clone())).await.expect_err("refused");
    assert_eq!(error, DialError::RefusedByPeer(refusal));
}

#[tokio::test]
async fn foreign_bytes_are_refused() {
    for (bytes, words) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], "does not speak"), (&[0x15, 3, 3, 0, 2][..], "speaks TLS")] {
        let error = receive(&mut &bytes[..]).await.expect_err("foreign").to_string();
        assert!(error.contains(words), "{error}");
    }
    let huge = [b"WSPR".as_slice(), &[0, 1, 1, 0, 0xff, 0, 0, 0]].concat();
    let error = receive(&mut huge.as_slice()).await.expect_err("huge").to_string();
    assert!(error.contains("limit 4096"), "{error}");
}

#[test]
fn hellos_are_checked() {
    let mine = hello(1, 1);
    assert_eq!(hello(2, 5).check(&mine, None), Ok(()));
    assert_eq!(hello(2, 5).check(&mine, Some(NodeId(2))), Ok(()));
    assert_eq!(code(hello(2, 5).check(&mine, Some(NodeId(3)))), RefusalCode::OtherNode);
    assert_eq!(code(hello(1, 1).check(&mine, None)), RefusalCode::Myself);
    assert_eq!(code(hello(1, 2).check(&mine, None)), RefusalCode::Duplicate);
    let stranger = Hello { cluster: "west".to_owned(), ..hello(2, 5) };
    assert_eq!(code(stranger.check(&mine, None)), RefusalCode::Cluster);
    let founded = |id: &str| Hello { cluster_id: id.to_owned(), ..hello(2, 5) };
    let me = Hello { cluster_id: "a".to_owned(), ..mine.clone() };
    assert_eq!(founded("a").check(&me, None), Ok(()));
    assert_eq!(founded("").check(&me, None), Ok(()), "it may join");
    let foreign = founded("b").check(&me, None).expect_err("another folder");
    assert!(foreign.code == RefusalCode::Cluster && foreign.reason.contains("data folder of another cluster"), "{foreign:?}");
    let homeless = Hello { advertised: "?".to_owned(), ..hello(2, 5) };
    assert_eq!(code(homeless.check(&mine, None)), RefusalCode::Malformed);
}

#[test]
fn texts_are_cut_between_characters() {
    assert_eq!(cut("äöü", 3), "ä");
    assert_eq!(cut("abc", 9), "abc");
}
