//! Where a subscription begins.

use std::str::FromStr;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use watershed_schema::proto::subscribe_request::Start as Wire;

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The next event on.
    Now,
    /// The oldest event there is, in the lake or the hot tier.
    Earliest,
    /// The first event at or after this time, microseconds since the epoch.
    TimestampUs(i64),
    /// Where an [`crate::Item`] of an earlier stream left off.
    Token(Bytes),
}

/// A text that is no start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither now, earliest, a time like 2026-11-24T12:00:00Z nor a resume token")]
pub struct NoStart(String);

/// `now`, `earliest`, a time (RFC 3339), or a resume token in base64url.
impl FromStr for Start {
    type Err = NoStart;

    fn from_str(text: &str) -> Result<Self, NoStart> {
        match text {
            "now" => return Ok(Self::Now),
            "earliest" => return Ok(Self::Earliest),
            _ => {}
        }
        if let Ok(at) = humantime::parse_rfc3339_weak(text) {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            return Ok(Self::TimestampUs(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)));
        }
        let token = URL_SAFE_NO_PAD.decode(text).map_err(|_no_token| NoStart(text.to_owned()))?;
        Ok(Self::Token(token.into()))
    }
}

impl From<Start> for Wire {
    fn from(start: Start) -> Self {
        match start {
            Start::Now => Self::Now(true),
            Start::Earliest => Self::Earliest(true),
            Start::TimestampUs(micros) => Self::TimestampUs(micros),
            Start::Token(token) => Self::ResumeToken(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts() {
        assert_eq!("now".parse(), Ok(Start::Now));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Start::TimestampUs(1_000_000)));
        assert_eq!("AAEC".parse(), Ok(Start::Token(Bytes::from_static(&[0, 1, 2]))));
        assert_eq!("yesterday!".parse::<Start>(), Err(NoStart("yesterday!".to_owned())));
    }
}
