//! Changes of a group's members, on its leader.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use watershed_cluster::{Group, GroupError};
use watershed_schema::NodeId;

/// How long a new replica may take to catch up before the change is given up; it stays a learner and catches up further.
const CATCH_UP: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes exactly `voters` vote: who is new follows first; who goes leaves for good.
pub(crate) async fn change(group: &Group, voters: BTreeSet<NodeId>) -> Result<(), GroupError> {
    let before = group.status();
    for new in voters.difference(&before.voters) {
        group.add_learner(*new).await?;
    }
    let end = Instant::now() + CATCH_UP;
    loop {
        match group.change_voters(voters.clone()).await {
            Err(GroupError::Lagging { .. } | GroupError::MembershipBusy) if Instant::now() < end => sleep(LOOK_AGAIN).await,
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    for gone in before.voters.difference(&voters) {
        group.remove(*gone).await?;
    }
    Ok(())
}
