//! Resume tokens: cluster, filter and the next position of each shard, sealed with a key of the cluster.
//!
//! The seal is a keyed checksum, not a signature: a token opens nothing (the tenant comes from the credential), it
//! must only not be mixed up with another filter's, another cluster's or a damaged one.

use std::sync::Arc;

use watershed_actors::Cursor;
use watershed_schema::{Seq, ShardId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::live::{LivePlace, ShardPlace};
use crate::refusal::Refusal;

const VERSION: u8 = 1;
/// Of a live query.
const LIVE_VERSION: u8 = 2;
const HEAD_BYTES: usize = 1 + 16 + 8;
const SEAL_BYTES: usize = 8;
const CURSOR_BYTES: usize = 2 + 8;
const LIVE_HEAD_BYTES: usize = 3 * 8;
const SHARD_BYTES: usize = 2 + 2 * 8;
const OTHER_VERSION: &str = "not a token of this version, or of a live query for events, or the other way round";

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
        self.sealed(VERSION, filter_hash, |token| {
            for cursor in cursors {
                token.extend_from_slice(&cursor.shard.0.to_le_bytes());
                token.extend_from_slice(&cursor.next.0.to_le_bytes());
            }
        })
    }

    pub(crate) fn read(&self, token: &[u8], filter_hash: u64) -> Result<Vec<Cursor>, Refusal> {
        let body = self.opened(VERSION, token, filter_hash)?;
        if !body.len().is_multiple_of(CURSOR_BYTES) {
            return Err(invalid(OTHER_VERSION));
        }
        Ok(body.chunks_exact(CURSOR_BYTES).map(cursor).collect())
    }

    pub(crate) fn write_live(&self, place: &LivePlace, query_hash: u64) -> Vec<u8> {
        self.sealed(LIVE_VERSION, query_hash, |token| {
            token.extend_from_slice(&place.closed_us.to_le_bytes());
            token.extend_from_slice(&place.late.to_le_bytes());
            token.extend_from_slice(&place.lost.to_le_bytes());
            for ShardPlace { shard, from, read } in &place.shards {
                token.extend_from_slice(&shard.0.to_le_bytes());
                token.extend_from_slice(&from.0.to_le_bytes());
                token.extend_from_slice(&read.0.to_le_bytes());
            }
        })
    }

    pub(crate) fn read_live(&self, token: &[u8], query_hash: u64) -> Result<LivePlace, Refusal> {
        let body = self.opened(LIVE_VERSION, token, query_hash)?;
        let Some((head, shards)) = body.split_first_chunk::<LIVE_HEAD_BYTES>() else { return Err(invalid(OTHER_VERSION)) };
        if !shards.len().is_multiple_of(SHARD_BYTES) {
            return Err(invalid(OTHER_VERSION));
        }
        let shard =
            |bytes: &[u8]| ShardPlace { shard: shard(bytes), from: Seq(number(&bytes[2..])), read: Seq(number(&bytes[10..])) };
        Ok(LivePlace {
            closed_us: number(head).cast_signed(),
            late: number(&head[8..]),
            lost: number(&head[16..]),
            shards: shards.chunks_exact(SHARD_BYTES).map(shard).collect(),
        })
    }

    fn sealed(&self, version: u8, hash: u64, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut token = vec![version];
        token.extend_from_slice(&self.0.id.to_le_bytes());
        token.extend_from_slice(&hash.to_le_bytes());
        fill(&mut token);
        token.extend_from_slice(&self.seal(&token).to_le_bytes());
        token
    }

    fn opened<'a>(&self, version: u8, token: &'a [u8], hash: u64) -> Result<&'a [u8], Refusal> {
        let Some((body, seal)) = token.split_last_chunk::<SEAL_BYTES>() else { return Err(invalid("too short")) };
        if body.len() < HEAD_BYTES || body[0] != version {
            return Err(invalid(OTHER_VERSION));
        }
        if body[1..17] != self.0.id.to_le_bytes() {
            return Err(invalid("belongs to another cluster"));
        }
        if u64::from_le_bytes(*seal) != self.seal(body) {
            return Err(invalid("is damaged"));
        }
        if body[17..25] != hash.to_le_bytes() {
            return Err(invalid("belongs to another filter, query or tenant"));
        }
        Ok(&body[HEAD_BYTES..])
    }

    fn seal(&self, body: &[u8]) -> u64 {
        let bytes = self.0.id.to_le_bytes();
        xxh3_64_with_seed(body, u64::from_le_bytes(bytes[..8].try_into().expect("invariant: eight of sixteen bytes")))
    }
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid(format!("resume_token: {reason}"))
}

fn cursor(bytes: &[u8]) -> Cursor {
    Cursor { shard: shard(bytes), next: Seq(number(&bytes[2..])) }
}

fn shard(bytes: &[u8]) -> ShardId {
    ShardId(u16::from_le_bytes(bytes[..2].try_into().expect("invariant: two bytes or more")))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("invariant: eight bytes or more"))
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
        assert!(tokens.read_live(&token, 5).is_err());
    }

    #[test]
    fn a_token_of_a_live_query_says_where_it_stands() {
        let tokens = Tokens::new(7);
        let shards = [(3, 9, 99), (4, 1, 1)].map(|(shard, from, read)| ShardPlace {
            shard: ShardId(shard),
            from: Seq(from),
            read: Seq(read),
        });
        let place = LivePlace { closed_us: -5, late: 6, lost: 7, shards: shards.to_vec() };
        let token = tokens.write_live(&place, 5);
        assert_eq!(tokens.read_live(&token, 5).unwrap(), place);
        assert!(tokens.read(&token, 5).is_err() && tokens.read_live(&token, 6).is_err());
        for cut in 0..token.len() {
            assert!(tokens.read_live(&token[..cut], 5).is_err(), "cut at {cut}");
        }
    }
}
