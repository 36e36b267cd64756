//! What the pump is told.

use std::time::Duration;

use crate::PumpError;

/// From where to where, and how much at a time.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`, as libpq reads it; `?host=/folder` is a socket. The role needs
    /// `REPLICATION`. There is no TLS: `sslmode=require` is refused.
    pub url: String,
    /// Name of the slot: lower-case letters, digits, `_`, at most 63.
    pub slot: String,
    /// Whether to create the slot if there is none. Changes before it are not seen.
    pub create_slot: bool,
    /// Tables as `schema.table`, `*` for all of a schema or all schemas; none is all tables.
    pub tables: Vec<String>,
    /// The node: `http://host:port`.
    pub to: String,
    /// Headers of every request: the tenant, a credential.
    pub headers: Vec<(String, String)>,
    /// Bytes of a request; a record that is larger goes alone.
    pub request_bytes_max: usize,
    /// Changes in a request.
    pub request_changes_max: usize,
    /// How long a change waits for others before it is sent.
    pub linger: Duration,
    /// How long the node may take to answer.
    pub answer_timeout: Duration,
    /// How often PostgreSQL hears from the pump; well below its `wal_sender_timeout`.
    pub status_interval: Duration,
    /// The first wait after a failure.
    pub wait_min: Duration,
    /// The longest wait between attempts, jitter aside.
    pub wait_max: Duration,
    /// Go on when the node says that a change is not acceptable. Otherwise the pump ends: no change is passed over unseen.
    pub skip_rejected: bool,
}

impl Settings {
    /// The node's own limit of a request, bytes; a larger record cannot be delivered.
    pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

    /// Everything else as it is good for most.
    pub fn new(url: impl Into<String>, slot: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            slot: slot.into(),
            create_slot: false,
            tables: Vec::new(),
            to: to.into(),
            headers: Vec::new(),
            request_bytes_max: 1024 * 1024,
            request_changes_max: 10_000,
            linger: Duration::from_millis(20),
            answer_timeout: Duration::from_secs(30),
            status_interval: Duration::from_secs(10),
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
            skip_rejected: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), PumpError> {
        let is_slot_name = |name: &str| {
            (1..=63).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        if !is_slot_name(&self.slot) {
            return Err(PumpError::setting("slot", "must be 1 to 63 lower-case letters, digits and underscores"));
        }
        if !(1..=Self::RECORD_BYTES_MAX).contains(&self.request_bytes_max) {
            return Err(PumpError::setting("request_bytes_max", format!("must be 1 to {}", Self::RECORD_BYTES_MAX)));
        }
        if self.request_changes_max == 0 || self.status_interval.is_zero() {
            return Err(PumpError::setting("request_changes_max, status_interval", "must be more than 0"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Settings {
    /// Without the URL and the headers: they hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("slot", &self.slot).field("to", &self.to).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::new("postgres://db", "s", "http://n");
            change(&mut settings);
            settings.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| ()), Ok(()));
        for slot in ["", "Shop", "a-b", "a\"b"] {
            let settings = Settings::new("postgres://db", slot, "http://n");
            assert!(settings.check().unwrap_err().to_string().contains("slot: must be 1 to 63"), "{slot}");
        }
        assert!(with(|settings| settings.request_bytes_max = 0).unwrap_err().contains("request_bytes_max"));
        assert!(with(|settings| settings.request_changes_max = 0).unwrap_err().contains("request_changes_max"));
        let shown = format!("{:?}", Settings::new("postgres://u:secret@db", "s", "http://n"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
