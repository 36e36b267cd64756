//! What another node asks of the events that are here.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::collect;
use watershed_schema::proto::analytics_request::Question;
use watershed_schema::proto::{PeerPartial, PeerStates};
use watershed_schema::{Seq, ShardId, TenantId};

use super::push::lowest_partial;
use crate::analytics::run::Analysis;
use crate::analytics::source::Source;
use crate::analytics::{cohort::CohortSpec, funnel::Funnel, ratio::Ratio, track::Track};
use crate::{Engine, HotRange, QueryError};

impl Engine {
    /// States of the question's partial aggregate over the next events of a shard, as far as a slice goes.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn states(&self, shard: ShardId, asked: &PeerPartial) -> Result<PeerStates, QueryError> {
        let question = asked.question.as_ref().and_then(|request| request.question.as_ref());
        match question.ok_or_else(|| QueryError::invalid("question", "is missing"))? {
            Question::Track(track) => self.states_of(shard, asked, &Track::of(track, asked.now_us)?).await,
            Question::Funnel(funnel) => self.states_of(shard, asked, &Funnel::of(funnel, asked.now_us)?).await,
            Question::Cohort(cohort) => self.states_of(shard, asked, &CohortSpec::of(cohort, asked.now_us)?).await,
            Question::Ratio(ratio) => self.states_of(shard, asked, &Ratio::of(ratio, asked.now_us)?).await,
        }
    }

    async fn states_of(&self, shard: ShardId, asked: &PeerPartial, analysis: &impl Analysis) -> Result<PeerStates, QueryError> {
        let of = |error: DataFusionError| QueryError::of(error, self.limits.memory_bytes);
        let tenant = TenantId::new(&asked.tenant).map_err(|error| QueryError::invalid("tenant", error.to_string()))?;
        let range = HotRange { shard, trimmed: Seq(asked.from_seq), to: Seq(asked.to_seq_exclusive) };
        let (source, slice) = Source::slice(self, &tenant, range, asked.counts_hot)?;
        let plan = analysis.plan(&source)?.create_physical_plan().await.map_err(of)?;
        let partial =
            lowest_partial(&plan).map_err(of)?.ok_or_else(|| QueryError::Internal("no partial aggregate".to_owned()))?;
        let states = collect(Arc::clone(&partial), source.session.task_ctx()).await.map_err(of)?;
        let arrow = ipc(&partial.schema(), &states).map_err(|error| QueryError::Internal(error.to_string()))?;
        Ok(PeerStates { arrow: arrow.into(), next_seq: slice.next().0 })
    }
}

fn ipc(schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.into_inner()
}
