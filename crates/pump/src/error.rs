//! What can go wrong, and whether waiting helps.

use std::time::Duration;

use crate::Lsn;

/// Why the pump stopped.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// A setting cannot be.
    #[error("setting {name}: {reason}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// PostgreSQL is not reached, or the connection was lost.
    #[error("PostgreSQL: {0}")]
    Connection(#[from] std::io::Error),
    /// PostgreSQL said no.
    #[error("PostgreSQL: {0}")]
    Server(ServerError),
    /// PostgreSQL said something that does not belong there.
    #[error("PostgreSQL: {0}")]
    Protocol(String),
    /// PostgreSQL wants to be shown a password, or in a way that is not known here.
    #[error("PostgreSQL wants {0}")]
    Authentication(&'static str),
    /// JSON is UTF-8.
    #[error("the database's encoding is {0}, must be UTF8")]
    Encoding(String),
    /// There is no such slot.
    #[error("there is no slot `{0}`: create it, or let the pump create it")]
    SlotMissing(String),
    /// The slot is of another plugin or another database.
    #[error("slot `{slot}` is of {of}, must be of wal2json in database `{database}`")]
    SlotForeign {
        /// Its name.
        slot: String,
        /// What it is of.
        of: String,
        /// Where it should be.
        database: String,
    },
    /// The server kept as much of its log as it may, and the pump was away for longer.
    #[error("slot `{0}` is lost: the server has removed what it needs; drop it and create it again")]
    SlotLost(String),
    /// wal2json is not installed on the server, or not allowed there.
    #[error("the server has no plugin wal2json, or `output_plugin_libraries` does not name it: {0}")]
    PluginMissing(ServerError),
    /// The role may not replicate.
    #[error("the role may not replicate: it needs REPLICATION and, for tables, no more: {0}")]
    Permission(ServerError),
    /// `wal_level` is not `logical`, or there are no more slots or senders.
    #[error("the server is not set up for logical replication (wal_level = logical): {0}")]
    NotLogical(ServerError),
    /// wal2json wrote what is no JSON object.
    #[error("change at {at} is no JSON: {reason}")]
    NotJson {
        /// Its place.
        at: Lsn,
        /// Where it goes wrong.
        reason: String,
    },
    /// A change is larger than a request may be.
    #[error("change at {at} has {bytes} bytes, limit {max}")]
    TooLarge {
        /// Its place.
        at: Lsn,
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The node is not reached, does not answer in time, or says to come again.
    #[error("node: {reason}")]
    NodeAway {
        /// What happened.
        reason: String,
        /// How long to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// The node will not take the request, however often it is sent.
    #[error("node: {status}: {reason}")]
    NodeRefuses {
        /// Its status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// The node took the request without some changes.
    #[error("node: {count} changes from {from} to {to} are not acceptable: {reasons}")]
    Rejected {
        /// How many.
        count: u64,
        /// First change of the request.
        from: Lsn,
        /// Last change of the request.
        to: Lsn,
        /// What it said.
        reasons: String,
    },
}

impl PumpError {
    pub(crate) fn setting(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting { name, reason: reason.into() }
    }

    pub(crate) fn closed() -> Self {
        Self::Connection(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the connection was closed"))
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::NodeAway { .. } => true,
            Self::Server(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// An error as PostgreSQL tells it: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ServerError {
    /// Its SQLSTATE.
    pub code: String,
    /// Its message, with detail and hint where there are any.
    pub message: String,
}

impl ServerError {
    /// Starting, stopping, out of connections, the slot still held by the connection before; insufficient resources.
    fn is_passing(&self) -> bool {
        const SLOT_IN_USE: &str = "55006";
        const IO_ERROR: &str = "58030";
        let class = self.code.get(..2).unwrap_or_default();
        [SLOT_IN_USE, IO_ERROR].contains(&self.code.as_str()) || matches!(class, "08" | "53" | "57")
    }

    /// The kinds that a person can cure get a name.
    pub(crate) fn named(self) -> PumpError {
        let says = |words: &str| self.message.contains(words);
        // An allow list of plugins speaks of itself in its detail; without one the library's file is missing.
        if says("output_plugin_libraries") || (says("wal2json") && says("could not access file")) {
            return PumpError::PluginMissing(self);
        }
        match self.code.as_str() {
            "42501" => PumpError::Permission(self),
            // "Object not in prerequisite state"; "configuration limit exceeded": all slots or senders are in use.
            "55000" if says("wal_level") => PumpError::NotLogical(self),
            "53400" => PumpError::NotLogical(self),
            _ => PumpError::Server(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_helps_where_the_state_passes() {
        let server = |code: &str, message: &str| ServerError { code: code.into(), message: message.into() }.named();
        for (code, message) in [
            ("55006", "replication slot \"s\" is active for PID 7"),
            ("57P03", "the database system is starting up"),
            ("57P01", "terminating connection due to administrator command"),
            ("53300", "too many clients"),
            ("58030", "could not read"),
        ] {
            assert!(server(code, message).is_retryable(), "{code}");
        }
        for (code, message) in [
            ("42501", "must be superuser or replication role"),
            ("28P01", "password authentication failed"),
            ("55000", "logical decoding requires wal_level >= logical"),
            ("53400", "all replication slots are in use"),
            ("58P01", "could not access file \"wal2json\": No such file or directory"),
            ("42501", "library \"wal2json\" may not be used as an output plugin; parameter \"output_plugin_libraries\""),
            ("42704", "replication slot \"s\" does not exist"),
            ("3D000", "database does not exist"),
        ] {
            assert!(!server(code, message).is_retryable(), "{code}");
        }
        assert!(matches!(server("42501", "see \"output_plugin_libraries\""), PumpError::PluginMissing(_)));
        assert!(PumpError::closed().is_retryable());
        assert!(!PumpError::NodeRefuses { status: 401, reason: String::new() }.is_retryable());
    }
}
