//! Resume tokens: cluster, filter and the next position of each shard, sealed with a key of the cluster.
//!
//! The seal is a keyed checksum, not a signature: a token opens nothing (the tenant comes from the credential), it
//! must only not be mixed up with another filter's, another cluster's or a damaged one.

use std::sync::Arc;

use watershed_actors::Cursor;
use watershed_schema::{Seq, ShardId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::refusal::Refusal;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8;
const SEAL_BYTES: usize = 8;
const CURSOR_BYTES: usize = 2 + 8;

/// Writes and reads the tokens of a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<Cluster>);

#[derive(Debug)]
struct Cluster {
    id: u128,
}

impl Tokens {
    pub(crate) fn new(cluster_id: u128) -> Self {
        Self(Arc::new(Cluster { id: cluster_id }))
    }

    pub(crate) fn write(&self, cursors: &[Cursor], filter_hash: u64) -> Vec<u8> {
        let mut token = vec![VERSION];
        token.extend_from_slice(&self.0.id.to_le_bytes());
        token.extend_from_slice(&filter_hash.to_le_bytes());
        for cursor in cursors {
            token.extend_from_slice(&cursor.shard.0.to_le_bytes());
            token.extend_from_slice(&cursor.next.0.to_le_bytes());
        }
        token.extend_from_slice(&self.seal(&token).to_le_bytes());
        token
    }

    pub(crate) fn read(&self, token: &[u8], filter_hash: u64) -> Result<Vec<Cursor>, Refusal> {
        let invalid = |reason: &str| Refusal::Invalid(format!("resume_token: {reason}"));
        let Some((body, seal)) = token.split_last_chunk::<SEAL_BYTES>() else { return Err(invalid("too short")) };
        if body.len() < HEAD_BYTES || body[0] != VERSION || !(body.len() - HEAD_BYTES).is_multiple_of(CURSOR_BYTES) {
            return Err(invalid("not a token of this version"));
        }
        if body[1..17] != self.0.id.to_le_bytes() {
            return Err(invalid("belongs to another cluster"));
        }
        if u64::from_le_bytes(*seal) != self.seal(body) {
            return Err(invalid("is damaged"));
        }
        if body[17..25] != filter_hash.to_le_bytes() {
            return Err(invalid("belongs to another filter or tenant"));
        }
        Ok(body[HEAD_BYTES..].chunks_exact(CURSOR_BYTES).map(cursor).collect())
    }

    fn seal(&self, body: &[u8]) -> u64 {
        let bytes = self.0.id.to_le_bytes();
        xxh3_64_with_seed(body, u64::from_le_bytes(bytes[..8].try_into().expect("invariant: eight of sixteen bytes")))
    }
}

fn cursor(bytes: &[u8]) -> Cursor {
    let shard = u16::from_le_bytes(bytes[..2].try_into().expect("invariant: two of ten bytes"));
    let next = u64::from_le_bytes(bytes[2..].try_into().expect("invariant: eight of ten bytes"));
    Cursor { shard: ShardId(shard), next: Seq(next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_question_only() {
        let tokens = Tokens::new(7);
        let cursors = vec![Cursor { shard: ShardId(3), next: Seq(99) }, Cursor { shard: ShardId(4), next: Seq(1) }];
        let token = tokens.write(&cursors, 5);
        let read: Vec<_> = tokens.read(&token, 5).unwrap().into_iter().map(|cursor| (cursor.shard.0, cursor.next.0)).collect();
        assert_eq!(read, [(3, 99), (4, 1)]);
        assert!(tokens.read(&token, 6).unwrap_err().to_string().contains("another filter"));
        assert!(Tokens::new(8).read(&token, 5).unwrap_err().to_string().contains("another cluster"));
        for place in 0..token.len() {
            let mut damaged = token.clone();
            damaged[place] ^= 1;
            assert!(tokens.read(&damaged, 5).is_err(), "byte {place}");
            assert!(tokens.read(&token[..place], 5).is_err(), "cut at {place}");
        }
    }
}
