//! The handshake, for tests that speak it themselves: a second implementation of what `hello.rs` says.

use prost::Message as _;

pub(crate) const HELLO: u8 = 1;
pub(crate) const PROOF: u8 = 2;
pub(crate) const ACCEPTED: u8 = 3;
pub(crate) const REFUSED: u8 = 4;
/// Bytes before a body.
pub(crate) const HEAD_BYTES: usize = 12;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(fixed64, tag = "3")]
    boot: u64,
    #[prost(string, tag = "4")]
    advertised: String,
    #[prost(uint64, tag = "5")]
    pub(crate) attempt: u64,
}

/// What a node of cluster `east` says first.
pub(crate) fn hello(node: u64, boot: u64, advertised: &str, attempt: u64) -> Vec<u8> {
    Hello { cluster: "east".to_owned(), node, boot, advertised: advertised.to_owned(), attempt }.encode_to_vec()
}

/// A message as it goes over the wire.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("small").to_be_bytes();
    [b"WSPR\x00\x01", &[kind, 0][..], &length, body].concat()
}

/// Kind and bytes of the body that follows a head.
pub(crate) fn announced(head: &[u8; HEAD_BYTES]) -> (u8, usize) {
    (head[6], u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize)
}
