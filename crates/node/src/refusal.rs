//! Why a request is not served, once for both faces (DESIGN §6).

use std::time::Duration;

use axum::http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use watershed_actors::{AppendError, Busy};
use watershed_schema::proto;

/// A request that was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Bad input: names the field and the limit. Nothing was written.
    #[error("{0}")]
    Invalid(String),
    /// Too much at the moment. Nothing was written.
    #[error("{reason}")]
    Overloaded { reason: String, retry_after: Duration },
    /// More than the tenant may send. Nothing was written.
    #[error("{reason}")]
    Limited { reason: String, retry_after: Duration, spent: Spent },
    /// Not now; something may have been written, a retry is recognised.
    #[error("{0}")]
    Unavailable(String),
    /// It took longer than allowed.
    #[error("{0}")]
    Deadline(String),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Of what.
    pub(crate) what: &'static str,
    /// How much of it in the window.
    pub(crate) quota: u64,
    pub(crate) window: Duration,
}

const UNAVAILABLE_RETRY: Duration = Duration::from_secs(1);

impl Refusal {
    /// One word for metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Overloaded { .. } => "overloaded",
            Self::Limited { .. } => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Deadline(_) => "deadline",
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::Overloaded { .. } | Self::Limited { .. } => Code::ResourceExhausted,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Deadline(_) => Code::DeadlineExceeded,
            Self::Internal(_) => Code::Internal,
        }
    }

    pub(crate) fn http(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Overloaded { .. } | Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } | Self::Limited { retry_after, .. } => Some(*retry_after),
            Self::Unavailable(_) => Some(UNAVAILABLE_RETRY),
            Self::Invalid(_) | Self::Deadline(_) | Self::Internal(_) => None,
        }
    }
}

impl Refusal {
    /// The same inside a message of a stream that goes on.
    pub(crate) fn to_proto(&self) -> proto::Refused {
        let retry_after_ms = self.retry_after().map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        proto::Refused { code: self.code() as i32, message: self.to_string(), retry_after_ms }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.to_string());
        match refusal.retry_after() {
            Some(wait) => Self::with_error_details(code, message, ErrorDetails::with_retry_info(Some(wait))),
            None => Self::new(code, message),
        }
    }
}

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Self {
        Self::Overloaded { reason: busy.to_string(), retry_after: busy.retry_after }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let reason = error.to_string();
        match error {
            AppendError::DiskFull { retry_after, .. }
            | AppendError::Busy { retry_after, .. }
            | AppendError::ArchiveBehind { retry_after, .. } => Self::Overloaded { reason, retry_after },
            AppendError::NotLeader { .. } | AppendError::Stopped { .. } | AppendError::Unknown { .. } => {
                Self::Unavailable(reason)
            }
        }
    }
}
