//! A letter's file: a checksum, then the letter and its batches. It tells all that the log knows, should that be lost.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use watershed_schema::proto::{DeadLetter, DeadLetterBlock, DeadLetterFile};
use watershed_schema::{EventBatch, Seq, ShardId};

use crate::Rows;

const CRC_BYTES: usize = 4;

pub(super) fn encode(letter: &DeadLetter, rows: &Rows) -> Bytes {
    let block = |(first, batch): &(Seq, Arc<EventBatch>)| DeadLetterBlock { first_seq: first.0, batch: Some(batch.seal()) };
    let file = DeadLetterFile { about: Some(letter.clone()), blocks: rows.blocks.iter().map(block).collect() };
    let mut bytes = vec![0; CRC_BYTES];
    file.encode(&mut bytes).expect("invariant: a vector takes everything");
    let crc = crc32fast::hash(&bytes[CRC_BYTES..]);
    bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes.into()
}

/// The rows, or what is wrong with the file.
pub(super) fn decode(bytes: Bytes) -> Result<Rows, String> {
    let (crc, rest) = bytes.split_first_chunk::<CRC_BYTES>().ok_or("its file is cut off")?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
        return Err("its file is damaged: the checksum is wrong".to_owned());
    }
    let file = DeadLetterFile::decode(bytes.slice(CRC_BYTES..)).map_err(|error| error.to_string())?;
    let letter = file.about.ok_or("its file does not say what it is")?;
    let blocks = file.blocks.into_iter().map(open).collect::<Result<_, String>>()?;
    let shard = ShardId(u16::try_from(letter.shard).map_err(|error| error.to_string())?);
    Ok(Rows { shard, from_seq: Seq(letter.from_seq_inclusive), to_seq: Seq(letter.to_seq_exclusive), blocks })
}

fn open(block: DeadLetterBlock) -> Result<(Seq, Arc<EventBatch>), String> {
    let sealed = block.batch.ok_or("a block without rows")?;
    Ok((Seq(block.first_seq), Arc::new(EventBatch::open(&sealed).map_err(|error| error.to_string())?)))
}
