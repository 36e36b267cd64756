//! Protobuf wire format, both ways, without copies.

/// Length-delimited wire type.
pub const LEN: u32 = 2;
/// Varint wire type.
pub const VARINT: u32 = 0;
/// Eight-byte wire type.
pub const FIXED64: u32 = 1;
/// Four-byte wire type.
pub const FIXED32: u32 = 5;

/// Bytes of a length that is filled in later: a varint padded to four bytes, so lengths stay below 2^28.
pub(crate) const PADDED: usize = 4;

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80 here")]
    out.push(value as u8);
}

const VARINT_BYTES_MAX: usize = 10;

/// Appends a field's tag.
pub fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    out.reserve(value.len() + 2 * VARINT_BYTES_MAX);
    put_tag(out, field, LEN);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Opens a nested message; give the returned mark to [`end_nested`].
pub fn begin_nested(out: &mut Vec<u8>, field: u32) -> usize {
    put_tag(out, field, LEN);
    out.extend_from_slice(&[0; PADDED]);
    out.len()
}

/// Closes a nested message by writing its length in front.
///
/// # Panics
/// When the message has 2^28 bytes or more; `limits` keep every message far below.
pub fn end_nested(out: &mut [u8], mark: usize) {
    let length = out.len() - mark;
    assert!(length < 1 << (7 * PADDED), "invariant: a nested message fits its padded length");
    for (place, byte) in out[mark - PADDED..mark].iter_mut().enumerate() {
        let more = if place + 1 < PADDED { 0x80 } else { 0 };
        *byte = (length >> (7 * place)).to_le_bytes()[0] & 0x7f | more;
    }
}

/// A field as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// Varint.
    Varint(u64),
    /// Eight bytes, little endian.
    Fixed64(u64),
    /// Four bytes, little endian.
    Fixed32(u32),
    /// Length-delimited.
    Bytes(&'a [u8]),
}

/// Appends a field as it was read.
pub fn put_raw(out: &mut Vec<u8>, field: u32, raw: Raw<'_>) {
    match raw {
        Raw::Varint(number) => {
            put_tag(out, field, VARINT);
            put_varint(out, number);
        }
        Raw::Fixed64(bits) => {
            put_tag(out, field, FIXED64);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Raw::Fixed32(bits) => {
            put_tag(out, field, FIXED32);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Raw::Bytes(bytes) => put_bytes(out, field, bytes),
    }
}

/// The text of a length-delimited field.
///
/// # Errors
/// [`Malformed`] when it is not UTF-8.
#[inline]
pub fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_invalid| Malformed("text is not UTF-8"))
}

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf: {0}")]
pub struct Malformed(pub &'static str);

/// Walks the fields of one message.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first field.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Bytes not yet walked.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field, `None` at the end.
    ///
    /// # Errors
    /// [`Malformed`] for a cut, overlong or unknown form.
    // Always: in a loop over a row's fields what it returns stays in registers, which halves the walk.
    #[inline(always)]
    pub fn next_field(&mut self) -> Result<Option<(u32, Raw<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_outside| Malformed("field number out of range"))?;
        if field == 0 {
            return Err(Malformed("field number 0"));
        }
        let raw = match (tag & 7) as u32 {
            VARINT => Raw::Varint(self.varint()?),
            FIXED64 => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            LEN => {
                let length = self.varint()?;
                Raw::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            FIXED32 => Raw::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed("wire type")),
        };
        Ok(Some((field, raw)))
    }

    /// Most are tags and short lengths: one byte, or two where the column's number is above 15.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (place, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            // 64 bits end in the last byte's first; other readers refuse more, and so do we.
            if place + 1 == VARINT_BYTES_MAX && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(Malformed("varint cut or too long"))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("length beyond the end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("invariant: take returns what was asked for"))
    }
}
