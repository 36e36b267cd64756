//! Every limit, with its unit; related limits are checked against each other when compiling.

/// Largest request after decompression, bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest decompressed size as a multiple of the compressed size.
pub const DECOMPRESSION_RATIO_MAX: usize = 100;
/// Largest single attribute value, bytes.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Attributes kept on one record; the rest is counted in the reply.
pub const ATTRIBUTES_MAX: usize = 128;
/// Deepest nesting of an attribute value.
pub const NESTING_MAX: usize = 16;
/// Deepest nesting of a payload's value that can be read.
pub const PAYLOAD_NESTING_MAX: usize = 2 * NESTING_MAX;
/// Deepest nesting of a JSON request: a recorded page has two levels for each of its elements.
pub const JSON_NESTING_MAX: usize = 1024;
/// Most objects in an OTLP request in JSON: the shortest attribute has one for each 18 bytes.
pub const JSON_OBJECTS_MAX: usize = MESSAGE_BYTES_MAX / 16;
/// Longest tenant name, bytes.
pub const TENANT_BYTES_MAX: usize = 128;
/// Most events in one batch.
pub const BATCH_ROWS_MAX: usize = 65_536;
/// Largest encoded batch, bytes: a request grows a little when it becomes rows.
pub const BATCH_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// Most bytes of a request's events when each carries what it shares with others: readers see them so.
pub const BATCH_UNFOLDED_BYTES_MAX: usize = 16 * BATCH_BYTES_MAX;
/// Bytes of small batches that the leader joins into one log entry.
pub const ENTRY_COALESCED_BYTES_MAX: usize = 1024 * 1024;
/// Longest topic, characters.
pub const TOPIC_CHARS_MAX: usize = 256;
/// Most segments of a topic.
pub const TOPIC_SEGMENTS_MAX: usize = 10;
/// Event ids remembered per shard to recognise a retry, at least half of them: two hash tables of 2¹⁹ places that are seven
/// eighths full. A million would need tables
/// of twice the size: half a gigabyte for sixteen shards.
pub const DEDUPE_IDS_MAX: usize = 2 * (1 << 19) / 8 * 7;
/// How far in the future an event's own time may lie, microseconds (24 h).
pub const FUTURE_MICROS_MAX: i64 = 24 * 3600 * 1_000_000;

/// Earliest time that an event may name, microseconds since 1970: the year 1 begins.
pub const TIME_MICROS_MIN: i64 = -62_135_596_800_000_000;
/// Latest time that an event may name, microseconds since 1970: the year 9999 ends.
pub const TIME_MICROS_MAX: i64 = 253_402_300_799_999_999;

const HOUR_MICROS: i64 = 3600 * 1_000_000;
const _: () = assert!(TIME_MICROS_MAX / HOUR_MICROS <= i32::MAX as i64, "a table counts its partitions' hours in 32 bits");
const _: () = assert!(TIME_MICROS_MIN / HOUR_MICROS >= i32::MIN as i64, "the same before 1970");
const _: () = assert!(BATCH_BYTES_MAX >= MESSAGE_BYTES_MAX, "a full request must fit into a batch");
const _: () = assert!(BATCH_UNFOLDED_BYTES_MAX / BATCH_ROWS_MAX >= 16 * 1024, "a full batch has room for a resource in each row");
const _: () = assert!(ATTRIBUTE_VALUE_BYTES_MAX < MESSAGE_BYTES_MAX, "a value must fit into a request");
