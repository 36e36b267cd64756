//! Errors as other nodes are told them.

use std::time::Duration;

use watershed_cluster::GroupError;
use watershed_schema::GroupId;
use watershed_schema::proto::PeerRefusal;
use watershed_schema::proto::peer_refusal::Reason;

use crate::archive::UpkeepError;
use crate::shard::{AppendError, ReadError};

pub(super) fn refusal(reason: Reason, text: impl ToString) -> PeerRefusal {
    PeerRefusal { reason: reason.into(), text: text.to_string(), ..PeerRefusal::default() }
}

pub(super) fn absent(group: GroupId) -> PeerRefusal {
    refusal(Reason::Stopped, format!("group {group} is not here"))
}

pub(super) fn invalid(error: impl ToString) -> PeerRefusal {
    refusal(Reason::Invalid, error)
}

pub(super) fn busy(error: impl ToString, retry_after: Duration) -> PeerRefusal {
    PeerRefusal { retry_after_ms: millis(retry_after), ..refusal(Reason::Busy, error) }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn of_group(error: GroupError) -> PeerRefusal {
    let leader = if let GroupError::NotLeader { leader } = &error { leader.map_or(0, |leader| leader.0) } else { 0 };
    let reason = match &error {
        GroupError::NotLeader { .. } => Reason::NotLeader,
        GroupError::Stopped(_) | GroupError::Unknown | GroupError::NoLeader(_) => Reason::Unknown,
        GroupError::BadMessage(_) | GroupError::NotMember { .. } | GroupError::OneAtATime => Reason::Invalid,
        GroupError::Lagging { .. } | GroupError::MembershipBusy => Reason::Busy,
    };
    PeerRefusal { leader, ..refusal(reason, error) }
}

pub(super) fn of_append(error: AppendError) -> PeerRefusal {
    let refused = refusal(Reason::Unknown, &error);
    match error {
        AppendError::DiskFull { retry_after, .. } => {
            PeerRefusal { retry_after_ms: millis(retry_after), ..refusal(Reason::DiskFull, refused.text) }
        }
        AppendError::Busy { retry_after, .. } | AppendError::ArchiveBehind { retry_after, .. } => busy(refused.text, retry_after),
        AppendError::NotLeader { leader, .. } => {
            PeerRefusal { leader: leader.map_or(0, |leader| leader.0), ..refusal(Reason::NotLeader, refused.text) }
        }
        AppendError::Stopped { .. } => refusal(Reason::Stopped, refused.text),
        AppendError::Unknown { .. } => refused,
    }
}

pub(super) fn of_read(error: ReadError) -> PeerRefusal {
    let reason = match error {
        ReadError::Trimmed { .. } => Reason::Trimmed,
        ReadError::NoLeader(_) => Reason::NotLeader,
        ReadError::Refused(_) => Reason::Invalid,
        ReadError::Hot(_) => Reason::Unknown,
        ReadError::Stopped => Reason::Stopped,
    };
    let first_seq = if let ReadError::Trimmed { first } = error { first.0 } else { 0 };
    PeerRefusal { first_seq, ..refusal(reason, error) }
}

pub(super) fn of_upkeep(error: UpkeepError) -> PeerRefusal {
    match &error {
        UpkeepError::NotCommitter { committer } => {
            PeerRefusal { leader: committer.map_or(0, |node| node.0), ..refusal(Reason::NotLeader, error) }
        }
        UpkeepError::Not(_) | UpkeepError::Elsewhere { .. } => refusal(Reason::Busy, error),
    }
}
