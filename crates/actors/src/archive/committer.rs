//! Upkeep from any node: the question goes to the committer, and what is to be deleted is brought together first.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use prost::Message as _;
use watershed_lake::Doomed;
use watershed_schema::proto::{
    PeerAnswer, PeerDoomed, PeerUpkeep, PurgeDeadLettersRequest, Purged, ReplayDeadLettersRequest, Replayed, UpkeepStep,
};
use watershed_schema::{NodeId, Seq, ShardId};

use super::ArchiverHandle;
use super::upkeep::Job;
use crate::Ask;
use crate::route::Unanswered;

/// A round of upkeep has its own deadline; there may be many.
const UPKEEP_DEADLINE: Duration = Duration::from_secs(1_800);
/// The committer may be about to change.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);
/// Parquet of all that a node has not staged.
const STAGE_DEADLINE: Duration = Duration::from_secs(120);

/// Why upkeep was not done as it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    /// Nothing happened.
    #[error("upkeep is the committer's, which is {}", committer.map_or_else(|| "nobody now".to_owned(), |node| format!("node {node}")))]
    NotCommitter {
        /// Who is, as far as is known here.
        committer: Option<NodeId>,
    },
    #[error("{0}")]
    Not(String),
    #[error("node {node}: {reason}")]
    Elsewhere { node: NodeId, reason: String },
}

impl UpkeepError {
    fn may_be_elsewhere(&self) -> bool {
        matches!(self, Self::NotCommitter { .. })
    }
}

impl ArchiverHandle {
    /// Keeps the lake in shape now; what was done.
    pub(crate) async fn maintain(&self, dry_run: bool) -> Result<Vec<UpkeepStep>, UpkeepError> {
        Ok(self.at_committer(PeerUpkeep { dry_run, ..PeerUpkeep::default() }).await?.steps)
    }

    /// Takes a tenant's rows out of the lake, or one of its actors', with all that is committed now.
    pub(crate) async fn delete(&self, tenant: String, actor: Option<String>) -> Result<Vec<UpkeepStep>, UpkeepError> {
        let doomed = PeerDoomed { tenant, actor: actor.unwrap_or_default() };
        Ok(self.at_committer(PeerUpkeep { delete: Some(doomed), ..PeerUpkeep::default() }).await?.steps)
    }

    /// Writes dead letters into the lake after all; no names: all of them.
    pub(crate) async fn replay(&self, names: Vec<String>) -> Result<Vec<Replayed>, UpkeepError> {
        let replay = Some(ReplayDeadLettersRequest { names });
        Ok(self.at_committer(PeerUpkeep { replay, ..PeerUpkeep::default() }).await?.replayed)
    }

    /// Gives dead letters up.
    pub(crate) async fn purge(&self, names: Vec<String>) -> Result<Vec<Purged>, UpkeepError> {
        let purge = Some(PurgeDeadLettersRequest { names });
        Ok(self.at_committer(PeerUpkeep { purge, ..PeerUpkeep::default() }).await?.purged)
    }

    async fn at_committer(&self, asked: PeerUpkeep) -> Result<PeerAnswer, UpkeepError> {
        let nobody = || UpkeepError::NotCommitter { committer: None };
        let attempt = |leader, _left| self.asked(leader, asked.clone());
        self.control.route().until_led(LOOK_DEADLINE, nobody, attempt, UpkeepError::may_be_elsewhere).await
    }

    async fn asked(&self, leader: NodeId, asked: PeerUpkeep) -> Result<PeerAnswer, UpkeepError> {
        let route = self.control.route();
        if leader == route.me {
            return self.upkeep_here(asked).await;
        }
        let answer = route.ask(leader, Ask::Upkeep, asked.encode_to_vec().into(), UPKEEP_DEADLINE).await;
        answer.map_err(|error| match error {
            error if error.is_elsewhere() => UpkeepError::NotCommitter { committer: None },
            Unanswered::Unknown(reason) => {
                UpkeepError::Elsewhere { node: leader, reason: format!("{reason}; what it has done is unknown") }
            }
            error => UpkeepError::Elsewhere { node: leader, reason: error.to_string() },
        })
    }

    /// What the committer does of it.
    pub(crate) fn upkeep_here(&self, asked: PeerUpkeep) -> BoxFuture<'_, Result<PeerAnswer, UpkeepError>> {
        self.do_here(asked).boxed()
    }

    async fn do_here(&self, asked: PeerUpkeep) -> Result<PeerAnswer, UpkeepError> {
        if !self.control.is_leader() {
            return Err(UpkeepError::NotCommitter { committer: self.control.me_and_leader().1 });
        }
        let mut done = PeerAnswer::default();
        match asked {
            PeerUpkeep { delete: Some(doomed), .. } => done.steps = self.delete_here(doomed).await?,
            PeerUpkeep { replay: Some(replay), .. } => done.replayed = self.replay_here(replay.names).await?,
            PeerUpkeep { purge: Some(purge), .. } => done.purged = self.purge_here(purge.names).await?,
            PeerUpkeep { dry_run: true, .. } => done.steps = self.jobs(vec![Job::Orphans { dry_run: true }]).await?,
            PeerUpkeep { dry_run: false, .. } => {
                done.steps = self.jobs(vec![Job::Compaction, Job::Expiry, Job::Orphans { dry_run: false }]).await?;
            }
        }
        Ok(done)
    }

    /// All that is committed now goes into the lake first, from whichever node. Dead letters before the lake: what is being
    /// replayed is in the lake by then, and nothing is left to be replayed afterwards.
    async fn delete_here(&self, doomed: PeerDoomed) -> Result<Vec<UpkeepStep>, UpkeepError> {
        let wanted = self.tails().await?;
        let refused = self.stage_elsewhere().await;
        if !self.flush().await {
            return Err(UpkeepError::Not(
                "what is committed could not be archived, so not all would be deleted: nothing is".to_owned(),
            ));
        }
        self.all_archived(&wanted, &refused).await?;
        let ns = doomed.tenant.clone();
        let actor = Some(doomed.actor.clone()).filter(|actor| !actor.is_empty());
        let letters = self.forget_letters(doomed).await?;
        let mut steps = self.jobs(vec![Job::Deletion(Doomed::Tenant { ns, actor })]).await?;
        steps.extend(letters);
        Ok(steps)
    }

    /// Where each shard ends now.
    async fn tails(&self) -> Result<BTreeMap<ShardId, Seq>, UpkeepError> {
        let mut tails = BTreeMap::new();
        for shard in &self.shards {
            let now = shard.read_index().await;
            let now = now.map_err(|error| UpkeepError::Not(format!("shard {}: {error}: nothing is deleted", shard.id())))?;
            tails.insert(shard.id(), now.tail());
        }
        Ok(tails)
    }

    fn others(&self) -> Vec<NodeId> {
        self.control.others().into_iter().filter(|(_, address)| address.is_some()).map(|(node, _)| node).collect()
    }

    /// Has every other node stage what it leads; who did not, and why.
    async fn stage_elsewhere(&self) -> Vec<String> {
        let route = self.control.route();
        let ask = async |node: NodeId| {
            let done = route.asked(node, Ask::Stage, Bytes::new(), STAGE_DEADLINE).await;
            done.err().map(|error| format!("node {node}: {error}"))
        };
        join_all(self.others().into_iter().map(ask)).await.into_iter().flatten().collect()
    }

    async fn all_archived(&self, wanted: &BTreeMap<ShardId, Seq>, refused: &[String]) -> Result<(), UpkeepError> {
        for (shard, tail) in wanted {
            let handle = &self.shards[usize::from(shard.0)];
            let now = handle.read_index().await.map(|now| now.archived()).ok();
            if now.is_none_or(|archived| archived < *tail) {
                let at = now.map_or_else(|| "unknown".to_owned(), |seq| seq.to_string());
                return Err(UpkeepError::Not(format!(
                    "shard {shard}: rows from {at} to {tail} are not in the lake, so not all would be deleted: nothing is; {}",
                    if refused.is_empty() { "its leader has changed: try again".to_owned() } else { refused.join("; ") }
                )));
            }
        }
        Ok(())
    }
}
